"""`neural-isp darktable`: puts what darktable needs of us where darktable looks for it."""

from __future__ import annotations

from pathlib import Path

import click

from plugin_core.cli.darktable_lua import install_lua_panel
from plugin_core.errors import OptionError

__all__ = ["darktable"]


@click.group()
def darktable() -> None:
    """Install into darktable, or take out again."""


@darktable.command()
@click.option("--lua", is_flag=True, help="The panel for lighttable and darkroom; no compiler, no root.")
@click.option("--undo", is_flag=True, help="Take it out again; luarc is as it was.")
@click.option(
    "--config-dir",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="darktable's configuration folder (default: ~/.config/darktable).",
)
def install(lua: bool, undo: bool, config_dir: Path | None) -> None:
    """Install the Lua panel: restores selected raw images to DNGs and groups them with their sources."""
    if not lua:
        raise OptionError("say what to install: --lua", "BAD_OPTION")
    install_lua_panel(config_dir, undo)
