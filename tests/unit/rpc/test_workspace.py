"""Temporary folders: private, gone after the job, and swept after a crash."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from plugin_core.errors import OptionError
from plugin_core.io.atomic import atomic_write
from plugin_core.rpc.workspace import Workspace, private_directory


def test_job_folder_is_private_and_goes_with_the_job(tmp_path: Path) -> None:
    with Workspace(tmp_path / "spool") as workspace:
        with workspace.job("abc") as folder:
            assert folder.stat().st_mode & 0o777 == 0o700
            (folder / "input-0.dng").write_bytes(b"x")
        assert not folder.exists()
        with pytest.raises(ValueError, match="oops"), workspace.job("def"):
            raise ValueError("oops")
        assert list(workspace.path.iterdir()) == []
    assert not (tmp_path / "spool").exists()


def test_sweeps_what_dead_servers_left_and_nothing_else(tmp_path: Path) -> None:
    base = private_directory(tmp_path / "spool")
    me = psutil.Process()
    alive = f"{os.getpid()}-{int(me.create_time()) + 1}"  # within the clock's grain
    reused = f"{os.getpid()}-{int(me.create_time()) - 1000}"
    dead = f"{2**22 - 3}-1700000000"
    for name in (alive, reused, dead, "notes"):
        (base / name / "job").mkdir(parents=True)
    with Workspace(base):
        assert {path.name for path in base.iterdir()} >= {alive, "notes"}
        assert not (base / dead).exists()
        assert not (base / reused).exists()
    assert (base / alive).exists()


def test_sweeps_results_that_a_dead_server_was_writing(tmp_path: Path) -> None:
    base, target = private_directory(tmp_path / "spool"), tmp_path / "photos" / "a.dng"
    target.parent.mkdir()
    (base / f"{2**22 - 3}-1700000000" / "job").mkdir(parents=True)
    Workspace.note_outputs(base / f"{2**22 - 3}-1700000000" / "job", [target])
    with atomic_write(target) as part:
        name = part.name.replace(f".{os.getpid()}.", f".{2**22 - 3}.")
        (target.parent / name).write_bytes(b"half")
    with Workspace(base):
        assert [path.name for path in target.parent.iterdir()] == ["a.dng"]


def test_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "theirs")
    with pytest.raises(OptionError) as caught:
        private_directory(tmp_path / "link")
    assert caught.value.reason == "DIRECTORY_NOT_PRIVATE"


def test_folder_that_can_t_be_made_is_an_option_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OptionError) as caught:
        private_directory(tmp_path / "file" / "spool")
    assert caught.value.reason == "DIRECTORY_UNUSABLE"
