from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import imagecodecs
import numpy as np
import psutil
import pytest

from plugin_core.config import Limits
from plugin_core.errors import FileFormatError, IspError, LimitError, NoModelError
from plugin_core.frame import LinearImage, RawFrame
from plugin_core.io import wire
from plugin_core.io.pixels import SharedPixels, map_pixels
from plugin_core.io.worker import DecodeWorker
from tests.builders import (
    PATTERNS,
    make_frame,
    make_linear,
    write_arw,
    write_broken_files,
    write_cfa_dng,
    write_linear_dng,
)


def gone(pid: int, patience_s: float = 10.0) -> bool:
    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.02)
    return False


def test_pixels_arrive_whole_and_read_only(worker: DecodeWorker, tmp_path: Path) -> None:
    frame = make_frame(border=(2, 4, 0, 0))
    source = worker.read(write_cfa_dng(tmp_path / "a.dng", frame, metadata=True), "holiday/a.dng")
    assert isinstance(source.image, RawFrame)
    np.testing.assert_array_equal(source.image.mosaic, frame.mosaic)
    assert not source.image.mosaic.flags.writeable
    assert source.metadata.original_name == "a.dng"
    picture = make_linear()
    linear = worker.read(write_linear_dng(tmp_path / "b.dng", picture)).image
    assert isinstance(linear, LinearImage)
    np.testing.assert_array_equal(linear.pixels, picture.pixels)


def test_paths_are_relative_to_the_caller(
    worker: DecodeWorker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_cfa_dng(tmp_path / "here.dng", make_frame())
    monkeypatch.chdir(tmp_path)
    here = Path("here.dng")
    assert worker.read(here).image.source.name == worker.describe(here).name == "here.dng"
    assert worker.verify(here, here).passed
    assert worker.demosaic(here).shape[2] == 3


def test_pixels_outlive_the_next_request_and_the_worker(tmp_path: Path) -> None:
    one, two = make_frame(seed=1), make_frame(seed=2)
    with DecodeWorker(Limits()) as worker:
        first = worker.read(write_cfa_dng(tmp_path / "1.dng", one)).image
        second = worker.read(write_cfa_dng(tmp_path / "2.dng", two)).image
    assert isinstance(first, RawFrame)
    assert isinstance(second, RawFrame)
    np.testing.assert_array_equal(first.mosaic, one.mosaic)
    np.testing.assert_array_equal(second.mosaic, two.mosaic)


def test_errors_keep_their_class_and_words(worker: DecodeWorker, tmp_path: Path) -> None:
    files = write_broken_files(tmp_path / "broken")
    with pytest.raises(FileFormatError, match=r"^photo: the file is empty$") as caught:
        worker.read(files["empty"], "photo")
    assert caught.value.reason == "NOT_RAW"
    with pytest.raises(LimitError) as limit:
        worker.read(files["giant"])
    assert limit.value.metadata["found"] == "60000x60000"
    foveon = tmp_path / "a.x3f"
    foveon.write_bytes(b"FOVb" + bytes(100))
    with pytest.raises(NoModelError):
        worker.read(foveon)


def test_describe_groups_the_tags(worker: DecodeWorker, tmp_path: Path) -> None:
    path = write_cfa_dng(tmp_path / "a.dng", make_frame(), metadata=True)
    description = worker.describe(path, "b.dng")
    assert (description.name, description.make, description.lens) == ("b.dng", "Neural", "Test 50mm F1.8")
    found = {(tag.group, tag.name): tag.value for tag in description.tags}
    assert found["EXIF", "ISOSpeedRatings"] == "800"
    assert found["GPS", "GPSLatitudeRef"] == "N"
    assert found["Lens", "LensModel"] == "Test 50mm F1.8"
    assert found["IPTC", "City"] == "Zurich"
    assert found["XMP", "dc.subject"] == "one, two"
    assert found["DNG", "UniqueCameraModel"] == "Neural Test 1"
    assert not any("StripOffsets" in tag.name for tag in description.tags)


@pytest.mark.parametrize("cfa", ["RGGB", "GBRG", "MONOCHROME"])
def test_demosaic_gives_camera_rgb(worker: DecodeWorker, tmp_path: Path, cfa: str) -> None:
    frame = make_frame(120, 160, cfa=cfa, noise=None, border=(2, 4, 0, 0), orientation=6)
    pixels = worker.demosaic(write_cfa_dng(tmp_path / "a.dng", frame))
    assert (pixels.shape, pixels.dtype) == ((120, 160, 3), np.uint16)
    colors = PATTERNS[cfa].color_map(120, 160).astype(int)
    at_own = np.take_along_axis(pixels, colors[..., None], axis=2)[..., 0] / 65535
    inner = np.s_[8:-8, 8:-8]
    expected = np.clip(frame.signal(), 0, 1)
    assert np.median(np.abs(at_own - expected)[inner]) < 2e-4


def test_a_crash_is_an_error_and_the_next_call_works(tmp_path: Path) -> None:
    path = write_arw(tmp_path / "a.arw", make_frame(2000, 3000, noise=None))
    with DecodeWorker(Limits()) as worker:
        worker.read(path)
        pid = worker.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)  # so that the request is surely under way when it dies
        caught: list[BaseException] = []

        def ask() -> None:
            try:
                worker.read(path, "photo.arw")
            except BaseException as error:
                caught.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        time.sleep(0.3)
        os.kill(pid, signal.SIGSEGV)
        os.kill(pid, signal.SIGCONT)
        thread.join(10)
        (error,) = caught
        assert isinstance(error, FileFormatError)
        assert error.message == "photo.arw: the decoder crashed on this file (SIGSEGV)"
        assert gone(pid)
        assert isinstance(worker.read(path).image, RawFrame)
        assert worker.pid != pid


