"""`neural-isp info`: what is in a RAW file, and which noise parameters would be used."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from plugin_core.cli.connect import ServerChoice, server_options
from plugin_core.cli.exit_codes import ExitCode, exit_code, worst
from plugin_core.client.errors import ServerError
from plugin_core.errors import IspError

if TYPE_CHECKING:
    from plugin_core.rpc.v1 import restoration_pb2 as pb

__all__ = ["describe_text", "info"]

_SOURCES = {
    "user": "given by you",
    "calibration": "from your calibration of this camera",
    "dng_noise_profile": "from the file's NoiseProfile tag",
    "measured": "measured from this file",
    "camera_table": "from the table of cameras",
    "default": "a default for want of better",
}


@click.command(no_args_is_help=True)
@click.argument("inputs", metavar="IN...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object a file, with every tag.")
@click.option("--tags", is_flag=True, help="Also list every tag.")
@server_options
def info(
    inputs: tuple[Path, ...],
    as_json: bool,
    tags: bool,
    server: str,
    tls_root: Path | None,
    token_file: Path | None,
) -> int:
    """Show what is in RAW files: camera, sensor, levels, colour, tags.

    Also which noise parameters would be used, from where, and how far the other sources differ from them.
    """
    codes: list[ExitCode] = []
    with ServerChoice(server, tls_root, token_file).connect(lambda text: click.echo(text, err=True)) as client:
        for path in inputs:
            try:
                description = client.describe(path)
            except (IspError, ServerError) as error:
                click.echo(f"neural-isp: {error.message}", err=True)
                codes.append(exit_code(error))
                continue
            click.echo(_json(description) if as_json else describe_text(description, tags))
    return int(worst(codes))


def _json(description: pb.DescribeFileResponse) -> str:
    from google.protobuf.json_format import MessageToDict

    fields = MessageToDict(description, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
    return json.dumps(fields, ensure_ascii=False)


def describe_text(d: pb.DescribeFileResponse, tags: bool = False) -> str:
    """The description as a person reads it."""
    sensor = f"{d.kind} {d.cfa}".strip() if d.cfa.lower() != d.kind else d.kind
    exposure = [_shutter(d.exposure_time_s)] if d.exposure_time_s else []
    exposure += [f"f/{d.f_number:g}"] if d.f_number else []
    exposure += [f"ISO {d.iso:g}"] if d.iso else []
    rows = [
        ("camera", d.model if d.model.startswith(d.make) else f"{d.make} {d.model}".strip()),
        ("lens", d.lens),
        ("exposure", ", ".join(exposure)),
        ("sensor", f"{sensor}, {d.width} x {d.height}"),
        ("picture", _area(d.active_area, "of the sensor")),
        ("crop", _area(d.default_crop, "of the picture")),
        ("levels", f"black {_numbers(d.black_level)}, white {_numbers(d.white_level)}"),
        ("neutral", _numbers(d.as_shot_neutral) or "unknown"),
        *_noise("noise", d.noise),
        *(row for other in d.other_noise for row in _noise("or", other)),
        ("tags", ", ".join(f"{count} {group}" for group, count in Counter(t.group for t in d.tags).items())),
        ("restorable", "yes" if d.restorable else f"no: {d.refusal}"),
        *(("warning", warning) for warning in d.warnings),
        *((f"  {tag.group}", f"{tag.name}: {tag.value}") for tag in (d.tags if tags else ())),
    ]
    return "\n".join([d.name, *(f"  {label:<11}{text}" for label, text in rows if text)])


def _noise(label: str, noise: pb.NoiseReport) -> list[tuple[str, str]]:
    """Rows for one source: its values, who says so, and what the server says about it."""
    if not noise.a:
        return []
    source = _SOURCES.get(noise.source, noise.source)
    rows = [
        (label, f"a {_numbers(noise.a)}, b {_numbers(noise.b)}"),
        ("", f"{source}, confidence {noise.confidence:.0%}"),
    ]
    return [*rows, *(("", part) for part in noise.detail.split("; ") if part)]


def _numbers(values: object) -> str:
    """Numbers as people write them; one if they are all the same."""
    texts = [f"{value:.4g}" if value < 100 else f"{value:.6g}" for value in values]  # type: ignore[attr-defined]
    return texts[0] if len(set(texts)) == 1 else " ".join(texts)


def _area(rectangle: object, of: str) -> str:
    top, left, height, width = tuple(rectangle) or (0, 0, 0, 0)  # type: ignore[arg-type]
    return f"{width} x {height} at row {top}, column {left} {of}" if width else ""


def _shutter(seconds: float) -> str:
    return f"1/{1 / seconds:.0f} s" if seconds < 0.3 else f"{seconds:g} s"
