"""darktable's darkroom under Xvfb, driven from its own Lua: real toggles and sliders, no coordinates to click on.

A script in the configuration's luarc runs the Lua text that it finds in a file and writes the answer to another one.
dt.gui.action acts on the GTK thread and waits for it, so each answer is also the proof that the window is not frozen.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["Darkroom", "open_darkroom", "virtual_display", "wait_until"]

START_TIMEOUT_S = 60.0
STARTS = 4  # darktable 4.2.1 itself sometimes hangs before its window is drawn; see open_darkroom
ANSWER_TIMEOUT_S = 60.0
WIDTH, HEIGHT = 1400, 900
MODULE = "iop/neuralisp"

LUARC = """
dt = require "darktable"
local folder = "{folder}"
dt.control.dispatch(function()
  while not dt.control.ending do
    local file = io.open(folder .. "/ask")
    if file then
      local text = file:read("a")
      file:close()
      os.remove(folder .. "/ask")
      local chunk, wrong = load(text)
      local fine, answer = false, wrong
      if chunk then fine, answer = pcall(chunk) end
      local out = io.open(folder .. "/answer.part", "w")
      out:write((fine and "ok " or "error ") .. tostring(answer))
      out:close()
      os.rename(folder .. "/answer.part", folder .. "/answer")
    end
    dt.control.sleep(10)
  end
end)
"""


def wait_until(true: Callable[[], bool], what: str, timeout_s: float = ANSWER_TIMEOUT_S) -> None:
    """Returns once `true` is. Fails with `what` after a generous while."""
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {what}"
        time.sleep(0.05)


@contextmanager
def virtual_display() -> Iterator[str]:
    """A new X server's display, ":N", gone with the block."""
    read, write = os.pipe()
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", f"{WIDTH}x{HEIGHT}x24", "-nolisten", "tcp", "-noreset"]
    process = subprocess.Popen(command, pass_fds=(write,), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(write)
    try:
        with os.fdopen(read) as stream:
            number = stream.readline().strip()
        assert number, "Xvfb did not start"
        yield f":{number}"
    finally:
        process.kill()
        process.wait()


@dataclass
class Darkroom:
    """A running darktable. answer_s: how long each answer took, all of them waited for by the GTK thread."""

    process: subprocess.Popen[bytes]
    folder: Path
    display: str
    log: Path
    answer_s: list[float] = field(default_factory=list)

    def lua(self, text: str) -> str:
        """What the Lua text returns, as text."""
        begun = time.monotonic()
        part = self.folder / "ask.part"
        part.write_text(text)
        part.rename(self.folder / "ask")
        answer = self.folder / "answer"
        while not answer.exists():
            assert self.process.poll() is None, f"darktable ended ({self.process.returncode}):\n{self.said[-2000:]}"
            assert time.monotonic() - begun < ANSWER_TIMEOUT_S, f"darktable is frozen:\n{self.said[-2000:]}"
            time.sleep(0.005)
        self.answer_s.append(time.monotonic() - begun)
        said = answer.read_text()
        answer.unlink()
        assert said.startswith("ok "), said
        return said.removeprefix("ok ")

    def action(self, path: str, element: str = "", effect: str = "", size: float | None = None) -> float:
        """darktable's own action, as a shortcut would do it; without a size the present value."""
        amount = "" if size is None else f", {size}"
        return float(self.lua(f'return dt.gui.action("{path}", 0, "{element}", "{effect}"{amount})'))

    def toggle(self, on: bool) -> None:
        """Turns our module on or off."""
        self.action(MODULE, "enable", "on" if on else "off", 1)

    def slide(self, slider: str, value: float) -> None:
        """Moves one of our sliders."""
        self.action(f"{MODULE}/{slider}", "value", "set", value)

    def show(self, path: Path) -> None:
        """Puts another file into the darkroom, as a click in the filmstrip does."""
        self.lua(f'dt.gui.views.darkroom.display_image(dt.database.import("{path}"))')

    def shown(self) -> str:
        """The name of the file in the darkroom."""
        return self.lua("return dt.gui.views.darkroom.display_image().filename")

    def picture(self) -> NDArray[np.float64]:
        """The middle of the window: the picture, (h, w, 3)."""
        screen = self.screen()
        height, width = screen.shape[:2]
        return screen[height // 3 : 2 * height // 3, 2 * width // 5 : 3 * width // 5].astype(np.float64)

    def screen(self) -> NDArray[np.uint8]:
        """The whole window, (h, w, 3)."""
        path = self.folder / "screen.png"
        subprocess.run(["import", "-display", self.display, "-window", "root", str(path)], check=True, timeout=60)
        return np.array(Image.open(path).convert("RGB"))

    def is_open(self) -> bool:
        """True if the window is drawn and stays as it is for a while. Nothing may be asked before."""
        assert self.process.poll() is None, f"darktable ended ({self.process.returncode}):\n{self.said[-2000:]}"
        before = self.screen()
        time.sleep(1.5)
        return float(before.std()) > 1.0 and np.array_equal(before, self.screen())

    def settled(self) -> NDArray[np.float64]:
        """The picture once it has stopped changing."""
        before = self.picture()
        deadline = time.monotonic() + ANSWER_TIMEOUT_S
        while time.monotonic() < deadline:
            time.sleep(0.7)
            after = self.picture()
            if np.array_equal(before, after):
                return after
            before = after
        return before

    @property
    def said(self) -> str:
        """What darktable has printed."""
        return self.log.read_text(errors="replace")


@contextmanager
def open_darkroom(
    launcher: Path, image: Path, folder: Path, environment: Mapping[str, str], display: str
) -> Iterator[Darkroom]:
    """darktable with `image` in the darkroom. Killed at the end: it ignores SIGTERM.

    Started with a picture, darktable 4.2.1 hangs in about one start of six: an empty window, the GTK thread waiting for
    Lua's lock; also without our module and without a script (2 of 7). Such a start is given up and made again.
    """
    room = None
    for attempt in range(STARTS):
        room = _start(launcher, image, folder / f"start{attempt}", environment, display)
        try:
            wait_until(room.is_open, "a picture in the darkroom", START_TIMEOUT_S)
            break
        except AssertionError:
            _kill(room.process)
            if attempt == STARTS - 1:
                raise
    assert room is not None
    try:
        assert room.lua("return dt.gui.current_view().id") == "darkroom"
        _fill_display(display)
        room.answer_s.clear()
        yield room
    finally:
        _kill(room.process)


def _start(launcher: Path, image: Path, folder: Path, environment: Mapping[str, str], display: str) -> Darkroom:
    settings = folder / "config"
    settings.mkdir(parents=True)
    (settings / "luarc").write_text(LUARC.format(folder=folder))
    log = folder / "darktable.log"
    options = ["--configdir", str(settings), "--library", ":memory:", "--disable-opencl"]
    options += ["--conf", "plugins/darkroom/workflow=none", "--conf", "write_sidecar_files=never"]
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [str(launcher), *options, str(image)],
            env={**os.environ, **environment, "DISPLAY": display, "GDK_BACKEND": "x11"},
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
    return Darkroom(process, folder, display, log)


def _kill(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


def _fill_display(display: str) -> None:
    """Makes the window as large as the display: there is no window manager to do it."""
    environment = {**os.environ, "DISPLAY": display}
    found = subprocess.run(
        ["xdotool", "search", "--onlyvisible", "--name", "darktable"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    for window in found.stdout.split():
        command = ["xdotool", "windowsize", window, str(WIDTH), str(HEIGHT), "windowmove", window, "0", "0"]
        subprocess.run(command, env=environment, check=True, timeout=60)
