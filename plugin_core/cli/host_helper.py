"""`neural-isp host-helper`: what a photo editor's module starts; it asks the server and says in a file what became."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from plugin_core.cli.connect import ServerChoice, server_options
from plugin_core.cli.exit_codes import ExitCode, exit_code
from plugin_core.client.errors import ServerError, ServerLost
from plugin_core.client.host_cache import CONTRACT, HostCache, write_status
from plugin_core.errors import IspError, OptionError

if TYPE_CHECKING:
    from plugin_core.client.values import MosaicWindow, Progress
    from plugin_core.rpc.v1.restoration_pb2 import Summary

__all__ = ["host_helper"]

STATUS_EVERY_S = 0.3  # a module looks twice a second
MISMATCH = "MOSAIC_MISMATCH"


@click.command(hidden=True)
@click.option("--contract", type=int, required=True, help="Version of these arguments that the module speaks.")
@click.option("--key", required=True, help="Names the residual and the status file in the cache's folder.")
@click.option("--raw", "source", type=click.Path(path_type=Path), help="The RAW file.")
@click.option(
    "--samples", type=click.Path(path_type=Path), help="The module's own samples instead; removed at the end."
)
@click.option("--window", required=True, help="TOP,LEFT,HEIGHT,WIDTH,FRAME_HEIGHT,FRAME_WIDTH in the sensor frame.")
@click.option("--cfa", required=True, help="4 or 36 digits: 0 red, 1 green, 2 blue, from the window's origin.")
@click.option("--model", default="", help="Model id.")
@server_options
def host_helper(
    contract: int,
    key: str,
    source: Path | None,
    samples: Path | None,
    window: str,
    cfa: str,
    model: str,
    server: str,
    tls_root: Path | None,
    token_file: Path | None,
) -> int:
    """Restore what a photo editor's pipe holds (started by its module, not by people)."""
    cache = HostCache.default()
    if not key.isalnum():
        raise OptionError(f"--key {key}: expected letters and digits", "BAD_KEY")
    cache.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    job = _Job(cache, key, model, ServerChoice(server, tls_root, token_file))
    try:
        if contract != CONTRACT:
            raise OptionError(
                f"the module speaks version {contract} of the helper's contract, this program version {CONTRACT}: "
                "run `neural-isp darktable install` again",
                "OTHER_CONTRACT",
            )
        if (source is None) == (samples is None):
            raise OptionError("expected either --raw or --samples", "BAD_OPTION")
        job.run(samples or source, _window(window, cfa, bare=samples is not None), samples is not None)
    except (IspError, ServerError) as error:
        job.tell("mismatch" if error.reason == MISMATCH else "failed", message=error.message, reason=error.reason)
        return int(exit_code(error))
    except BaseException as error:
        job.tell("failed", message=f"the helper was ended ({type(error).__name__})", reason="HELPER_ENDED")
        raise
    finally:
        if samples is not None:
            samples.unlink(missing_ok=True)
    return int(ExitCode.OK)


class _Job:
    """One request: its files in the cache's folder and the way to the server."""

    def __init__(self, cache: HostCache, key: str, model: str, server: ServerChoice) -> None:
        self._cache = cache
        self._residual = cache.folder / f"{key}.residual"
        self._status = cache.folder / f"{key}.status"
        self._model = model
        self._server = server
        self._started = time.monotonic()
        self._told = 0.0

    def run(self, source: Path | None, window: MosaicWindow, bare: bool) -> None:
        """Has the residual made. A server that is lost in the middle is asked for once more."""
        assert source is not None
        self.tell("running", stage="connect", fraction="0")
        self._cache.make_room(4 * window.height * window.width + 256)
        try:
            summary = self._ask(source, window, bare)
        except ServerLost as error:
            if self._server.address or error.reason == "SERVER_START":
                raise
            summary = self._ask(source, window, bare)
        self.tell(
            "done",
            model=f"{summary.model_id} {summary.model_version}",
            noise=summary.noise.source,
            seconds=f"{time.monotonic() - self._started:.1f}",
            from_cache="1" if summary.from_cache else "0",
        )

    def tell(self, state: str, **entries: str) -> None:
        """Writes the status file."""
        self._told = time.monotonic()
        write_status(self._status, {"state": state, **entries})

    def _ask(self, source: Path, window: MosaicWindow, bare: bool) -> Summary:
        with self._server.connect(lambda note: None) as client:
            return client.restore_mosaic(
                source, self._residual, window, samples=bare, model=self._model, progress=self._step
            )

    def _step(self, step: Progress) -> None:
        if time.monotonic() - self._told >= STATUS_EVERY_S:
            self.tell("running", stage=step.stage.name.lower(), fraction=f"{step.fraction:.3f}")


def _window(text: str, cfa: str, bare: bool) -> MosaicWindow:
    from plugin_core.client.values import MosaicWindow

    try:
        top, left, height, width, frame_height, frame_width = map(int, text.split(","))
        colors = tuple(map(int, cfa))
    except ValueError:
        raise OptionError(f"--window {text} --cfa {cfa}: expected six numbers, and digits", "BAD_OPTION") from None
    if min(top, left, height, width, frame_height, frame_width) < 0:
        raise OptionError(f"--window {text}: expected no negative numbers", "BAD_OPTION")
    if bare:
        top = left = frame_height = frame_width = 0
    return MosaicWindow(top, left, height, width, frame_height, frame_width, colors)
