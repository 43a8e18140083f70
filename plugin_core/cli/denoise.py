"""`neural-isp denoise`: one file, many files or folders, one after the other, going on after a bad one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from plugin_core.cli.connect import ServerChoice, server_options
from plugin_core.cli.done import difference
from plugin_core.cli.exit_codes import ExitCode, exit_code, worst
from plugin_core.cli.inputs import Job, Plan, plan
from plugin_core.cli.progress import Report, Totals, make_report
from plugin_core.client.errors import ServerError, ServerLost
from plugin_core.errors import IspError, OptionError

if TYPE_CHECKING:
    from plugin_core.client.client import Client
    from plugin_core.client.values import DenoiseOptions

__all__ = ["denoise"]

SHARE = click.FloatRange(0.0, 1.0)
MAX_CALIBRATION_BYTES = 2 << 20  # as the server's limit
HOPELESS = ("SERVER_UNREACHABLE", "BAD_CALIBRATION")  # reasons that every further file would meet, too


@click.command(no_args_is_help=True)
@click.argument("inputs", metavar="IN...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--out", metavar="OUT", required=True, help="NAME.dng for one file, a folder for several.")
@click.option("-r", "--recursive", is_flag=True, help="Look into subfolders, and keep them under OUT.")
@click.option("--model", metavar="ID", default="", help="Model to use (see: neural-isp models list).")
@click.option("--strength", type=SHARE, default=1.0, show_default=True, help="How much noise goes; 0 changes nothing.")
@click.option("--luma", type=SHARE, default=1.0, show_default=True, help="Share of the brightness noise that goes.")
@click.option("--chroma", type=SHARE, default=1.0, show_default=True, help="Share of the colour noise that goes.")
@click.option(
    "--mask", type=click.Path(path_type=Path), help="Greyscale PNG or TIFF: white is full strength, black none."
)
@click.option(
    "--output", type=click.Choice(["cfa", "linear"]), help="Mosaic or demosaiced DNG (default: as the source)."
)
@click.option(
    "--compression", type=click.Choice(["ljpeg", "none"]), default="ljpeg", show_default=True, help="Lossless."
)
@click.option(
    "--change-map", metavar="FILE", help="Also write what was changed, |residual| / sigma; a folder for several."
)
@click.option(
    "--noise-profile",
    metavar="FILE|A,B",
    help="A calibration (see: neural-isp calibrate), or variance = A * signal + B; three of each as A,A,A,B,B,B.",
)
@click.option("--force", is_flag=True, help="Replace results that exist.")
@click.option(
    "--progress", "report_kind", type=click.Choice(["bar", "json", "none"]), help="Default: bar on a terminal."
)
@server_options
def denoise(
    inputs: tuple[Path, ...],
    out: str,
    recursive: bool,
    model: str,
    strength: float,
    luma: float,
    chroma: float,
    mask: Path | None,
    output: str | None,
    compression: str,
    change_map: str | None,
    noise_profile: str | None,
    force: bool,
    report_kind: str | None,
    server: str,
    tls_root: Path | None,
    token_file: Path | None,
) -> int:
    """Restore RAW files: each becomes a DNG with less noise and all of its metadata.

    Prints the path of each result. Results that are there already from the same file with the same options are skipped.
    Folders give their RAW files; the sources are never touched.
    """
    report = make_report(report_kind)
    try:
        todo = plan(inputs, out, recursive, change_map)
        from plugin_core.client.values import Compression, DenoiseOptions, Output

        noise, calibration = parse_noise_profile(noise_profile)
        options = DenoiseOptions(
            model=model,
            strength=strength,
            luma=luma,
            chroma=chroma,
            output=Output[output.upper()] if output else Output.SAME,
            compression=Compression[compression.upper()],
            noise=noise,
            noise_calibration=calibration,
        )
        run = Run(options, mask, force, report, lambda: ServerChoice(server, tls_root, token_file).connect(report.note))
        return int(run.all(todo))
    except (IspError, ServerError) as error:
        report.fatal(error.message, error.reason, exit_code(error))
        return int(exit_code(error))
    except KeyboardInterrupt as error:
        report.fatal("interrupted", "INTERRUPTED", exit_code(error))
        return int(ExitCode.INTERRUPTED)
    finally:
        report.close()


Noise = tuple[tuple[float, ...], tuple[float, ...]]  # (a, ...), (b, ...)


def parse_noise_profile(text: str | None) -> tuple[Noise | None, tuple[str, str] | None]:
    """The parameters in "A,B" or "A,A,A,B,B,B", or the name and text of a calibration file. Raises OptionError."""
    if text is None:
        return None, None
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        return None, read_calibration_text(Path(text))
    if len(values) not in (2, 6):
        expected = "expected a file, two numbers A,B or six A,A,A,B,B,B"
        raise OptionError(f"--noise-profile {text}: {expected}", "BAD_NOISE_PROFILE")
    half = len(values) // 2
    return (values[:half], values[half:]), None


def read_calibration_text(path: Path) -> tuple[str, str]:
    """Name and text of a calibration file, for the server to read. Raises OptionError if it can't be one."""
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_CALIBRATION_BYTES + 1)
        if len(content) > MAX_CALIBRATION_BYTES:
            raise OptionError(f"{path}: too large for a noise calibration", "BAD_CALIBRATION")
        return path.name, content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise OptionError(f"{path}: no noise calibration: not text", "BAD_CALIBRATION") from error
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "no such name"
        expected = "expected a calibration file or numbers A,B"
        raise OptionError(f"--noise-profile {path}: can't be read ({why}); {expected}", "BAD_NOISE_PROFILE") from error