def test_a_worker_that_died_idle_harms_no_file(tmp_path: Path) -> None:
    path = write_cfa_dng(tmp_path / "a.dng", make_frame())
    with DecodeWorker(Limits()) as worker:
        worker.read(path)
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGKILL)
        os.waitid(os.P_PID, worker.pid, os.WEXITED | os.WNOWAIT)  # its last thread has left, and it is not reaped yet
        worker.read(path)


def test_a_hang_ends_at_the_time_limit(tmp_path: Path) -> None:
    path = write_cfa_dng(tmp_path / "a.dng", make_frame())
    with DecodeWorker(Limits(decode_time_s=1.0)) as worker:
        worker.read(path)
        pid = worker.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        start = time.monotonic()
        with pytest.raises(LimitError) as caught:
            worker.read(path, "slow.dng")
        assert caught.value.reason == "DECODE_TIMEOUT"
        assert "slow.dng" in caught.value.message
        assert time.monotonic() - start < 5
        assert gone(pid)
        worker.read(path)


def test_memory_is_limited(tmp_path: Path) -> None:
    path = write_cfa_dng(tmp_path / "a.dng", make_frame(2000, 3000, noise=None))
    with DecodeWorker(Limits(decode_memory_bytes=8 << 20)) as worker:
        with pytest.raises(LimitError) as caught:
            worker.read(path)
        assert caught.value.reason == "OUT_OF_MEMORY"
        small = worker.read(write_cfa_dng(tmp_path / "b.dng", make_frame()))
        assert isinstance(small.image, RawFrame)


def test_many_threads_share_one_worker(worker: DecodeWorker, tmp_path: Path) -> None:
    frames = [make_frame(seed=i) for i in range(6)]
    paths = [write_cfa_dng(tmp_path / f"{i}.dng", frame) for i, frame in enumerate(frames)]
    wrong: list[object] = []

    def read(i: int) -> None:
        for _ in range(3):
            image = worker.read(paths[i]).image
            if not isinstance(image, RawFrame) or not np.array_equal(image.mosaic, frames[i].mosaic):
                wrong.append(i)

    threads = [threading.Thread(target=read, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not wrong


def test_closing_ends_the_process_and_later_calls(tmp_path: Path) -> None:
    worker = DecodeWorker(Limits())
    path = write_cfa_dng(tmp_path / "a.dng", make_frame())
    worker.read(path)
    pid = worker.pid
    assert pid is not None
    worker.close()
    assert gone(pid)
    with pytest.raises(IspError, match="closed"):
        worker.read(path)
    worker.close()


def test_the_worker_leaves_when_its_owner_is_killed(tmp_path: Path) -> None:
    program = (
        "import os, signal\n"
        "from plugin_core.config import Limits\n"
        "from plugin_core.io.worker import DecodeWorker\n"
        "worker = DecodeWorker(Limits())\n"
        "print(worker.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert gone(int(done.stdout), 60)


def test_no_descriptor_and_no_memory_is_left_behind(tmp_path: Path) -> None:
    path = write_cfa_dng(tmp_path / "a.dng", make_frame())
    with DecodeWorker(Limits()) as worker:
        worker.read(path)
        assert worker.pid is not None
        both = [psutil.Process(), psutil.Process(worker.pid)]
        before = [process.num_fds() for process in both]
        for _ in range(20):
            worker.read(path)
            with pytest.raises(FileFormatError):
                worker.read(Path(__file__))
        # the worker closes the memory of an answer after sending it: it may still be about to, now as before
        give_up_s = time.monotonic() + 20
        while any(process.num_fds() > most for process, most in zip(both, before, strict=True)):
            assert time.monotonic() < give_up_s, "one descriptor a read would be 20 by now"
            time.sleep(0.05)


def test_owners_do_not_import_the_parsers() -> None:
    program = (
        "import sys, plugin_core.io.worker\n"
        "print([m for m in ('rawpy', 'pyexiv2', 'tifffile', 'imagecodecs') if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_pickles_of_foreign_classes_are_refused() -> None:
    frame = make_frame()
    assert wire.decode(wire.encode(("ok", frame.cfa, frame.active_area))) == ("ok", frame.cfa, frame.active_area)
    for foreign in (os.system, subprocess.Popen, Path("/"), SharedPixels):
        with pytest.raises(pickle.UnpicklingError):
            wire.decode(pickle.dumps(foreign))


def test_shared_pixels_promise_their_size() -> None:
    with SharedPixels() as shared:
        array = shared.allocate((3, 4), np.uint16)
        array[...] = 7
        with pytest.raises(ValueError, match="expected"):
            map_pixels(os.dup(shared.fd), (30, 4), np.uint16)
        copy = map_pixels(os.dup(shared.fd), (3, 4), np.uint16)
    del array
    assert (copy == 7).all()


def test_masks_are_read_in_the_worker_too(tmp_path: Path, worker: DecodeWorker) -> None:
    levels = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
    (tmp_path / "mask.png").write_bytes(imagecodecs.png_encode(levels))
    np.testing.assert_allclose(worker.read_mask(tmp_path / "mask.png"), levels / 255, atol=1e-6)
    (tmp_path / "cut.png").write_bytes((tmp_path / "mask.png").read_bytes()[:40])
    with pytest.raises(FileFormatError, match=r"cut\.png"):
        worker.read_mask(tmp_path / "cut.png")
    assert worker.read_mask(tmp_path / "mask.png").shape == (3, 4)
