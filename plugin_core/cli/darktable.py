"""`neural-isp darktable`: the module for darktable, put in place, taken away, examined. The work is in adapters."""

from __future__ import annotations

import os
from pathlib import Path

import click

from plugin_core.cli.darktable_lua import install_lua_panel
from plugin_core.cli.exit_codes import ExitCode
from plugin_core.errors import OptionError

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
@click.option("--lua", is_flag=True, help="The panel for lighttable and darkroom instead; no compiler, no root.")
@click.option("--undo", is_flag=True, help="Take it out again, like `uninstall`.")
@click.option(
    "--config-dir",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="With --lua: darktable's configuration folder (default: ~/.config/darktable).",
)
def install(source: Path | None, system: bool, lua: bool, undo: bool, config_dir: Path | None) -> int:
    """Build the module for the installed darktable and put it in place; or, with --lua, the panel.

    Without --system nothing outside your home is touched: darktable gets a module folder of its own and a launcher.
    Prints the launcher's path (or the module's). --lua: a panel that restores selected raw images to DNGs and groups
    them with their sources, also in darktables that take no module from outside.
    """
    if lua and (source is not None or system):
        raise OptionError("--source and --system are for the module, not for the panel", "BAD_OPTION")
    if config_dir is not None and not lua:
        raise OptionError("--config-dir is for the panel: say --lua, too", "BAD_OPTION")
    if lua:
        install_lua_panel(config_dir, undo)
        return int(ExitCode.OK)
    if undo:
        _take_away(system)
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
        install_lua_panel(None, undo=True)
    else:
        _take_away(system)
    return int(ExitCode.OK)


def _take_away(system: bool) -> None:
    from adapters.darktable.install import uninstall as take_away

    gone = take_away(system)
    for path in gone:
        click.echo(os.fsencode(path))
    if not gone:
        click.echo("there was nothing to remove", err=True)


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
