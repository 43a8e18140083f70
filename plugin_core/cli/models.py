"""`neural-isp models`: what the server can restore with, and whether the packages are what they say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from plugin_core.cli.connect import ServerChoice, server_options, server_part
from plugin_core.cli.exit_codes import ExitCode, exit_code, worst
from plugin_core.errors import IspError, NoModelError

if TYPE_CHECKING:
    from plugin_core.rpc.v1 import restoration_pb2 as pb

__all__ = ["models"]


@click.group()
def models() -> None:
    """List, show and verify the models."""


def _fetch(server: str, tls_root: Path | None, token_file: Path | None) -> list[pb.Model]:
    with ServerChoice(server, tls_root, token_file).connect(lambda text: click.echo(text, err=True)) as client:
        return client.models()


@models.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a model.")
@server_options
def list_models(as_json: bool, server: str, tls_root: Path | None, token_file: Path | None) -> None:
    """List the server's models; * is the default."""
    for model in _fetch(server, tls_root, token_file):
        if as_json:
            click.echo(json.dumps(_fields(model)))
            continue
        mark = "*" if model.is_default else " "
        size = f"{model.parameters / 1e6:.1f} M"
        kinds = ", ".join(model.cfa_kinds)
        click.echo(f"{mark} {model.id:<12} {model.version:<8} {model.op:<8} {size:>8}  {kinds}: {model.description}")


@models.command("show")
@click.argument("model_id", metavar="ID", default="")
@click.option("--json", "as_json", is_flag=True, help="As a JSON object.")
@server_options
def show(model_id: str, as_json: bool, server: str, tls_root: Path | None, token_file: Path | None) -> None:
    """Show a model's card and figures (default: the default model)."""
    found = _fetch(server, tls_root, token_file)
    for model in found:
        if model.id == model_id or (not model_id and model.is_default):
            break
    else:
        names = ", ".join(model.id for model in found) or "none"
        raise NoModelError(f'no model "{model_id}"; the server has {names}', "NO_SUCH_MODEL")
    if as_json:
        click.echo(json.dumps(_fields(model)))
        return
    click.echo(f"{model.id} {model.version}{' (default)' if model.is_default else ''}: {model.description}")
    rows = {
        "op": model.op,
        "sensors": ", ".join(model.cfa_kinds),
        "parameters": f"{model.parameters:,}",
        "halo": f"{model.halo} photosites",
        "licence": model.licence,
        "weights": f"sha256 {model.weights_sha256}",
    }
    click.echo("\n".join(f"  {label:<12}{text}" for label, text in rows.items()))
    if model.card:
        click.echo(f"\n{model.card.strip()}")


@models.command("verify")
@click.argument("model_ids", metavar="[ID]...", nargs=-1)
@click.option(
    "--model-dir",
    "folders",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    envvar="NEURAL_ISP_MODEL_DIR",
    help="Also look for packages here.",
)
def verify(model_ids: tuple[str, ...], folders: tuple[Path, ...]) -> int:
    """Check every file's checksum and run the golden tile; on this machine, without the server."""
    with server_part():
        from plugin_core.cli.local_checks import find_models, verify_model
    codes: list[ExitCode] = []
    for package in find_models(folders, model_ids):
        try:
            difference, tolerance = verify_model(package)
        except IspError as error:
            click.echo(f"neural-isp: {error.message}", err=True)
            codes.append(exit_code(error))
            continue
        manifest = package.manifest
        passed = f"checksums match, golden tile within {difference:.1e} (allowed {tolerance:.1e})"
        click.echo(f"{manifest.id} {manifest.version}: {passed}")
    return int(worst(codes))


def _fields(model: pb.Model) -> dict[str, object]:
    from google.protobuf.json_format import MessageToDict

    fields: dict[str, object] = MessageToDict(
        model, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return fields
