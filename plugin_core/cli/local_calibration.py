"""The second door from the command line to the heavy half: measures the user's own frames on this machine.

Darks and flats are tens of files of tens of megabytes that concern no server; they are decoded in the supervised worker
as everywhere, two frames at a time. Opened only when `calibrate` runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from plugin_core.config import Limits, profiles_directory
from plugin_core.errors import OptionError
from plugin_core.io.atomic import atomic_write
from plugin_core.io.worker import DecodeWorker
from plugin_core.noise.calibration import Calibration
from plugin_core.noise.calibration_file import to_text
from plugin_core.noise.calibration_plot import to_svg
from plugin_core.noise.calibration_series import Kind, Series, from_single
from plugin_core.noise.user_profiles import profile_name

__all__ = ["calibrate_pairs", "calibrate_single", "write_calibration"]


def calibrate_pairs(
    darks: Sequence[Path], flats: Sequence[Path], step: Callable[[Path], None]
) -> tuple[Calibration, list[str]]:
    """The calibration by photon transfer, and which frames were not used. step is told each file as it is begun.

    Raises OptionError, FileFormatError, NoModelError, LimitError, each naming the file.
    """
    series = Series()
    files = [(Kind.DARK, path) for path in darks] + [(Kind.FLAT, path) for path in flats]
    for _, path in files:
        check_exists(path)
    with DecodeWorker(Limits()) as worker:
        for kind, path in files:
            step(path)
            series.add(kind, worker.read(path.absolute(), path.name).image)
    return series.result(), series.warnings


def calibrate_single(path: Path) -> Calibration:
    """What one ordinary picture shows. Raises as `calibrate_pairs`."""
    check_exists(path)
    with DecodeWorker(Limits()) as worker:
        return from_single(worker.read(path.absolute(), path.name).image)


def check_exists(path: Path) -> None:
    """Raises OptionError unless there is such a file."""
    if not path.is_file():
        found = "is a folder" if path.is_dir() else "no such file"
        raise OptionError(f"{path}: {found}", "INPUT_NOT_FOUND")


def write_calibration(found: Calibration, path: Path | None, overwrite: bool) -> tuple[Path, Path]:
    """Writes the JSON and, beside it, the plot of its fit; their paths.

    path None: into the user's folder, where `denoise` finds it by camera and ISO.
    Raises OptionError (OUTPUT_EXISTS, OUTPUT_UNWRITABLE) or LimitError (DISK_FULL).
    """
    target = path or default_folder() / profile_name(found)
    plot = target.with_suffix(".svg")
    for each in (target, plot):
        if each.exists() and not overwrite:
            raise OptionError(f"{each}: exists already; --force replaces it", "OUTPUT_EXISTS")
    for each, text in ((plot, to_svg(found)), (target, to_text(found))):
        with atomic_write(each, overwrite) as part:
            part.write_text(text, encoding="utf-8")
    return target, plot


def default_folder() -> Path:
    """The user's folder of calibrations, made if it isn't there. Raises OptionError if that can't be."""
    folder = profiles_directory()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OptionError(f"{folder}: can't be made ({error.strerror})", "OUTPUT_UNWRITABLE") from error
    return folder
