"""Makes docs/darktable_lua.png: the panel in a real darktable, at work on two raws.

python -m tests.hosts.panel_picture docs/darktable_lua.png
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

from adapters.darktable.lua_install import install_lua
from plugin_core.cli.darktable_lua import own_program
from tests.builders import write_cfa_dng
from tests.hosts.darktable_gui import missing, running_darktable
from tests.hosts.sources import scene_frame

__all__ = ["take"]

SIZE = (1200, 820)
SHOWN = (0, 0, 1200, 520)  # left, top, right, bottom
BUTTON = (94, 95, 98)  # near the theme's own, and nothing else has it
PAINT = "#neural-isp-denoise { background-color: rgb(94,95,98); background-image: none; }"
COLOURS = 128


def take(target: Path) -> None:
    """Writes the picture as a PNG of few colours. The commands use this user's local server."""
    with tempfile.TemporaryDirectory(prefix="isp-") as name:
        folder = Path(name)
        pictures = folder / "concert"
        pictures.mkdir()
        for number in (1, 2):
            frame = scene_frame(height=2400, width=3600, seed=number)
            write_cfa_dng(pictures / f"DSC_000{number}.dng", frame, metadata=True)
        install_lua(folder / "config", own_program())
        with running_darktable(folder, pictures, style=PAINT, size=SIZE) as darktable:
            darktable.wait(lambda: darktable.find(BUTTON), "panel")
            darktable.key("ctrl+a")
            darktable.wait(lambda: darktable.rows("SELECT COUNT(*) FROM selected_images") == [(2,)], "selection")
            darktable.click(BUTTON)
            darktable.do("mousemove", SIZE[0] // 2, SIZE[1] // 2)  # no tooltip over the panel
            darktable.wait(lambda: len(darktable.rows("SELECT id FROM images")) == 3, "first result")
            darktable.wait(darktable.commands, "second command")
            time.sleep(1.5)  # for the look of it: some way into the second
            screen = Image.fromarray(darktable.screen()).crop(SHOWN)
    screen.quantize(COLOURS).save(target, optimize=True)


if __name__ == "__main__":
    if missing():
        sys.exit(f"{missing()} is not installed")
    take(Path(sys.argv[1]))
