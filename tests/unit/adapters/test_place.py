"""Where the darktable module is put, and that nothing is left of it; how doctor words what is wrong."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from adapters.darktable import doctor, found
from adapters.darktable.found import Darktable
from adapters.darktable.place import place_private, place_system, remove_private, remove_system
from adapters.darktable.source import check_source
from plugin_core.errors import OptionError


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def darktable(tmp_path: Path) -> Darktable:
    """A tree like an installation's; its programs print their arguments."""
    modules = tmp_path / "usr/lib/darktable"
    for name in ("plugins/imageio", "views"):
        (modules / name).mkdir(parents=True)
    (modules / "plugins/libexposure.so").touch()
    program = tmp_path / "usr/bin/darktable"
    program.parent.mkdir()
    for path in (program, program.with_name("darktable-cli")):
        path.write_text('#!/bin/sh\nprintf "%s|" "$@"\n')
        path.chmod(0o755)
    return Darktable(program, "4.2.1", modules, True)


@pytest.fixture
def module(tmp_path: Path) -> Path:
    path = tmp_path / "built.so"
    path.write_bytes(b"\x7fELF NEURALISP-BUILT-FOR:4.2.1\0")
    return path


def printed(program: Path, *arguments: str) -> list[str]:
    return subprocess.run([str(program), *arguments], capture_output=True, text=True, check=True).stdout.split("|")[:-1]


def test_private_installation_and_its_undoing(home: Path, darktable: Darktable, module: Path) -> None:
    (home / ".local/bin").mkdir(parents=True)
    (home / ".local/bin/mine").touch()
    placed = place_private(darktable, module)
    plugins = placed.module.parent
    assert {path.name for path in plugins.iterdir()} == {"imageio", "libexposure.so", "libneuralisp.so"}
    assert (plugins / "libexposure.so").resolve() == darktable.plugins / "libexposure.so"
    assert (plugins.parent / "views").is_dir()
    assert placed.launcher is not None
    assert printed(placed.launcher, "a b.dng") == ["--moduledir", str(plugins.parent), "a b.dng"]
    place_private(darktable, module)  # again, over the first

    gone = remove_private()
    assert len(gone) == 4
    assert [str(path.relative_to(home)) for path in sorted(home.rglob("*"))] == [
        ".local",
        ".local/bin",
        ".local/bin/mine",
    ]
    assert remove_private() == []
    assert not list(darktable.plugins.glob("*neural*"))


def test_the_cli_launcher_puts_the_folder_among_the_core_options(
    home: Path, darktable: Darktable, module: Path
) -> None:
    placed = place_private(darktable, module)
    assert placed.launcher is not None
    launcher = placed.launcher.with_name("darktable-cli-neural-isp")
    folder = str(placed.module.parents[1])
    assert printed(launcher, "a.dng", "b.tif") == ["a.dng", "b.tif", "--core", "--moduledir", folder]
    assert printed(launcher, "a", "b", "--core", "-d", "perf") == [
        "a",
        "b",
        "--core",
        "-d",
        "perf",
        "--moduledir",
        folder,
    ]


def test_system_wide(home: Path, darktable: Darktable, module: Path) -> None:
    placed = place_system(darktable, module)
    assert placed.module == darktable.plugins / "libneuralisp.so"
    assert stat.S_IMODE(placed.module.stat().st_mode) == 0o644
    assert remove_system(darktable) == [placed.module]
    assert remove_system(darktable) == []
    assert {path.name for path in darktable.plugins.iterdir()} == {"imageio", "libexposure.so"}


def test_a_tree_of_another_version_is_refused(darktable: Darktable, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="is no source tree of darktable"):
        check_source(tmp_path, darktable)
    tree = tmp_path / "darktable-5.0.0"
    for name in ("src/config.cmake.h", "src/iop/iop_api.h", "src/common/darktable.h", "tools/introspection/parser.pl"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).touch()
    with pytest.raises(OptionError, match=r"is not the source of darktable 4\.2\.1"):
        check_source(tree, darktable)


def test_without_darktable(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(OptionError, match="darktable is not installed"):
        found.find_darktable()
    (finding,) = doctor.examine()
    assert finding.good is False


def test_doctor_knows_a_module_of_another_darktable(home: Path, darktable: Darktable, module: Path) -> None:
    module.write_bytes(b"NEURALISP-BUILT-FOR:3.8.0\0")
    placed = place_private(darktable, module)
    (finding,) = doctor._module(placed.module, darktable)
    assert finding.good is False
    assert "built for darktable 3.8.0, installed is 4.2.1; run `neural-isp darktable install` again" in finding.text
    os.unlink(darktable.plugins / "libexposure.so")
    assert any("gone" in one.text for one in doctor._private(darktable))
