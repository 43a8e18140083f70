"""Photographs that a host's commands work on: which, one after the other, and what is said of each."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from plugin_core.cli.exit_codes import exit_code, worst
from plugin_core.cli.inputs import Job
from plugin_core.cli.progress import Report, Totals, make_report
from plugin_core.client.errors import ServerError, ServerLost
from plugin_core.errors import IspError, OptionError
from plugin_core.rpc.formats import RAW_ENDINGS

if TYPE_CHECKING:
    from plugin_core.client.values import Restored

__all__ = ["each", "say_restored", "sources_of", "targets_of"]


def each(sources: list[Path], work: Callable[[Path, Report], None], summary: bool = True) -> int:
    """Works through the photographs, going on after a bad one. Returns the most urgent exit code.

    summary: say at the end of several how many were restored, failed, or not begun for want of a server.
    """
    totals, report = Totals(), make_report(None)
    totals.unfinished = len(sources)
    try:
        for index, source in enumerate(sources, 1):
            job = Job(source, source)
            report.start(job, index, len(sources))
            totals.unfinished -= 1
            try:
                work(source, report)
                totals.restored += 1
            except (IspError, ServerError) as error:
                totals.codes.append(exit_code(error))
                report.failed(job, error.message, error.reason, totals.codes[-1])
                if isinstance(error, ServerLost):
                    break
        code = worst(totals.codes)
        if summary and len(sources) > 1:
            report.summary(totals, code)
    finally:
        report.close()
    return int(code)


def sources_of(inputs: Iterable[Path]) -> list[Path]:
    """The photographs: files as given, of folders their raw files that are no results of ours."""
    from adapters.rawtherapee.names import is_ours

    def found() -> Iterator[Path]:
        for given in inputs:
            if not given.is_dir():
                yield given
                continue
            raws = [path for path in sorted(given.iterdir()) if path.suffix.lower() in RAW_ENDINGS]
            raws = [
                path for path in raws if path.is_file() and not path.name.startswith(".") and not is_ours(path.name)
            ]
            if not raws:
                raise OptionError(f"{given}: no RAW files in this folder", "NO_INPUT")
            yield from raws

    return list(dict.fromkeys(found()))


def targets_of(sources: list[Path], out: str, suffix: str, folder: bool) -> dict[Path, Path]:
    """Where each picture goes. Makes the folder. Raises OptionError where two would have one name."""
    target = Path(out)
    if not (folder or out.endswith(("/", os.sep)) or target.is_dir()):
        return dict.fromkeys(sources, target)
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OptionError(f"{target}: can't be made ({error.strerror})", "OUTPUT_UNWRITABLE") from error
    targets = {source: target / f"{source.stem}.{suffix}" for source in sources}
    taken: dict[Path, Path] = {}
    for source, picture in targets.items():
        if picture in taken:
            text = f"{taken[picture]} and {source} would both be written to {picture}; nothing was done"
            raise OptionError(text, "SAME_OUTPUT")
        taken[picture] = source
    return targets


def say_restored(report: Report, source: Path, restored: Restored, reason: str, notes: Iterable[str]) -> None:
    """One line of what was made, the reason where it was no residual, and notes."""
    work = ", from the cache" if restored.from_cache else ""
    model = (
        f"{restored.model_id} {restored.model_version}, {restored.device}{work}" if restored.model_id else "no network"
    )
    kind = f"residual, {restored.residual.encoding}" if restored.residual and not reason else "restored DNG"
    report.note(f"{source.name}: {restored.megapixels:.1f} MP in {restored.client_seconds:.1f} s ({model}; {kind})")
    if reason:
        report.note(f"{source.name}: a restored DNG, for {reason}")
    for note in notes:
        report.note(f"{source.name}: note: {note}")
