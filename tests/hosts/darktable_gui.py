"""A real darktable on a screen of its own: looked at, clicked and typed into, its library read from outside."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
from numpy.typing import NDArray
from PIL import Image

__all__ = ["TIMEOUT_S", "Darktable", "missing", "running_darktable"]

NEEDED = ("darktable", "Xvfb", "xdotool")
TIMEOUT_S = float(
    os.environ.get("T", 120)
)  # for anything to happen: the machine may be slow and busy with other things
START_TIMEOUT_S = 40.0  # for the window to be painted
STARTS = 5
POLL_S = 0.1
SIZE = (1600, 1000)  # of the screen and the window, width and height

Picture = NDArray[np.uint8]


@dataclass
class Darktable:
    """One running darktable. folder holds its settings (config/), home, screen and log."""

    folder: Path
    display: str
    process: psutil.Popen
    size: tuple[int, int]

    @property
    def log(self) -> str:
        """What it has printed so far."""
        return (self.folder / "log").read_text(errors="replace")

    def screen(self) -> Picture:
        """What is on the screen, (H, W, 3) uint8; Xvfb keeps it in a file of the X window dump format."""
        content = (self.folder / "Xvfb_screen0").read_bytes()
        header = np.frombuffer(content[:100], ">u4")
        start, rows, stride = int(header[0] + 12 * header[19]), int(header[5]), int(header[12])
        pixels = np.frombuffer(content, np.uint8, rows * stride, start).reshape(rows, -1, 4)
        return pixels[:, : int(header[4]), 2::-1].copy()  # stored as blue, green, red, unused

    def save_screen(self, path: Path) -> None:
        """Writes the screen as PNG."""
        Image.fromarray(self.screen()).save(path)

    def find(self, colour: tuple[int, int, int]) -> tuple[int, int] | None:
        """The middle (x, y) of what is painted in this very colour; None if there is little or nothing."""
        rows, columns = np.nonzero((self.screen() == np.array(colour, np.uint8)).all(axis=-1))
        return (int(np.median(columns)), int(np.median(rows))) if len(rows) >= 100 else None

    def wait(self, condition: Callable[[], object], what: str) -> None:
        """Returns once the condition holds. Fails with what darktable said if it doesn't, or darktable ends."""
        give_up_s = time.monotonic() + TIMEOUT_S
        while not condition():
            alive = self.process.poll() is None
            if not alive or time.monotonic() > give_up_s:
                self.save_screen(self.folder / "screen.png")
                state = "still runs" if alive else f"ended with {self.process.returncode}"
                raise AssertionError(f"no {what}; darktable {state}; {self.folder}/screen.png\n{self.log[-3000:]}")
            time.sleep(POLL_S)

    def click(self, colour: tuple[int, int, int]) -> None:
        """Clicks on what is painted in this colour, as soon as it is there and stays in its place."""
        seen: list[tuple[int, int] | None] = [None]

        def steady() -> bool:
            seen.append(self.find(colour))
            return seen[-1] is not None and seen[-1] == seen[-2]

        self.wait(steady, f"button in {colour}")
        assert seen[-1] is not None
        self.do("mousemove", *seen[-1])
        time.sleep(0.3)  # GTK must see the pointer arrive before the press
        self.do("click", 1)

    def key(self, *names: str) -> None:
        """Presses keys, with the pointer in the middle of the window, where the keyboard's focus then is."""
        self.do("mousemove", self.size[0] // 2, self.size[1] * 2 // 3)
        time.sleep(0.3)
        for name in names:
            self.do("key", name)

    def do(self, *words: object) -> None:
        """One xdotool command."""
        subprocess.run(
            ["xdotool", *map(str, words)], env={**os.environ, "DISPLAY": self.display}, check=True, timeout=TIMEOUT_S
        )

    def commands(self) -> list[psutil.Process]:
        """The command lines of ours that it runs."""
        found = []
        for child in self.process.children(recursive=True):
            try:
                if "denoise" in child.cmdline() and child.name() != "sh":
                    found.append(child)
            except psutil.Error:  # gone meanwhile
                continue
        return found

    def rows(self, query: str) -> list[tuple[object, ...]]:
        """Rows of its library, and of data.db as `data`; none while darktable has yet to make them."""
        library, data = self.folder / "config" / "library.db", self.folder / "config" / "data.db"
        if not (library.exists() and data.exists()):
            return []
        with closing(sqlite3.connect(f"file:{library}?mode=ro", uri=True, timeout=TIMEOUT_S)) as connection:
            connection.execute("ATTACH DATABASE ? AS data", (f"file:{data}?mode=ro",))
            made = connection.execute("SELECT name FROM sqlite_master WHERE name = 'selected_images'").fetchall()
            return connection.execute(query).fetchall() if made else []


@contextmanager
def running_darktable(
    folder: Path, *arguments: object, style: str = "", size: tuple[int, int] = SIZE, **settings: str
) -> Iterator[Darktable]:
    """darktable with folder/config as its settings, killed when the block ends.

    style: CSS, to paint what is looked for. settings: darktable's own, "/" written as "__".
    """
    config = folder / "config"
    for made in (config, folder / "home", folder / "cache"):
        made.mkdir(exist_ok=True)
    (config / "user.css").write_text(style)
    own = {
        "themes/usercss": "true",
        "ui_last/window_w": str(size[0]),
        "ui_last/window_h": str(size[1]),
        "plugins/lighttable/neural_isp/expanded": "true",
        "plugins/darkroom/neural_isp/expanded": "true",
        **{name.replace("__", "/"): value for name, value in settings.items()},
    }
    options = [word for name, value in own.items() for word in ("--conf", f"{name}={value}")]
    command = ["darktable", "--configdir", config, "--cachedir", folder / "cache", "--disable-opencl", "-d", "lua"]
    read_end, write_end = os.pipe()
    screen = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write_end), "-fbdir", folder, "-screen", "0", f"{size[0]}x{size[1]}x24"],
        pass_fds=[write_end],
        stderr=subprocess.DEVNULL,
    )
    try:
        os.close(write_end)
        with open(read_end) as pipe:
            display = f":{int(pipe.readline())}"
        environment = {**os.environ, "DISPLAY": display, "HOME": str(folder / "home"), "GDK_BACKEND": "x11"}
        words = [*map(str, command), *options, *map(str, arguments)]
        darktable = start(words, environment, folder, size)
        try:
            yield darktable
        finally:
            kill_all(darktable.process)
    finally:
        screen.kill()
        screen.wait()


def start(words: list[str], environment: dict[str, str], folder: Path, size: tuple[int, int]) -> Darktable:
    """Starts darktable and returns once it has painted its window, or ended.

    4.2.1 hangs before its first paint now and then on a busy machine, without a script of ours too: its own luarc
    calls the window before the main loop runs. Such a start is made again.
    """
    for _ in range(STARTS):
        with (folder / "log").open("wb") as log:
            process = psutil.Popen(words, env=environment, stdout=log, stderr=log)
        darktable = Darktable(folder, environment["DISPLAY"], process, size)
        give_up_s = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < give_up_s:
            if process.poll() is not None or darktable.screen().std() > 1.0:
                return darktable
            time.sleep(POLL_S)
        kill_all(process)
    raise AssertionError(f"darktable did not paint its window in {STARTS} starts\n{darktable.log}")


def kill_all(process: psutil.Popen) -> None:
    """Ends a process and what it started, by SIGKILL: darktable 4.2.1 often outlives SIGTERM."""
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in process.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        process.kill()
    process.wait()


def missing() -> str:
    """The first program that is needed here and not installed; "" if all are there."""
    return next((name for name in NEEDED if not shutil.which(name)), "")
