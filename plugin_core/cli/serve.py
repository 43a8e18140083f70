"""`neural-isp serve`: options into a ServerConfig, and the server itself."""

from __future__ import annotations

from pathlib import Path

import click

from plugin_core.cli.connect import read_token, server_part
from plugin_core.config import CacheConfig, Limits, ServerConfig, TilingConfig

__all__ = ["serve"]

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.option("--address", default="", help="unix:///path or host:port (default: this user's private socket).")
@click.option(
    "--idle-exit", metavar="SECONDS", type=click.FloatRange(min=0), default=0.0, help="Leave when idle that long."
)
@click.option("--threads", type=click.IntRange(min=0), default=0, envvar="NEURAL_ISP_THREADS", help="0: every core.")
@click.option("--device", default="cpu", show_default=True, envvar="NEURAL_ISP_DEVICE", help="cpu or cuda.")
@click.option(
    "--model-dir",
    "model_directories",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    envvar="NEURAL_ISP_MODEL_DIR",
    help="Folder of model packages besides those that ship; may be given again.",
)
@click.option("--tls-cert", type=_FILE, help="PEM certificate chain; with --tls-key and a token for other machines.")
@click.option("--tls-key", type=_FILE, help="PEM private key.")
@click.option("--token-file", type=_FILE, envvar="NEURAL_ISP_TOKEN_FILE", help="File with the token callers must send.")
@click.option(
    "--queue", type=click.IntRange(min=1), default=Limits.queue, show_default=True, help="Jobs that may wait."
)
@click.option("--tile", type=click.IntRange(min=64), default=TilingConfig.inner, show_default=True, help="Photosites.")
@click.option(
    "--cache-size", metavar="GIB", type=click.FloatRange(min=0), default=8.0, show_default=True, help="0: none."
)
def serve(
    address: str,
    idle_exit: float,
    threads: int,
    device: str,
    model_directories: tuple[Path, ...],
    tls_cert: Path | None,
    tls_key: Path | None,
    token_file: Path | None,
    queue: int,
    tile: int,
    cache_size: float,
) -> int:
    """Serve until stopped (Ctrl-C) or idle; other commands start one of their own when none answers.

    Beyond this machine only with TLS and a token.
    """
    config = ServerConfig(
        address=address,
        device=device,
        threads=threads,
        model_directories=model_directories,
        tls_certificate=tls_cert,
        tls_key=tls_key,
        token=read_token(token_file),
        idle_exit_s=idle_exit,
        limits=Limits(queue=queue),
        tiling=TilingConfig(inner=tile),
        cache=CacheConfig(size_bytes=int(cache_size * (1 << 30))),
    )
    with server_part():
        from plugin_core.rpc.server import serve as run
    return run(config)
