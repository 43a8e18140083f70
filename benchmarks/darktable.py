"""Seconds from the switch to the restored picture in darktable, 24 megapixels, and how fast its window answers."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from adapters.darktable.found import find_darktable
from adapters.darktable.source import fetch_source
from benchmarks import report
from benchmarks.speed import large_frame
from tests.builders import write_cfa_dng
from tests.hosts.darkroom import MODULE, Darkroom, open_darkroom, virtual_display
from tests.hosts.darktable_module import InstalledModule, environment_of, run_command

HEIGHT, WIDTH = 4000, 6000
FIRST_S = {"standard": 15.0, "fast": 9.0}
CACHED_S, ANSWER_S = 1.5, 0.2
SEEN = 0.4  # mean difference of two 8-bit pictures from which on they are two pictures
GIVE_UP_S = 300.0
LOOK_EVERY_S = 0.2  # looking and asking take processor time from what is measured


@dataclass(frozen=True)
class Figures:
    """Seconds: to the first restored picture, switched off and on again, a slider, and the window's longest silence."""

    first: float
    cached: float
    slider: float
    answer: float


def _until_changed(room: Darkroom, act: Callable[[], None], asking: bool = False) -> float:
    """Seconds from `act` to another picture on the screen. asking: the GTK thread is asked all the while."""
    before = room.settled()
    begun = time.monotonic()
    act()
    while float(np.abs(room.picture() - before).mean()) < SEEN:
        if time.monotonic() - begun > GIVE_UP_S:
            raise TimeoutError("the picture does not change")
        if asking:
            room.action(f"{MODULE}/strength")
        time.sleep(LOOK_EVERY_S)
    return time.monotonic() - begun


def _measure(module: InstalledModule, raw: Path, model: str, folder: Path) -> Figures:
    environment = {
        **environment_of(module.home),
        "XDG_RUNTIME_DIR": str(folder),
        "NEURAL_ISP_CACHE": str(folder / "cache"),
        "NEURAL_ISP_IDLE_EXIT": "10",
    }
    with (
        virtual_display() as display,
        open_darkroom(module.launcher, raw, folder / "gui", environment, display) as room,
    ):
        if model == "fast":
            room.action(f"{MODULE}/model", "selection", "item:fast", 1)  # also switches the module on
            room.toggle(False)
            room.settled()
        first = _until_changed(room, lambda: room.toggle(True), asking=True)
        answer = max(room.answer_s)
        _until_changed(room, lambda: room.toggle(False))
        cached = _until_changed(room, lambda: room.toggle(True))
        slider = _until_changed(room, lambda: room.slide("strength", 0.0))
    return Figures(first, cached, slider, answer)


def section() -> str:
    """The section's Markdown."""
    with tempfile.TemporaryDirectory(prefix="isp-") as name:
        folder = Path(name)
        home, source = folder / "home", folder / "source"
        home.mkdir()
        source.mkdir()
        tree = fetch_source(find_darktable(), source)
        run_command(home, "install", "--source", str(tree)).check_returncode()
        module = InstalledModule(home, tree)
        raw = write_cfa_dng(folder / "large.dng", large_frame(HEIGHT, WIDTH), metadata=True)
        found = {}
        for model in FIRST_S:
            place = folder / model
            place.mkdir()
            found[model] = _measure(module, raw, model, place)
    rows = [
        (model, f"{one.first:.1f}", f"{one.cached:.2f}", f"{one.slider:.2f}", f"{one.answer:.3f}")
        for model, one in found.items()
    ]
    bars = [
        report.Bar(
            f"{model}: first restored picture within {bar:g} s",
            f"{found[model].first:.1f} s",
            found[model].first <= bar,
        )
        for model, bar in FIRST_S.items()
    ]
    cached, answer = max(one.cached for one in found.values()), max(one.answer for one in found.values())
    bars.append(report.Bar(f"a kept picture within {CACHED_S:g} s", f"{cached:.2f} s", cached <= CACHED_S))
    bars.append(report.Bar(f"the window answers within {ANSWER_S:g} s", f"{answer:.3f} s", answer <= ANSWER_S))
    head = ("model", "first, s", "kept, s", "slider to 0, s", "longest answer, s")
    stamp = report.stamp("python -m benchmarks.run --only darktable", ("onnxruntime", "numpy"), NOTE)
    return "\n".join([stamp, report.table(head, rows), report.bar_table(bars)])


NOTE = (
    f"A {WIDTH} x {HEIGHT} DNG in darktable's darkroom under Xvfb, no server running: seconds from switching the "
    "module on to another picture on the screen; the same with the result kept; a slider's move. While the network "
    "runs, the GTK thread is asked for a slider's value several times a second: its longest answer. "
)
