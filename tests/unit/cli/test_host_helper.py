"""The folder between hosts' modules and their helper, and the helper's arguments."""

from __future__ import annotations

import configparser
import os
import time
from pathlib import Path

import pytest

from plugin_core.client.host_cache import HostCache, write_status
from tests.unit.cli.running import Run


def keep(cache: HostCache, name: str, size: int, age_s: float) -> Path:
    path = cache.folder / f"{name}.residual"
    path.write_bytes(bytes(size))
    path.with_suffix(".status").write_text("[neural-isp]\n")
    os.utime(path, (time.time() - age_s,) * 2)
    return path


def test_the_least_recently_used_go_first(tmp_path: Path) -> None:
    cache = HostCache(tmp_path, limit_bytes=300)
    old, middle, new = (keep(cache, name, 100, age) for name, age in (("a", 30), ("b", 20), ("c", 10)))
    cache.make_room(0)
    assert [path for _, _, path in cache.residuals()] == [old, middle, new]
    cache.make_room(150)
    assert [path for _, _, path in cache.residuals()] == [new]
    assert not middle.with_suffix(".status").exists()
    assert cache.clear() == 1
    assert cache.size() == 0


def test_what_killed_helpers_left_goes_after_a_day(tmp_path: Path) -> None:
    left, fresh = tmp_path / "a.samples", tmp_path / "b.samples"
    for path in (left, fresh):
        path.touch()
    os.utime(left, (time.time() - 90_000,) * 2)
    HostCache(tmp_path).make_room(0)
    assert list(tmp_path.iterdir()) == [fresh]


@pytest.mark.parametrize("text", ["plain", "two\nlines", "back\\slash", "100 % = all", "ünï"])
def test_status_files_are_ini(tmp_path: Path, text: str) -> None:
    write_status(tmp_path / "a.status", {"state": "failed", "message": text})
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(tmp_path / "a.status", encoding="utf-8")
    assert parser["neural-isp"]["contract"] == "1"
    assert parser["neural-isp"]["message"].replace("\\\\", "\\") == " ".join(text.split())
    assert [path.name for path in tmp_path.iterdir()] == ["a.status"]


ARGUMENTS = ("host-helper", "--key", "abc", "--window", "0,0,8,8,8,8", "--cfa", "0112")


@pytest.mark.parametrize(
    ("arguments", "state", "said"),
    [
        (("--contract", "2", "--raw", "/x.dng"), "failed", "run `neural-isp darktable install` again"),
        (("--contract", "1", "--raw", "/no such file.dng"), "failed", "no such file"),
        (("--contract", "1"), "failed", "expected either"),
    ],
)
def test_the_helper_says_what_is_wrong(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], state: str, said: str
) -> None:
    monkeypatch.setenv("NEURAL_ISP_CACHE", str(tmp_path))
    outcome = run(*ARGUMENTS, *arguments, "--server", "localhost:9")
    assert outcome.code == 2
    status = (tmp_path / "hosts/abc.status").read_text()
    assert f"state={state}" in status
    assert said in status


def test_keys_name_no_other_folder(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEURAL_ISP_CACHE", str(tmp_path))
    assert run(*ARGUMENTS, "--contract", "1", "--raw", "/x", "--key", "../abc").code == 2
    assert not list(tmp_path.rglob("*.status"))