class Run:
    """Works through a plan; the connection is made with the first file and again after it was lost."""

    def __init__(
        self, options: DenoiseOptions, mask: Path | None, force: bool, report: Report, connect: Callable[[], Client]
    ) -> None:
        self._options = options
        self._mask = mask
        self._force = force
        self._report = report
        self._connect = connect
        self._client: Client | None = None
        self._totals = Totals()

    def all(self, todo: Plan) -> ExitCode:
        """The exit code for the whole plan. Raises KeyboardInterrupt as it comes."""
        for note in todo.notes:
            self._report.note(note)
        interrupted = [ExitCode.INTERRUPTED]
        self._totals.unfinished = len(todo.jobs)
        try:
            for index, job in enumerate(todo.jobs, 1):
                going_on = self._one(job, index, len(todo.jobs), todo.folder)
                self._totals.unfinished -= 1
                if not going_on:
                    break
            interrupted = []
        finally:
            if self._client is not None:
                self._client.close()
            code = worst([*self._totals.codes, *interrupted])
            if todo.batch:
                self._report.summary(self._totals, code)
        return code

    def _one(self, job: Job, index: int, count: int, make_folders: bool) -> bool:
        """Restores one file. False if there is no point in going on."""
        try:
            if not self._force and self._is_done(job):
                self._totals.skipped += 1
                self._report.skipped(job, f"{job.target} is there already, made from it with these options")
                click.echo(os.fsencode(job.target))
                return True
            if make_folders:
                _make_folders(job)
        except (IspError, ServerError) as error:
            self._fail(job, error)
            return True
        try:
            self._client = self._client or self._connect()
        except (IspError, ServerError) as error:
            self._fail(job, error)
            return False
        try:
            self._report.start(job, index, count)
            restored = self._client.denoise(
                job.source,
                job.target,
                self._options,
                mask=self._mask,
                change_map=job.change_map,
                overwrite=self._force,
                progress=self._report.step,
            )
        except (IspError, ServerError) as error:
            self._fail(job, error)
            if isinstance(error, ServerLost):
                self._client.close()
                self._client = None
            return error.reason not in HOPELESS
        self._totals.restored += 1
        self._report.done(job, restored)
        click.echo(os.fsencode(job.target))
        return True

    def _is_done(self, job: Job) -> bool:
        """True if the result is there. Raises OptionError if something else has its name."""
        if not job.target.exists():
            return False
        why = difference(job.target, job.source, self._options, self._mask)
        if why:
            raise OptionError(f"{job.target}: exists already and {why}", "OUTPUT_EXISTS")
        if job.change_map is not None and not job.change_map.exists():
            raise OptionError(f"{job.target}: exists already, without its change map", "OUTPUT_EXISTS")
        return True

    def _fail(self, job: Job, error: IspError | ServerError) -> None:
        code = exit_code(error)
        message = error.message
        if error.reason == "OUTPUT_EXISTS":
            message += "; --force replaces it"
        self._totals.codes.append(code)
        self._report.failed(job, message, error.reason, code)


def _make_folders(job: Job) -> None:
    for path in filter(None, (job.target, job.change_map)):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OptionError(f"{path.parent}: can't be made ({error.strerror})", "OUTPUT_UNWRITABLE") from error
