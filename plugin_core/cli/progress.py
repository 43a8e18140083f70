"""What a person sees on stderr while files are worked on: a bar, or messages only; programs see progress_json."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, Any, Protocol

import click

from plugin_core.cli.exit_codes import ExitCode
from plugin_core.cli.inputs import Job

if TYPE_CHECKING:
    from plugin_core.client.values import Progress, Restored

__all__ = ["BarReport", "Report", "TextReport", "Totals", "make_report"]

# Share of a job's time by stage for a large Bayer file: it only moves the bar, the server knows the time left.
_WEIGHTS = {"RECEIVE": 0.02, "QUEUE": 0.0, "DECODE": 0.08, "NOISE": 0.03, "RESTORE": 0.77, "WRITE": 0.09, "SEND": 0.01}
_WORDS = {
    "RECEIVE": "sending",
    "QUEUE": "waiting",
    "DECODE": "reading",
    "NOISE": "measuring noise",
    "RESTORE": "restoring",
    "WRITE": "writing",
    "SEND": "fetching",
}


class Totals:
    """How the files of a run ended."""

    def __init__(self) -> None:
        self.restored = 0
        self.skipped = 0
        self.codes: list[ExitCode] = []
        self.unfinished = 0

    @property
    def line(self) -> str:
        """One line for people."""
        parts = [f"{self.restored} restored"]
        parts += [f"{self.skipped} skipped"] if self.skipped else []
        parts += [f"{len(self.codes)} failed"] if self.codes else []
        parts += [f"{self.unfinished} not done"] if self.unfinished else []
        return ", ".join(parts)


class Report(Protocol):
    """Told of everything that happens, in order."""

    def start(self, job: Job, index: int, count: int) -> None: ...
    def step(self, step: Progress) -> None: ...
    def note(self, text: str) -> None: ...
    def done(self, job: Job, restored: Restored) -> None: ...
    def skipped(self, job: Job, why: str) -> None: ...
    def failed(self, job: Job, message: str, reason: str, code: ExitCode) -> None: ...
    def fatal(self, message: str, reason: str, code: ExitCode) -> None: ...
    def summary(self, totals: Totals, code: ExitCode) -> None: ...
    def close(self) -> None: ...


class TextReport:
    """Messages without a bar."""

    def start(self, job: Job, index: int, count: int) -> None:
        """A job begins; nothing to say yet."""

    def step(self, step: Progress) -> None:
        """A job moves on; nothing to say."""

    def note(self, text: str) -> None:
        """Something worth knowing that is no error."""
        self._say(text)

    def done(self, job: Job, restored: Restored) -> None:
        """A file is there."""
        model = f"{restored.model_id} {restored.model_version}, {restored.device}"
        work = model if restored.model_id else "no network needed"
        work += ", from the cache" if restored.from_cache else ""
        noise = restored.noise.source.replace("_", " ")
        speed = f"{restored.megapixels:.1f} MP in {restored.client_seconds:.1f} s"
        self._say(f"{job.source.name}: {speed} ({work}; noise: {noise})")
        for warning in restored.warnings:
            self._say(f"{job.source.name}: note: {warning}")

    def skipped(self, job: Job, why: str) -> None:
        """A file is there already."""
        self._say(f"{job.source}: skipped, {why}")

    def failed(self, job: Job, message: str, reason: str, code: ExitCode) -> None:
        """A file could not be restored. The message names it, or gets its name in front."""
        named = message if job.source.name in message or job.target.name in message else f"{job.source}: {message}"
        self._say(f"neural-isp: {named}")

    def fatal(self, message: str, reason: str, code: ExitCode) -> None:
        """Nothing could be started."""
        self._say(f"neural-isp: {message}")

    def summary(self, totals: Totals, code: ExitCode) -> None:
        """The last line of a batch."""
        self._say(totals.line)

    def close(self) -> None:
        """Nothing is left behind."""

    def _say(self, text: str) -> None:
        click.echo(text, err=True)


class BarReport(TextReport):
    """Messages, and a bar for the running job with its stage and the time left."""

    def __init__(self) -> None:
        from tqdm import tqdm

        self._tqdm = tqdm
        self._bar: Any = None

    def start(self, job: Job, index: int, count: int) -> None:
        """A new bar at 0 %."""
        self.close()
        name = job.source.name if len(job.source.name) <= 28 else job.source.name[:25] + "..."
        self._bar = self._tqdm(
            total=1.0,
            desc=f"[{index}/{count}] {name}" if count > 1 else name,
            unit="",
            bar_format="{desc} {percentage:3.0f}% |{bar:24}| {unit}",
            leave=False,
            file=sys.stderr,
            ncols=shutil.get_terminal_size().columns,
            nrows=20,  # or tqdm hides the bar on terminals that don't know their height
        )

    def step(self, step: Progress) -> None:
        """Moves the bar; it never goes back."""
        if self._bar is None:
            return
        names = list(_WEIGHTS)
        start = sum(_WEIGHTS[name] for name in names[: names.index(step.stage.name)])
        position = start + _WEIGHTS[step.stage.name] * step.fraction
        words = _WORDS[step.stage.name]
        if step.queue_position:
            words += f", {step.queue_position} ahead"
        if step.eta_s is not None:
            words += f", {_clock(step.eta_s)} left"
        self._bar.unit = words
        self._bar.n = max(position, self._bar.n)
        self._bar.refresh()

    def close(self) -> None:
        """Takes the bar off the screen."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _say(self, text: str) -> None:
        self.close()
        click.echo(text, err=True)


def make_report(kind: str | None) -> Report:
    """The report by name; None is a bar on a terminal and messages only elsewhere."""
    if kind == "json":
        from plugin_core.cli.progress_json import JsonReport

        return JsonReport()
    if kind == "bar" or (kind is None and sys.stderr.isatty()):
        return BarReport()
    return TextReport()


def _clock(seconds: float) -> str:
    whole = max(round(seconds), 1)
    return f"{whole} s" if whole < 100 else f"{whole // 60}:{whole % 60:02d} min"
