"""RawTherapee's editor on a virtual display: a photograph is opened, and restored without a click."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from adapters.rawtherapee import keyfile
from adapters.rawtherapee.names import residuals_of, sidecar_path
from plugin_core.client import Client
from tests.hosts.rawtherapee import make_place
from tests.hosts.sources import scene_frame, write_plain_arw

pytestmark = [
    pytest.mark.host,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    *(
        pytest.mark.skipif(not shutil.which(program), reason=f"{program} is not installed")
        for program in ("rawtherapee", "Xvfb", "xdotool")
    ),
]

PATIENCE_S = 240.0
WIDTH, HEIGHT = 1180, 620
WINDOW = f"""WindowWidth={WIDTH}
WindowHeight={HEIGHT}
WindowMaximized=false
ToolPanelWidth=360
ShowHistory=false
ShowFilmStripToolBar=false
ToolPanelsExpandedAutoSave=false
"""
PANEL_LEFT = 835  # where the tool panel begins
DARK_FRAME_TITLE = (915, 268)  # where the Raw tab has it in a window of that size
DOCUMENTED = "NEURAL_ISP_SCREENSHOT"  # a path to keep the screenshot at, for docs/rawtherapee.md


def wait_for(condition: Callable[[], object], what: str) -> None:
    give_up_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up_s, f"waited in vain for {what}"
        time.sleep(0.2)


def is_still(look: Callable[[], np.ndarray[Any, Any]]) -> Callable[[], bool]:
    """A condition that holds when two looks in a row, a second apart, are alike."""

    def still() -> bool:
        before = look()
        time.sleep(1)
        return bool(np.array_equal(before, look()))

    return still


@contextmanager
def display(folder: Path) -> Iterator[str]:
    """A virtual screen whose picture is in folder/Xvfb_screen0; its number is the server's to choose."""
    read, write = os.pipe()
    command = ["Xvfb", "-displayfd", str(write), "-fbdir", str(folder), "-screen", "0", f"{WIDTH}x{HEIGHT}x24"]
    server = subprocess.Popen(command, pass_fds=(write,), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(write)
    try:
        with os.fdopen(read) as number:
            yield f":{number.readline().strip()}"
    finally:
        server.terminate()
        server.wait(30)


def screenshot(folder: Path) -> Image.Image:
    """What the virtual screen shows: an X window dump of 32-bit little-endian BGRX pixels."""
    content = (folder / "Xvfb_screen0").read_bytes()
    header = np.frombuffer(content[:100], dtype=">u4")
    start = int(header[0]) + 12 * int(header[19])  # header_size, then ncolors entries
    pixels = np.frombuffer(content[start : start + 4 * WIDTH * HEIGHT], dtype=np.uint8).reshape(HEIGHT, WIDTH, 4)
    return Image.fromarray(np.ascontiguousarray(pixels[..., 2::-1]))


def test_a_photograph_opens_restored(client: Client, tmp_path: Path) -> None:
    place = make_place(tmp_path / "home", {"GUI": WINDOW})
    folder = tmp_path / "shoot"
    folder.mkdir()
    source = write_plain_arw(folder / "IMG_1.ARW", scene_frame(height=832, width=1248, noise=(1e-3, 8e-6)))
    code, _, err = place.isp("install", "--force")
    assert code == 0, err
    log, screen = tmp_path / "log", tmp_path / "screen"
    screen.mkdir()
    with display(screen) as number, log.open("wb") as stream:
        environment = {**place.environment, "DISPLAY": number, "GDK_BACKEND": "x11", "NEURAL_ISP_CPB_SECONDS": "200"}
        editor = subprocess.Popen(["rawtherapee", str(source)], env=environment, stdout=stream, stderr=stream)

        def said() -> str:
            return log.read_text(errors="replace")

        def tool(*arguments: str) -> str:
            command = ["xdotool", *arguments]
            return subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout

        try:
            wait_for(lambda: "Custom profile builder's command line" in said(), "the profile builder")
            wait_for(lambda: "darkframe subtraction took" in said() or editor.poll() is not None, "the dark frame")
            assert editor.poll() is None, said()[-2000:]
            (residual,) = residuals_of(source)
            assert keyfile.get(sidecar_path(source).read_bytes(), "RAW", "DarkFrame") == residual.name
            assert f"Subtracting Darkframe:{residual}" in said()
            found = re.search(r"Extracted (\d+) pixels from darkframe", said())
            assert found is not None
            wait_for(lambda: tool("search", "--onlyvisible", "--name", "RawTherapee").split(), "the window")
            window = tool("search", "--onlyvisible", "--name", "RawTherapee").split()[0]
            tool("windowsize", window, str(WIDTH), str(HEIGHT))
            tool("windowfocus", window)
            wait_for(lambda: len(screenshot(screen).getcolors(1 << 24) or ()) > 1000, "a picture on the screen")

            def panel() -> np.ndarray[Any, Any]:
                return np.asarray(screenshot(screen))[:, PANEL_LEFT:]

            def act(*arguments: str) -> None:
                """Repeats what the panel does not answer; the editor may be slow to listen."""
                before, again_s = panel(), 0.0

                def answered() -> bool:
                    nonlocal again_s
                    if time.monotonic() > again_s:
                        tool(*arguments)
                        again_s = time.monotonic() + 30
                    return not np.array_equal(before, panel())

                wait_for(answered, " ".join(arguments))

            tool("key", "i")  # the photograph's facts off
            act("key", "alt+r")  # the Raw tab
            tool("mousemove", *map(str, DARK_FRAME_TITLE), "click", "1")  # with other fonts it may be elsewhere
            tool("mousemove", "400", "595")
            wait_for(is_still(panel), "the panel to rest")
            picture = screenshot(screen)
        finally:
            editor.send_signal(signal.SIGTERM)
            try:
                editor.wait(20)
            except subprocess.TimeoutExpired:
                editor.kill()
                editor.wait()
    assert np.asarray(picture).std() > 10
    picture.save(tmp_path / "raw_tab.png")
    if os.environ.get(DOCUMENTED):
        colours = picture.quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.FLOYDSTEINBERG)
        colours.save(os.environ[DOCUMENTED], optimize=True)
