"""Results that can't be written: one clear line, no partial file, and the source as it was."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from plugin_core.client import Client, DenoiseOptions
from plugin_core.errors import LimitError, OptionError
from tests.abuse.place import assert_one_clear_line, place_of_its_own
from tests.builders import make_frame, write_cfa_dng

TINY_DISK_BYTES = 64 << 10


def mounted(folder: Path) -> Iterator[Path]:
    """A file system of 64 KiB at `folder`; skips where this user can't mount one."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("mounting a small tmpfs needs Linux and root")
    folder.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={TINY_DISK_BYTES},mode=700", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of 64 KiB."""
    yield from mounted(tmp_path / "disk")


@pytest.fixture
def large_file(tmp_path: Path) -> Path:
    """A DNG whose result does not fit the tiny disk."""
    return write_cfa_dng(tmp_path / "large.dng", make_frame(400, 600))


@pytest.mark.parametrize("case", ["no folder", "a file as folder", "a folder as file", "exists", "forbidden"])
def test_an_output_that_cannot_be_written_is_refused(
    case: str, client: Client, good_file: Path, tmp_path: Path, unharmed: Callable[[], None]
) -> None:
    before = good_file.read_bytes()
    output = {
        "no folder": tmp_path / "missing" / "out.dng",
        "a file as folder": good_file / "out.dng",
        "a folder as file": tmp_path / "folder.dng",
        "exists": tmp_path / "there.dng",
        "forbidden": Path("/proc/neural-isp.dng"),  # not even root can
    }[case]
    if case == "forbidden" and sys.platform != "linux":
        pytest.skip("/proc is Linux's")
    if case == "a folder as file":
        output.mkdir()
    if case == "exists":
        output.write_bytes(b"precious")
    with pytest.raises(OptionError) as refusal:
        client.denoise(good_file, output)
    assert_one_clear_line(refusal.value, output.name)
    assert good_file.read_bytes() == before
    if case == "exists":
        assert output.read_bytes() == b"precious"
    if case == "a folder as file":
        assert not list(output.iterdir())


def test_a_full_disk_is_said_and_leaves_nothing(
    client: Client, large_file: Path, tiny_disk: Path, unharmed: Callable[[], None]
) -> None:
    with pytest.raises(LimitError) as refusal:
        client.denoise(large_file, tiny_disk / "out.dng")
    assert refusal.value.reason == "DISK_FULL"
    assert_one_clear_line(refusal.value, "out.dng")
    assert not list(tiny_disk.iterdir())


def test_a_full_disk_under_an_old_result_keeps_the_old_result(
    client: Client, large_file: Path, tiny_disk: Path, unharmed: Callable[[], None]
) -> None:
    (tiny_disk / "out.dng").write_bytes(b"old")
    with pytest.raises(LimitError):
        client.denoise(large_file, tiny_disk / "out.dng", overwrite=True)
    assert [path.name for path in tiny_disk.iterdir()] == ["out.dng"]
    assert (tiny_disk / "out.dng").read_bytes() == b"old"


@pytest.mark.slow
def test_a_server_without_room_for_uploads_says_so(large_file: Path, good_file: Path, tmp_path: Path) -> None:
    with place_of_its_own() as own:
        for _ in mounted(own.spool):
            with own.connect() as client:
                with pytest.raises(LimitError) as refusal:
                    client.denoise(large_file.read_bytes(), tmp_path / "out.dng", name="large.dng")
                assert refusal.value.reason == "DISK_FULL"
                assert_one_clear_line(refusal.value)
                assert not own.leftovers()
                client.denoise(good_file, tmp_path / "small.dng")
            own.end_server()
    assert not (tmp_path / "out.dng").exists()


@pytest.mark.slow
def test_a_cache_without_room_is_a_warning(large_file: Path, tmp_path: Path) -> None:
    with place_of_its_own() as own:
        for _ in mounted(own.cache):
            with own.connect() as client:
                result = client.denoise(large_file, tmp_path / "out.dng", DenoiseOptions())
            own.end_server()
            assert sum(path.stat().st_size for path in own.cache.rglob("*") if path.is_file()) <= TINY_DISK_BYTES
    assert any("kept" in warning for warning in result.warnings)
    assert (tmp_path / "out.dng").exists()
