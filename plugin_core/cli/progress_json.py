"""What a program sees on stderr while files are worked on: one JSON object a line, fields as in docs/api.md."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from plugin_core.cli.exit_codes import ExitCode
from plugin_core.cli.inputs import Job
from plugin_core.cli.progress import Totals

if TYPE_CHECKING:
    from plugin_core.client.values import Progress, Restored

__all__ = ["JsonReport"]


class JsonReport:
    """One JSON object a line, for programs; docs/api.md lists the fields. Nothing else is written to stderr."""

    def start(self, job: Job, index: int, count: int) -> None:
        """{"event": "start", "file", "output", "index", "count"}"""
        self._job = {"file": str(job.source), "index": index, "count": count}
        self._emit("start", **self._job, output=str(job.target))

    def step(self, step: Progress) -> None:
        """{"event": "progress", "file", "index", "count", "stage", "fraction", "eta_s", "queue_position"}"""
        self._emit(
            "progress",
            **self._job,
            stage=step.stage.name.lower(),
            fraction=round(step.fraction, 4),
            eta_s=None if step.eta_s is None else round(step.eta_s, 1),
            queue_position=step.queue_position,
        )

    def note(self, text: str) -> None:
        """{"event": "note", "message"}"""
        self._emit("note", message=text)

    def done(self, job: Job, restored: Restored) -> None:
        """{"event": "done", "file", "output", and what the server says of the job}"""
        noise = restored.noise
        self._emit(
            "done",
            file=str(job.source),
            output=str(job.target),
            change_map=_text(restored.change_map),
            size_bytes=restored.size_bytes,
            sha256=restored.sha256,
            source_sha256=restored.source_sha256,
            model=restored.model_id,
            model_version=restored.model_version,
            device=restored.device,
            from_cache=restored.from_cache,
            megapixels=restored.megapixels,
            mean_change=restored.mean_change,
            seconds=round(restored.client_seconds, 3),
            stages={stage.name.lower(): round(seconds, 3) for stage, seconds in restored.seconds.items()},
            noise={"a": noise.a, "b": noise.b, "source": noise.source, "confidence": noise.confidence},
            warnings=restored.warnings,
            job_id=restored.job_id,
        )

    def skipped(self, job: Job, why: str) -> None:
        """{"event": "skipped", "file", "output", "message"}"""
        self._emit("skipped", file=str(job.source), output=str(job.target), message=why)

    def failed(self, job: Job, message: str, reason: str, code: ExitCode) -> None:
        """{"event": "error", "file", "output", "message", "reason", "exit_code"}"""
        self._emit(
            "error", file=str(job.source), output=str(job.target), message=message, reason=reason, exit_code=int(code)
        )

    def fatal(self, message: str, reason: str, code: ExitCode) -> None:
        """{"event": "error", "message", "reason", "exit_code"}: no file was started"""
        self._emit("error", message=message, reason=reason, exit_code=int(code))

    def summary(self, totals: Totals, code: ExitCode) -> None:
        """{"event": "summary", "restored", "skipped", "failed", "unfinished", "exit_code"}"""
        counts = {"restored": totals.restored, "skipped": totals.skipped, "failed": len(totals.codes)}
        self._emit("summary", **counts, unfinished=totals.unfinished, exit_code=int(code))

    def close(self) -> None:
        """Nothing is left behind."""

    def _emit(self, event: str, **fields: object) -> None:
        click.echo(json.dumps({"event": event, **fields}), err=True)


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
