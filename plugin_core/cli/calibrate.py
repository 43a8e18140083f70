"""`neural-isp calibrate`: the noise of one's own camera, from darks and flats or, in need, from one picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from plugin_core.cli.connect import server_part
from plugin_core.errors import OptionError

if TYPE_CHECKING:
    from plugin_core.noise.calibration import Calibration, IsoCalibration

__all__ = ["calibrate"]

PATH = click.Path(path_type=Path)


class ManyPaths(click.Command):
    """A command whose --dark and --flat take all the words up to the next option, as a shell's * gives them."""

    LISTS = ("--dark", "--flat")

    def parse_args(self, context: click.Context, arguments: list[str]) -> list[str]:
        spread: list[str] = []
        option, given = "", 0
        for word in arguments:
            if word.startswith("-"):
                option, given = word if word in self.LISTS else "", 0
            elif option:
                given += 1
                if given > 1:
                    spread.append(option)
            spread.append(word)
        return super().parse_args(context, spread)


@click.command(cls=ManyPaths, no_args_is_help=True)
@click.option("--dark", "darks", metavar="RAW...", multiple=True, type=PATH, help="Without light: cap on.")
@click.option("--flat", "flats", metavar="RAW...", multiple=True, type=PATH, help="Of an evenly lit surface.")
@click.option("--single", metavar="RAW", type=PATH, help="Measure one ordinary picture instead.")
@click.option("-o", "--out", metavar="FILE.json", type=PATH, help="Default: where denoise finds it by camera and ISO.")
@click.option("--force", is_flag=True, help="Replace a calibration that exists.")
def calibrate(
    darks: tuple[Path, ...], flats: tuple[Path, ...], single: Path | None, out: Path | None, force: bool
) -> None:
    """Measure your camera's noise, from two or more darks and two or more flats at each ISO.

    \b
    neural-isp calibrate --dark darks/*.NEF --flat flats/*.NEF
    neural-isp calibrate --dark darks/*.NEF --flat flats/*.NEF -o profile.json
    neural-isp calibrate --single IMG_1.NEF -o profile.json

    Writes the calibration and beside it, as SVG, its fit; prints the path. Nothing is sent to a server.
    """
    if single is not None and (darks or flats):
        raise OptionError("--single stands alone, without --dark and --flat", "BAD_OPTION")
    if single is None and not (darks or flats):
        raise OptionError("give --dark and --flat, or --single", "BAD_OPTION")
    if out is not None and out.suffix.lower() != ".json":
        raise OptionError(f"{out}: a calibration's name ends in .json", "BAD_OPTION")
    with server_part():
        from plugin_core.cli.local_calibration import calibrate_pairs, calibrate_single, write_calibration
    warnings: list[str] = []
    if single is not None:
        found = calibrate_single(single)
    else:
        found, warnings = calibrate_pairs(darks, flats, lambda path: click.echo(f"reading {path.name}", err=True))
    for warning in warnings:
        click.echo(f"neural-isp: {warning}", err=True)
    path, plot = write_calibration(found, out, force)
    click.echo(calibration_text(found), err=True)
    click.echo(f"fit: {plot}", err=True)
    click.echo(str(path))


def calibration_text(found: Calibration) -> str:
    """What was found, as a person reads it."""
    size = f"{found.cfa}, {found.width} x {found.height}"
    camera = found.model if found.model.startswith(found.make) else f"{found.make} {found.model}"
    return "\n".join([f"{camera}, {size}", *(iso_text(entry) for entry in found.isos)])


def iso_text(entry: IsoCalibration) -> str:
    """One ISO: parameters, bands, black and broken photosites; sigmas in per cent of white."""
    offsets = [abs(value) for row in entry.black_offset for value in row]
    rows = [
        f"  a {_numbers(entry.a)}, b {_numbers(entry.b)}, confidence {entry.confidence:.0%}",
        f"  {entry.detail}",
        f"  read noise {100 * max(entry.b) ** 0.5:.3g} % of white; of it rows {100 * entry.row_sigma:.2g} %,"
        f" columns {100 * entry.column_sigma:.2g} %; black off by at most {100 * max(offsets):.2g} %",
        f"  {len(entry.hot)} hot and {len(entry.dead)} dead photosites",
    ]
    if entry.method.value == "single":
        rows = rows[:2]
    return "\n".join([f"ISO {entry.iso:g}", *rows])


def _numbers(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:.3g}" for value in values)
