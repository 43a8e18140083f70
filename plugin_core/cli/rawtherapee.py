"""`neural-isp rawtherapee`: restored photographs inside RawTherapee. The work is done in adapters.rawtherapee."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from plugin_core.cli.connect import ServerChoice, server_options, server_part
from plugin_core.cli.exit_codes import ExitCode
from plugin_core.cli.photographs import each, say_restored, sources_of, targets_of
from plugin_core.cli.progress import Report
from plugin_core.errors import OptionError

if TYPE_CHECKING:
    from adapters.rawtherapee.record import Wish

__all__ = ["rawtherapee"]

SHARE = click.FloatRange(0.0, 1.0)
LIMIT_S = 20.0  # that long RawTherapee's window may stand still when a photograph is opened

Command = TypeVar("Command", bound=Callable[..., Any])


@click.group()
def rawtherapee() -> None:
    """Restore photographs inside RawTherapee, by its Dark Frame tool.

    \b
    neural-isp rawtherapee attach IMG_1.ARW       # open it in RawTherapee: restored
    neural-isp rawtherapee install                # from now on every photograph that is opened
    neural-isp rawtherapee detach IMG_1.ARW       # as if nothing had been
    """


def wish_options(command: Command) -> Command:
    """Adds --model, --strength, --luma and --chroma."""
    for option in (
        click.option("--chroma", type=SHARE, default=1.0, show_default=True, help="Share of the colour noise."),
        click.option("--luma", type=SHARE, default=1.0, show_default=True, help="Share of the brightness noise."),
        click.option("--strength", type=SHARE, default=1.0, show_default=True, help="How much noise goes."),
        click.option("--model", metavar="ID", default="", help="Model to use (see: neural-isp models list)."),
    ):
        command = option(command)
    return command


def _wish(model: str, strength: float, luma: float, chroma: float) -> Wish:
    from adapters.rawtherapee.record import Wish

    return Wish(model, strength, luma, chroma)


@rawtherapee.command(no_args_is_help=True)
@click.argument("inputs", metavar="IN...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-p", "--profile", type=click.Path(path_type=Path), help="How a new sidecar begins (default: as yours).")
@click.option("--sidecar", type=click.Path(path_type=Path), help="The sidecar (default: IN.pp3).")
@click.option("--new-sidecar", is_flag=True, hidden=True)
@click.option("--tell-after", "tell_after_s", type=float, hidden=True)
@click.option("--force", is_flag=True, help="Also over a dark frame of your own; detach brings it back.")
@click.option("--art", is_flag=True, help="Only mark the photographs for ART's loader.")
@wish_options
@server_options
def attach(
    inputs: tuple[Path, ...],
    profile: Path | None,
    sidecar: Path | None,
    new_sidecar: bool,
    tell_after_s: float | None,
    force: bool,
    art: bool,
    model: str,
    strength: float,
    luma: float,
    chroma: float,
    server: str,
    tls_root: Path | None,
    token_file: Path | None,
) -> int:
    """Restore photographs in RawTherapee: put a residual beside each and name it in its sidecar.

    Prints the path of each residual, or of the restored DNG that takes its place where RawTherapee would spoil it.
    Of folders, their raw files. Attaching again with another strength takes a second.
    """
    from adapters.rawtherapee.attach import Sidecar, mark_for_art
    from adapters.rawtherapee.attach import attach as attach_one
    from adapters.rawtherapee.cpb import RESET, tell

    began_s = time.monotonic()
    wish = _wish(model, strength, luma, chroma)
    sources = sources_of(inputs)
    if sidecar and len(sources) > 1:
        raise OptionError(f"--sidecar {sidecar}: is for one photograph, found {len(sources)}", "BAD_OPTION")
    if art:
        return each(sources, lambda source, _: click.echo(os.fsencode(mark_for_art(source, wish))))
    where = Sidecar(sidecar, profile, new_sidecar)
    with ServerChoice(server, tls_root, token_file).connect(_note) as client:

        def one(source: Path, report: Report) -> None:
            done = attach_one(client, source, wish, where, force, report.step)
            say_restored(report, source, done.restored, done.reason, done.notes)
            click.echo(os.fsencode(done.result))
            if tell_after_s is not None and time.monotonic() - began_s > tell_after_s:
                tell(f"{source.name}: {RESET}")

        return each(sources, one)


@rawtherapee.command(no_args_is_help=True)
@click.argument("inputs", metavar="IN...", nargs=-1, required=True, type=click.Path(path_type=Path))
def detach(inputs: tuple[Path, ...]) -> int:
    """Take it back: residual, restored DNG and record go, the sidecar is as it was."""
    from adapters.rawtherapee.attach import detach as detach_one

    def one(source: Path, report: Report) -> None:
        for note in detach_one(source):
            report.note(note)

    return each(sources_of(inputs), one, summary=False)


@rawtherapee.command(no_args_is_help=True)
@click.argument("inputs", metavar="IN...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--out", metavar="OUT", required=True, help="NAME.tif, .jpg or .png, or a folder for several.")
@click.option("-p", "--profile", "profiles", multiple=True, type=click.Path(path_type=Path), help="Over the sidecar.")
@click.option("--no-sidecar", is_flag=True, help="Leave the photographs' own sidecars out.")
@click.option("--format", "suffix", type=click.Choice(["tif", "jpg", "png"]), default="tif", help="In a folder.")
@click.option("--bits", type=click.Choice(["8", "16", "16f", "32"]), default=None, help="Bits a sample.")
@click.option("--quality", type=click.IntRange(1, 100), default=92, show_default=True, help="Of JPEG.")
@click.option("--force", is_flag=True, help="Replace pictures that exist, and dark frames of your own.")
@wish_options
@server_options
def render(
    inputs: tuple[Path, ...],
    out: str,
    profiles: tuple[Path, ...],
    no_sidecar: bool,
    suffix: str,
    bits: str | None,
    quality: int,
    force: bool,
    model: str,
    strength: float,
    luma: float,
    chroma: float,
    server: str,
    tls_root: Path | None,
    token_file: Path | None,
) -> int:
    """Develop photographs with rawtherapee-cli, restored; nothing is left beside them.

    With their sidecars, the profiles given with -p over them; without any, your default profile.
    Goes on after a bad file. Prints the path of each picture.
    """
    from adapters.rawtherapee.host import find_cli
    from adapters.rawtherapee.render import Style
    from adapters.rawtherapee.render import render as render_one

    find_cli()
    sources = sources_of(inputs)
    targets = targets_of(sources, out, suffix, folder=len(inputs) > 1 or inputs[0].is_dir())
    style = Style(profiles, not no_sidecar, bits or "", quality)
    wish = _wish(model, strength, luma, chroma)
    with ServerChoice(server, tls_root, token_file).connect(_note) as client:

        def one(source: Path, report: Report) -> None:
            done = render_one(client, source, targets[source], wish, style, force, report.step)
            say_restored(report, source, done.restored, done.reason, done.notes)
            click.echo(os.fsencode(targets[source]))

        return each(sources, one)


@rawtherapee.command()
@click.argument("request", metavar="COMMFILE", type=click.Path(path_type=Path))
@click.option("--limit", "limit_s", type=float, default=LIMIT_S, envvar="NEURAL_ISP_CPB_SECONDS", show_default=True)
@wish_options
def cpb(request: Path, limit_s: float, model: str, strength: float, luma: float, chroma: float) -> int:
    """RawTherapee's Custom Processing Profile Builder; RawTherapee calls it (see install).

    Always leaves a valid profile. What takes longer than the limit goes on in the background.
    """
    from adapters.rawtherapee.cpb import build, read_request

    options = ["--strength", f"{strength:g}", "--luma", f"{luma:g}", "--chroma", f"{chroma:g}"]
    options += ["--model", model] if model else []
    _note(build(read_request(request), limit_s, options))
    return int(ExitCode.OK)


@rawtherapee.command()
@click.argument("source", metavar="[IN]", required=False, type=click.Path(path_type=Path))
@server_options
def doctor(source: Path | None, server: str, tls_root: Path | None, token_file: Path | None) -> int:
    """Check the installation, and with IN that RawTherapee shows your camera's files as it should.

    Exit code 7 if something is wrong. With IN it takes three renders.
    """
    from adapters.rawtherapee.doctor import examine, set_up

    def tell(findings: Iterable[Any]) -> bool:
        well = True
        for finding in findings:
            click.echo(f"{ {True: 'ok', False: 'WRONG', None: 'note'}[finding.well]:<6}{finding.text}")
            well = well and finding.well is not False
        return well

    well = tell(set_up())
    if source is not None and well:
        with server_part():
            import plugin_core.io.compare  # noqa: F401 - says so here if the server's half is missing
        with ServerChoice(server, tls_root, token_file).connect(_note) as client:
            well = tell(examine(client, source))
    return int(ExitCode.OK if well else ExitCode.LOSSES)


@rawtherapee.command()
@click.option("--undo", "back", is_flag=True, help="Put RawTherapee's options back as they were.")
@click.option("--art", is_flag=True, help="ART's loaders and user commands instead.")
@click.option("--force", is_flag=True, help="Also over another profile builder, or while RawTherapee runs.")
def install(back: bool, art: bool, force: bool) -> None:
    """Have RawTherapee restore every photograph that is opened without a profile.

    Sets its option Custom Processing Profile Builder, after a backup.
    """
    from adapters.rawtherapee import install as installing

    if art:
        lines = installing.undo_art() if back else installing.install_art()
    else:
        lines = installing.undo(force) if back else installing.install(force)
    for line in lines:
        click.echo(line)


@rawtherapee.command("art-load", hidden=True)
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("output", type=click.Path(path_type=Path))
@server_options
def art_load(source: Path, output: Path, server: str, tls_root: Path | None, token_file: Path | None) -> int:
    """ART's raw loader: a restored DNG for a marked photograph, else exit code 2, and ART loads it by itself."""
    from adapters.rawtherapee.record import read_record

    record = read_record(Path(os.path.abspath(source)))
    if record is None or record.kind != "art":
        return int(ExitCode.USAGE)
    from plugin_core.client.values import DenoiseOptions

    wish = record.wish
    options = DenoiseOptions(model=wish.model, strength=wish.strength, luma=wish.luma, chroma=wish.chroma)
    with ServerChoice(server, tls_root, token_file).connect(_note) as client:
        client.denoise(source, output, options, overwrite=True)
    return int(ExitCode.OK)


def _note(text: str) -> None:
    click.echo(text, err=True)
