"""`neural-isp darktable install` for a real darktable: an empty home, the system, the fall-back, another version."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from adapters.darktable.build import build
from adapters.darktable.found import find_darktable
from plugin_core.client import Client
from tests.builders import write_cfa_dng
from tests.hosts.darktable_module import InstalledModule, Weights, decibels, edit_of, run_command
from tests.hosts.sources import scene_frame

pytestmark = [pytest.mark.host, pytest.mark.slow]


def files_of(home: Path) -> set[str]:
    """What is in a home, but for the folders that darktable makes when it is asked for its version."""
    found = {str(path.relative_to(home)) for path in home.rglob("*")}
    return {name for name in found if not name.startswith((".cache", ".config"))}


def test_install_doctor_and_undo_in_an_empty_home(darktable_source: Path, client: Client, tmp_path: Path) -> None:
    before = run_command(tmp_path, "doctor")
    assert before.returncode == 2
    assert "WRONG the module is not installed: run `neural-isp darktable install`" in before.stdout
    done = run_command(tmp_path, "install", "--source", str(darktable_source))
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(tmp_path / ".local/bin/darktable-neural-isp")
    assert "to undo: neural-isp darktable uninstall" in done.stderr
    after = run_command(tmp_path, "doctor")
    assert after.returncode == 0, after.stdout
    assert "darktable loads the module" in after.stdout
    assert run_command(tmp_path, "uninstall").returncode == 0
    assert files_of(tmp_path) == set()
    assert "nothing to remove" in run_command(tmp_path, "uninstall").stderr


def test_a_source_of_nothing_is_refused(darktable_source: Path, tmp_path: Path) -> None:
    done = run_command(tmp_path, "install", "--source", str(tmp_path))
    assert done.returncode == 2
    assert "is no source tree of darktable" in done.stderr
    assert files_of(tmp_path) == set()


def test_a_module_of_another_darktable_is_left_out(module: InstalledModule, client: Client, tmp_path: Path) -> None:
    """It must not be half there: darktable stops if a module that it has loaded has no place in its order."""
    installed = module.home / ".local/share/neural-isp/darktable/modules/plugins/libneuralisp.so"
    good = installed.read_bytes()
    source = write_cfa_dng(tmp_path / "a.dng", scene_frame())
    absent = module.render(source, edit_of(None), tmp_path)
    installed.write_bytes(good.replace(b"4.2.1", b"9.9.9"))
    try:
        found = module.render(source, edit_of(Weights()), tmp_path)
    finally:
        installed.write_bytes(good)
    assert decibels(found.picture, absent.picture) == float("inf")
    line = next(line for line in found.warnings if "was built for" in line)
    assert "is left out of darktable" in line
    assert "run `neural-isp darktable install`" in line


def test_without_the_hook_the_order_goes_into_the_library(
    module: InstalledModule, client: Client, tmp_path: Path
) -> None:
    installed = module.home / ".local/share/neural-isp/darktable/modules/plugins/libneuralisp.so"
    good = installed.read_bytes()
    source = write_cfa_dng(tmp_path / "a.dng", scene_frame())
    expected = module.render(source, edit_of(Weights()), tmp_path)
    plain = build(find_darktable(), module.source, tmp_path / "build", ["NEURALISP_WITHOUT_HOOK"])
    installed.write_bytes(plain.read_bytes())
    try:
        found = module.render(source, edit_of(Weights()), tmp_path)
    finally:
        installed.write_bytes(good)
    assert [line for line in found.warnings if "goes into the library instead" in line]
    assert decibels(found.picture, expected.picture) == float("inf")


@pytest.mark.skipif(os.geteuid() != 0, reason="installing among darktable's own modules needs root")
def test_system_wide_and_undo(darktable_source: Path, tmp_path: Path) -> None:
    target = find_darktable().plugins / "libneuralisp.so"
    if target.exists():
        pytest.skip("a module is installed system-wide here; it is left alone")
    try:
        done = run_command(tmp_path, "install", "--system", "--source", str(darktable_source))
        assert done.returncode == 0, done.stderr
        assert target.exists()
        assert "to undo: neural-isp darktable uninstall --system" in done.stderr
    finally:
        undone = run_command(tmp_path, "uninstall", "--system")
    assert undone.stdout.strip() == str(target)
    assert not target.exists()
