"""`neural-isp darktable install --lua`: the panel for lighttable and darkroom."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from plugin_core.errors import OptionError

__all__ = ["install_lua_panel"]


def install_lua_panel(config_dir: Path | None, undo: bool) -> None:
    """Installs the panel or takes it out, and says so on stderr; the scripts' folder goes to stdout.

    config_dir: darktable's configuration folder; None is the user's. Raises OptionError.
    """
    from adapters.darktable.lua_install import install_lua, uninstall_lua

    folder = config_dir or user_config_dir()
    if undo:
        found = uninstall_lua(folder)
        click.echo(f"{folder}: " + ("the panel is gone" if found else "there was no panel"), err=True)
        return
    click.echo(os.fsencode(install_lua(folder, own_program())))
    click.echo('the panel "neural isp" is there when darktable starts again', err=True)


def user_config_dir() -> Path:
    """Where darktable keeps its settings, on Linux and macOS."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "darktable"


def own_program() -> Path:
    """The `neural-isp` that runs now, for darktable to run. Raises OptionError if it is not installed as a program."""
    for candidate in (Path(sys.argv[0]).absolute(), Path(sys.executable).with_name("neural-isp")):
        if candidate.name == "neural-isp" and os.access(candidate, os.X_OK) and candidate.is_file():
            return candidate
    raise OptionError("no program neural-isp beside this Python: pip install neural-isp", "PROGRAM_NOT_INSTALLED")
