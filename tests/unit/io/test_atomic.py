from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from plugin_core.errors import LimitError, OptionError
from plugin_core.io import atomic
from plugin_core.io.atomic import atomic_write


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def test_the_file_appears_at_the_end(tmp_path: Path) -> None:
    target = tmp_path / "a.dng"
    with atomic_write(target) as part:
        part.write_text("whole")
        assert not target.exists()
        assert part.parent == tmp_path
    assert names(tmp_path) == ["a.dng"]
    assert target.read_text() == "whole"


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        with atomic_write(tmp_path / "a") as part:
            part.write_text("x")
    finally:
        os.umask(old)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_an_existing_file_stays(tmp_path: Path) -> None:
    target = tmp_path / "a.dng"
    target.write_text("old")
    with pytest.raises(OptionError) as caught, atomic_write(target):
        raise AssertionError("the block must not run")
    assert caught.value.reason == "OUTPUT_EXISTS"
    assert target.read_text() == "old"
    with atomic_write(target, overwrite=True) as part:
        part.write_text("new")
    assert target.read_text() == "new"


@pytest.mark.parametrize("links", [True, False])
def test_a_file_that_turns_up_meanwhile_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    if not links:
        monkeypatch.setattr(os, "link", _no_links)
    target = tmp_path / "a.dng"
    writing = atomic_write(target)
    writing.__enter__().write_text("ours")
    target.write_text("theirs")
    with pytest.raises(OptionError) as caught:
        writing.__exit__(None, None, None)
    assert caught.value.reason == "OUTPUT_EXISTS"
    assert target.read_text() == "theirs"
    assert names(tmp_path) == ["a.dng"]


def _no_links(*_: object, **__: object) -> None:
    raise OSError(errno.EPERM, "no hard links here")


def test_file_systems_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", _no_links)
    with atomic_write(tmp_path / "a") as part:
        part.write_text("x")
    assert names(tmp_path) == ["a"]


def test_nothing_remains_of_a_failure(tmp_path: Path) -> None:
    def fail() -> None:
        with atomic_write(tmp_path / "a") as part:
            part.write_text("half")
            raise KeyError("oops")

    with pytest.raises(KeyError):
        fail()
    assert names(tmp_path) == []


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("where", ["fsync", "block"])
def test_a_full_disk_is_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, where: str) -> None:
    def full(_: int) -> None:
        raise OSError(code, os.strerror(code))

    if where == "fsync":
        monkeypatch.setattr(os, "fsync", full)

    def write() -> None:
        with atomic_write(tmp_path / "a") as part:
            part.write_text("half")
            if where == "block":
                full(0)

    with pytest.raises(LimitError) as caught:
        write()
    assert caught.value.reason == "DISK_FULL"
    assert str(tmp_path / "a") in caught.value.message
    assert names(tmp_path) == []


@pytest.mark.parametrize("target", ["missing/a.dng", "file/a.dng", "n" * 300])
def test_unwritable_places_are_the_callers_mistake(tmp_path: Path, target: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OptionError) as caught, atomic_write(tmp_path / target) as part:
        part.write_text("x")
    assert caught.value.reason == "OUTPUT_UNWRITABLE"
    assert names(tmp_path) == ["file"]


def test_a_folder_is_no_file_name(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="folder"), atomic_write(tmp_path, overwrite=True):
        pass


def test_a_link_to_nowhere_counts_as_existing(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "nowhere")
    with pytest.raises(OptionError), atomic_write(tmp_path / "a"):
        pass


def test_what_a_killed_process_left_is_swept(tmp_path: Path) -> None:
    program = (
        "import os, pathlib, signal, sys\n"
        "from plugin_core.io.atomic import atomic_write\n"
        "with atomic_write(pathlib.Path(sys.argv[1]) / 'a') as part:\n"
        "    part.write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False)
    assert len(names(tmp_path)) == 1
    live = tmp_path / f".b.{atomic._host()}.{os.getpid()}.00000000.nisp-part"
    live.write_text("a living process's")
    with atomic_write(tmp_path / "c") as part:
        part.write_text("x")
    assert names(tmp_path) == [live.name, "c"]
