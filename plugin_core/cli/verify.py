"""`neural-isp verify`: which tags, levels, colours and geometry of a source its result still has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from plugin_core.cli.connect import server_part
from plugin_core.cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from plugin_core.cli.local_checks import VerifyReport

__all__ = ["report_text", "verify"]


@click.command(no_args_is_help=True)
@click.argument("source", metavar="SRC", type=click.Path(path_type=Path))
@click.argument("result", metavar="DST", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="As a JSON object.")
def verify(source: Path, result: Path, as_json: bool) -> int:
    """Check what of SRC survived in DST: geometry, levels, colour, tags, by group.

    Exit code 7 if something was lost. Runs here, without the server.
    """
    with server_part():
        from plugin_core.cli.local_checks import verify_files
    report = verify_files(source, result)
    click.echo(json.dumps(_fields(report), ensure_ascii=False) if as_json else report_text(report))
    if not report.passed:
        lost = ", ".join(group.name for group in report.groups if group.lost)
        click.echo(f"neural-isp: {result}: lost of {source.name}: {lost}", err=True)
    return int(ExitCode.OK if report.passed else ExitCode.LOSSES)


def report_text(report: VerifyReport) -> str:
    """The report as a person reads it: a line per group, and one for each loss."""
    width = max((len(group.name) for group in report.groups), default=0)
    lines = [f"{report.source} -> {report.result}"]
    for group in report.groups:
        state = group.state.value.upper() if group.lost else group.state.value
        lines.append(f"  {group.name:<{width}}  {state:<8} {group.detail}".rstrip())
        lines += [f"  {'':<{width}}    {loss}" for loss in group.lost]
    return "\n".join(lines)


def _fields(report: VerifyReport) -> dict[str, object]:
    groups = [
        {"name": group.name, "state": group.state.value, "detail": group.detail, "lost": list(group.lost)}
        for group in report.groups
    ]
    return {"source": report.source, "result": report.result, "passed": report.passed, "groups": groups}
