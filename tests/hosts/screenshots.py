"""The pictures in docs/darktable.md: the module in a real darkroom, off and on.

python -m tests.hosts.screenshots [darktable's source tree]
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from tests.builders import write_cfa_dng
from tests.hosts.darkroom import MODULE, Darkroom, open_darkroom, virtual_display, wait_until
from tests.hosts.darktable_module import InstalledModule, environment_of, run_command
from tests.hosts.sources import scene_frame

DOCS = Path(__file__).parents[2] / "docs" / "images"
SHOWN = (300, 60, 1400, 700)  # left, top, right, bottom of the window: the picture and our panel
ASIDE = (150, 860)
QUALITY = 82  # of the JPEGs: noise makes large PNGs


def _move_mouse_away(display: str) -> None:
    """Off all that shows a tooltip."""
    command = ["xdotool", "mousemove", *map(str, ASIDE)]
    subprocess.run(command, env={**os.environ, "DISPLAY": display}, check=True)


def save(room: Darkroom, name: str) -> None:
    """Writes the part of the window that the page shows."""
    picture = Image.fromarray(room.screen()).crop(SHOWN)
    picture.save(DOCS / f"darktable-{name}.jpg", quality=QUALITY, optimize=True)


def main(source: str | None) -> None:
    """Installs the module into a home of its own and takes the pictures there."""
    with tempfile.TemporaryDirectory(prefix="isp-") as name:
        folder = Path(name)
        DOCS.mkdir(exist_ok=True)
        (folder / "home").mkdir()
        run_command(folder / "home", "install", *(["--source", source] if source else [])).check_returncode()
        module = InstalledModule(folder / "home", Path(source or ""))
        raw = write_cfa_dng(folder / "night.dng", scene_frame(height=640, width=900, noise=(8e-3, 5e-5)), metadata=True)
        environment = {
            **environment_of(module.home),
            "XDG_RUNTIME_DIR": name,
            "NEURAL_ISP_CACHE": f"{name}/cache",
            "NEURAL_ISP_IDLE_EXIT": "10",
        }
        with (
            virtual_display() as display,
            open_darkroom(module.launcher, raw, folder / "gui", environment, display) as room,
        ):
            room.action(MODULE, "show", "on", 1)
            _move_mouse_away(display)
            off = room.settled()
            save(room, "off")
            room.toggle(True)
            wait_until(lambda: float(np.abs(room.picture() - off).mean()) > 1, "the restored picture")
            time.sleep(5)  # until darktable's note of the toggle is gone
            room.settled()
            save(room, "on")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
