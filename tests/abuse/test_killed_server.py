"""A server that is killed at any moment. Clients that vanish, crowd in or are strangers: see tests/contract."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from pathlib import Path

import pytest

from plugin_core.client import DenoiseOptions, ServerLost
from tests.abuse.place import assert_one_clear_line, eventually, place_of_its_own
from tests.builders import make_frame, write_cfa_dng

KILLS = 20
UNCACHED = DenoiseOptions(use_cache=False)  # so that every job takes as long


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_server_killed_at_any_moment_leaves_no_trace(good_file: Path, tmp_path: Path) -> None:
    source = write_cfa_dng(tmp_path / "source.dng", make_frame(1200, 1600))
    folder = tmp_path / "results"
    folder.mkdir()
    draw = random.Random(20)
    lost: list[ServerLost] = []
    with place_of_its_own() as own:
        with own.connect() as client:
            began = time.monotonic()
            client.denoise(source, folder / "out.dng", UNCACHED)
            length_s = time.monotonic() - began
            (folder / "out.dng").unlink()
        for kill in range(KILLS):
            with own.connect() as client:
                process = client.server_info().pid
                timer = threading.Timer(draw.uniform(0.0, length_s), os.kill, (process, signal.SIGKILL))
                timer.start()
                try:
                    client.denoise(source, folder / "out.dng", UNCACHED)
                    (folder / "out.dng").unlink()
                except ServerLost as error:
                    lost.append(error)
                timer.join()
            assert not list(folder.iterdir()), f"after kill {kill}"
            # the decoder goes with its server; on a busy machine it may still be importing when that happens
            assert eventually(lambda: not own.processes(), 60), own.processes()
        with own.connect() as client:
            client.denoise(good_file, folder / "out.dng")
            assert eventually(lambda: not own.leftovers()), own.leftovers()
    for error in lost:
        assert_one_clear_line(error)
    assert {error.reason for error in lost} <= {"SERVER_LOST", "SERVER_UNREACHABLE"}
    assert len(lost) >= KILLS // 4  # the others had ended already
    assert [path.name for path in folder.iterdir()] == ["out.dng"]
