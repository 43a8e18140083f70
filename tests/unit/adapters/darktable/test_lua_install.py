"""adapters.darktable.lua_install: in and out of a configuration folder, with every other byte kept."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from adapters.darktable.lua_install import SCRIPTS, install_lua, uninstall_lua
from plugin_core.cli.exit_codes import ExitCode
from plugin_core.errors import OptionError
from tests.unit.cli.running import Run, runner

COMMAND = Path("/opt/a b/neural-isp")
LUARCS = {
    "empty": b"",
    "plain": b'require "tools/script_manager"\n',
    "no newline at the end": b"-- mine",
    "windows lines": b'require "a"\r\nrequire "b"\r\n',
    "first line that Lua skips": b"#!/usr/bin/lua\nlocal a = 1\n",
    "nothing but such a line": b"#!/usr/bin/lua",
    "byte order mark": b"\xef\xbb\xbflocal a = 1\n",
    "not UTF-8": b"-- \xff\xfe\n",
}


def tree(folder: Path) -> dict[str, bytes | None]:
    """Every file and folder below, with contents."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


@pytest.mark.parametrize("name", LUARCS)
def test_undo_restores_every_byte(name: str, tmp_path: Path) -> None:
    (tmp_path / "luarc").write_bytes(LUARCS[name])
    (tmp_path / "luarc").chmod(0o600)
    (tmp_path / "lua" / "mine").mkdir(parents=True)
    before = tree(tmp_path)
    install_lua(tmp_path, COMMAND)
    during = (tmp_path / "luarc").read_bytes()
    assert len(during) > len(LUARCS[name])
    assert during.count(b"neural_isp/neural_isp") == 1
    assert (tmp_path / "luarc").stat().st_mode & 0o777 == 0o600
    assert uninstall_lua(tmp_path)
    assert tree(tmp_path) == before


def test_an_empty_home_is_empty_again(tmp_path: Path) -> None:
    config = tmp_path / ".config" / "darktable"
    (tmp_path / ".config").mkdir()
    install_lua(config, COMMAND)
    assert (config / "luarc").exists()
    assert uninstall_lua(config)
    assert tree(tmp_path) == {".config": None}
    assert not uninstall_lua(config)


def test_all_scripts_arrive_and_a_second_time_changes_nothing(tmp_path: Path) -> None:
    folder = install_lua(tmp_path, COMMAND)
    first = tree(tmp_path)
    shipped = {str(path.relative_to(SCRIPTS)) for path in SCRIPTS.rglob("*.lua")}
    assert shipped | {"lib/installed.lua"} == {name for name, content in tree(folder).items() if content is not None}
    install_lua(tmp_path, COMMAND)
    assert tree(tmp_path) == first
    install_lua(tmp_path, Path("/elsewhere/neural-isp"))
    assert b"/elsewhere/neural-isp" in (folder / "lib" / "installed.lua").read_bytes()
    assert (tmp_path / "luarc").read_bytes() == first["luarc"]


def test_a_linked_luarc_stays_a_link(tmp_path: Path) -> None:
    dotfiles = tmp_path / "dotfiles"
    dotfiles.mkdir()
    (dotfiles / "luarc").write_bytes(b"-- mine\n")
    config = tmp_path / "config"
    config.mkdir()
    (config / "luarc").symlink_to(dotfiles / "luarc")
    install_lua(config, COMMAND)
    assert (config / "luarc").is_symlink()
    uninstall_lua(config)
    assert (dotfiles / "luarc").read_bytes() == b"-- mine\n"


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "lua" / "neural_isp").mkdir(parents=True)
    (tmp_path / "lua" / "neural_isp" / "mine.lua").write_text("return {}")
    before = tree(tmp_path)
    with pytest.raises(OptionError, match="not made by neural-isp"):
        install_lua(tmp_path, COMMAND)
    assert not uninstall_lua(tmp_path)
    assert tree(tmp_path) == before


def test_what_was_added_to_the_folder_later_stays(tmp_path: Path) -> None:
    folder = install_lua(tmp_path, COMMAND)
    (folder / "notes").write_text("mine")
    (tmp_path / "luarc").write_bytes((tmp_path / "luarc").read_bytes() + b"-- mine\n")
    uninstall_lua(tmp_path)
    assert tree(tmp_path) == {
        "lua": None,
        "lua/neural_isp": None,
        "lua/neural_isp/notes": b"mine",
        "luarc": b"-- mine\n",
    }


def test_a_place_that_cant_be_written_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OptionError, match="can't be written"):
        install_lua(tmp_path / "file", COMMAND)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(monkeypatch, capsys)


def test_the_command_installs_and_undoes_in_an_empty_home(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    ran = run("darktable", "install", "--lua")
    folder = tmp_path / ".config" / "darktable" / "lua" / "neural_isp"
    assert (ran.code, ran.paths) == (0, [str(folder)])
    program = Path(sys.executable).with_name("neural-isp")
    assert os.fsencode(program) in (folder / "lib" / "installed.lua").read_bytes()
    ran = run("darktable", "install", "--lua", "--undo")
    assert (ran.code, ran.out) == (0, "")
    assert not (tmp_path / ".config" / "darktable").exists()
    ran = run("darktable", "install", "--lua", "--undo")
    assert (ran.code, "there was no panel" in ran.err) == (0, True)


def test_the_command_takes_another_folder_and_says_what_is_wrong(run: Run, tmp_path: Path) -> None:
    config = tmp_path / "it's"
    assert run("darktable", "install", "--lua", "--config-dir", config).code == 0
    assert (config / "luarc").exists()
    blocked = tmp_path / "file" / "darktable"
    (tmp_path / "file").write_text("in the way")
    ran = run("darktable", "install", "--lua", "--config-dir", blocked)
    assert ran.code == ExitCode.USAGE
    assert len(ran.err.splitlines()) == 1
