"""The native module in a real darkroom under Xvfb: toggles, sliders, another picture, a server that dies."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from plugin_core.client import Client, DenoiseOptions, connect_local
from tests.builders import write_cfa_dng
from tests.hosts.darkroom import MODULE, Darkroom, open_darkroom, virtual_display, wait_until
from tests.hosts.darktable_module import InstalledModule, environment_of
from tests.hosts.sources import scene_frame

pytestmark = [pytest.mark.host, pytest.mark.slow, pytest.mark.timeout(600)]

CLOSE_UP, FIT = "views/darkroom/zoom close-up", "views/darkroom/zoom fit"
FROZEN_S = 10.0  # an answer of the GTK thread takes hundredths of a second on an idle machine; see docs/benchmarks.md


@pytest.fixture
def display() -> Iterator[str]:
    for tool in ("Xvfb", "import", "xdotool"):
        if not shutil.which(tool):
            pytest.skip(f"{tool} is not installed")
    with virtual_display() as name:
        yield name


def residuals(cache: Path) -> set[Path]:
    return set((cache / "hosts").glob("*.residual"))


def change(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    return float(np.abs(one - other).mean())


def test_toggle_sliders_and_another_picture(
    module: InstalledModule, client: Client, display: str, tmp_path: Path
) -> None:
    first = write_cfa_dng(tmp_path / "first.dng", scene_frame("GBRG", seed=5), metadata=True)
    # darktable itself divides by zero where an X-Trans mosaic is smaller than its navigation's
    large = scene_frame("XTRANS", height=1200, width=1800, seed=6)
    second = write_cfa_dng(tmp_path / "second.dng", large, metadata=True)
    restored = tmp_path / "restored.dng"
    client.denoise(first, restored, DenoiseOptions("standard"))
    cache = tmp_path / "cache"
    environment = {**environment_of(module.home), "NEURAL_ISP_CACHE": str(cache)}
    with open_darkroom(module.launcher, first, tmp_path / "gui", environment, display) as room:
        off = room.settled()
        room.toggle(True)
        wait_until(lambda: len(residuals(cache)) == 1, "the first picture's residual")
        wait_until(lambda: change(room.picture(), off) > 1, "a restored picture")
        on = room.settled()
        (kept,) = residuals(cache)
        asked = kept.with_suffix(".status").stat().st_mtime_ns

        # sliders and the switch are arithmetic: nobody is asked
        room.slide("strength", 0.3)
        some = room.settled()
        assert change(some, off) > 0.2
        assert change(on, off) > change(some, off)
        room.slide("strength", 0.0)
        assert change(room.settled(), off) == 0
        room.slide("strength", 1.0)
        assert change(room.settled(), on) == 0
        room.toggle(False)
        assert change(room.settled(), off) == 0
        room.toggle(True)
        assert change(room.settled(), on) == 0

        # another picture and back
        room.show(second)
        wait_until(lambda: room.shown() == "second.dng", "the second picture")
        other = room.settled()
        room.toggle(True)
        wait_until(lambda: len(residuals(cache)) == 2, "the second picture's residual")
        wait_until(lambda: change(room.picture(), other) > 1, "the second picture restored")
        room.show(first)
        wait_until(lambda: room.shown() == "first.dng", "the first picture again")
        assert change(room.settled(), on) < 0.5
        assert kept.with_suffix(".status").stat().st_mtime_ns == asked

        # close up, where darktable asks for a part of the picture only
        room.action(CLOSE_UP, "", "", 1)
        near = room.settled()
        assert change(near, on) > 1
        room.toggle(False)
        noisy_near = room.settled()
        assert change(noisy_near, near) > change(off, on)
        room.toggle(True)
        assert change(room.settled(), near) == 0
        assert kept.with_suffix(".status").stat().st_mtime_ns == asked
        room.action(FIT, "", "", 1)
        assert change(room.settled(), on) < 0.5

        # the file that the command line has restored looks the same, without the module
        room.show(restored)
        wait_until(lambda: room.shown() == "restored.dng", "the restored file")
        assert change(room.settled(), on) < change(off, on) / 4
        room.action(CLOSE_UP, "", "", 1)
        assert change(room.settled(), near) < change(noisy_near, near) / 4
        assert max(room.answer_s) < FROZEN_S
        assert "neuralisp" not in "".join(line for line in room.said.splitlines() if "error" in line.lower())


def test_a_server_that_dies_freezes_nothing(module: InstalledModule, display: str, tmp_path: Path) -> None:
    image = write_cfa_dng(tmp_path / "large.dng", scene_frame(height=3000, width=4500), metadata=True)
    runtime, cache = Path(f"/tmp/isp-{os.getpid()}-dark"), tmp_path / "cache"
    runtime.mkdir(mode=0o700)
    environment = {
        **environment_of(module.home),
        "XDG_RUNTIME_DIR": str(runtime),
        "NEURAL_ISP_CACHE": str(cache),
        "NEURAL_ISP_IDLE_EXIT": "60",
    }
    try:
        with open_darkroom(module.launcher, image, tmp_path / "gui", environment, display) as room:
            off = room.settled()
            room.toggle(True)
            killed = end_server(runtime, environment, cache, room)
            wait_until(lambda: keeps_moving(room) and len(residuals(cache)) == 1, "a second server's residual", 300)
            wait_until(lambda: change(room.picture(), off) > 0.5, "the restored picture")
            assert end_server(runtime, environment, cache, None) != killed
            assert max(room.answer_s) < FROZEN_S
    finally:
        shutil.rmtree(runtime, ignore_errors=True)


def keeps_moving(room: Darkroom) -> bool:
    """True: the GTK thread answers while the network runs."""
    room.action(f"{MODULE}/strength")
    return True


def end_server(runtime: Path, environment: dict[str, str], cache: Path, room: Darkroom | None) -> int:
    """Kills the server that the helper has started, in the middle of its work where `room` waits for it; its pid."""
    socket = runtime / "neural-isp" / "server.sock"
    if room is not None:
        wait_until(lambda: socket.exists() and "stage=restore" in status_of(cache), "the network at work", 180)
        keeps_moving(room)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", environment["XDG_RUNTIME_DIR"])
        patch.setenv("NEURAL_ISP_CACHE", environment["NEURAL_ISP_CACHE"])
        with connect_local(idle_exit_s=60) as server:
            pid = server.server_info().pid
    os.kill(pid, signal.SIGKILL)
    return pid


def status_of(cache: Path) -> str:
    return "".join(path.read_text() for path in (cache / "hosts").glob("*.status"))
