"""`neural-isp darktable`: the module for darktable, put in place, taken away, examined. The work is in adapters."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from plugin_core.cli.exit_codes import ExitCode

__all__ = ["darktable"]


@click.group()
def darktable() -> None:
    """The module "neural isp" for darktable: install, uninstall, examine.

    \b
    neural-isp darktable install
    darktable-neural-isp ~/Pictures
    """


@darktable.command()
@click.option(
    "--source",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    metavar="DIR",
    help="darktable's source tree of the installed version (default: the distribution's source package).",
)
@click.option("--system", is_flag=True, help="Among darktable's own modules, for every user; as root.")
@click.option("--lua", is_flag=True, help="The Lua panel instead: for darktables that take no module from outside.")
def install(source: Path | None, system: bool, lua: bool) -> int:
    """Build the module for the installed darktable and put it in place.

    Without --system nothing outside your home is touched: darktable gets a module folder of its own and a launcher.
    Prints the launcher's path (or the module's).
    """
    if lua:
        from adapters.darktable.lua_install import install_lua

        click.echo(os.fsencode(install_lua(_config_folder(), _own_program())))
        click.echo("to undo: neural-isp darktable uninstall --lua", err=True)
        return int(ExitCode.OK)
    from adapters.darktable.install import install as put_in_place

    placed = put_in_place(source, system, lambda step: click.echo(step, err=True))
    click.echo(os.fsencode(placed.launcher or placed.module))
    if placed.launcher is None:
        click.echo('start darktable as ever and look for "neural isp" in the darkroom', err=True)
    else:
        click.echo(f'start {placed.launcher} and look for "neural isp" in the darkroom', err=True)
    click.echo(f"to undo: {placed.undo}", err=True)
    return int(ExitCode.OK)


@darktable.command()
@click.option("--system", is_flag=True, help="The one that was installed with --system.")
@click.option("--lua", is_flag=True, help="The Lua panel.")
def uninstall(system: bool, lua: bool) -> int:
    """Take away everything that install has put in place. Prints the paths that are gone.

    Your edits stay; a darktable without the module shows the pictures unrestored. What is kept for the module goes
    with `neural-isp cache clear`.
    """
    if lua:
        from adapters.darktable.lua_install import uninstall_lua

        gone = [_config_folder() / "lua"] if uninstall_lua(_config_folder()) else []
    else:
        from adapters.darktable.install import uninstall as take_away

        gone = take_away(system)
    for path in gone:
        click.echo(os.fsencode(path))
    if not gone:
        click.echo("there was nothing to remove", err=True)
    return int(ExitCode.OK)


def _config_folder() -> Path:
    """darktable's own: $XDG_CONFIG_HOME/darktable, by default ~/.config/darktable."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "darktable"


def _own_program() -> Path:
    """The neural-isp command that runs this."""
    beside = Path(sys.executable).with_name("neural-isp")
    return beside if beside.exists() else Path(sys.argv[0]).absolute()


@darktable.command()
def doctor() -> int:
    """Say what is right and what is wrong, and which command helps. Exit code 2 if something is wrong."""
    from adapters.darktable.doctor import examine

    wrong = False
    for finding in examine():
        mark = {True: "ok   ", False: "WRONG", None: "note "}[finding.good]
        click.echo(f"{mark} {finding.text}")
        wrong = wrong or finding.good is False
    return int(ExitCode.USAGE if wrong else ExitCode.OK)
