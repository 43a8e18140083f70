"""A typed client of the Restoration service."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import cast

import grpc

from plugin_core.client.connection import Connection
from plugin_core.client.errors import ServerFault
from plugin_core.client.status import exception_of
from plugin_core.client.transfer import FileSource, Input, Received, open_input
from plugin_core.client.values import (
    DenoiseOptions,
    MosaicWindow,
    ProgressCallback,
    Restored,
    noise_report,
    options_message,
    progress,
    residual_report,
    stage_seconds,
)
from plugin_core.config import ServerConfig
from plugin_core.rpc.v1 import restoration_pb2 as pb
from plugin_core.rpc.v1.restoration_pb2_grpc import RestorationStub

__all__ = ["Client"]


class Client(AbstractContextManager["Client"]):
    """A connection to a server; safe to use from several threads. Connects with the first call.

    Every call raises the IspError child that the server raised, ServerLost if there is no server (any more), or
    ServerFault if the server itself failed. An interrupt (Ctrl-C) ends the job on the server, too.
    """

    def __init__(self, address: str = "", root_certificates: Path | None = None, token: str = "") -> None:
        """address: "unix:///path" or "host:port"; "" is this user's private socket; it starts nothing.

        root_certificates: PEM file; beyond loopback the connection is always TLS. token: what the server was given.
        """
        self.connection = Connection(address or ServerConfig().address, root_certificates, token)
        self._channel = self.connection.open_channel()
        self._stub = RestorationStub(self._channel)  # type: ignore[no-untyped-call]

    def close(self) -> None:
        """Ends the connection and every call on it."""
        self._channel.close()

    def __exit__(self, *_: object) -> None:
        self.close()

    def denoise(
        self,
        source: FileSource,
        output: Path | str | None = None,
        options: DenoiseOptions | None = None,
        *,
        mask: FileSource | None = None,
        change_map: Path | str | None = None,
        name: str = "",
        overwrite: bool = False,
        progress: ProgressCallback | None = None,
        timeout_s: float | None = None,
    ) -> Restored:
        """The source with less noise, as a DNG at `output`, or as bytes in the result if that is None.

        source, mask: a path, bytes or a binary file; the mask is a greyscale PNG or TIFF, white is full strength.
        change_map: .png, .tif or .tiff to write |residual| / sigma to, 16 bit, 65535 = 8 sigma.
        name: what the source is called in messages and OriginalRawFileName; by default the file's own name.
        progress: called in this thread for each step. timeout_s: the job is cancelled after that long.
        A file appears under its name complete or not at all; one that exists is replaced only with `overwrite`.
        """
        started = time.monotonic()
        dng = Received(Path(output) if output is not None else None, overwrite)
        change = Received(Path(change_map), overwrite) if change_map is not None else None
        header = pb.JobHeader(denoise=options_message(options or DenoiseOptions(), change.path if change else None))
        by_path = self.connection.is_unix
        with ExitStack() as files:
            inputs = [open_input(source, "raw", name, by_path, files)]
            if mask is not None:
                inputs.append(open_input(mask, "mask", "", by_path, files))
            header.inputs.extend(each.message for each in inputs)
            for target in filter(None, (change, dng)):
                target.check_target()
                files.enter_context(target)
            call = self._stub.Denoise(_requests(header, inputs), timeout=timeout_s, metadata=self.connection.metadata)
            with self._calling(call, inputs):
                summary = _receive(call, {"dng": dng, "change_map": change}, progress)
            _check(summary, inputs[0], dng, change)
        return _restored(summary, dng, change, time.monotonic() - started)

    def restore_mosaic(
        self,
        source: FileSource,
        output: Path | str,
        window: MosaicWindow,
        *,
        samples: bool = False,
        model: str = "",
        progress: ProgressCallback | None = None,
        timeout_s: float | None = None,
    ) -> pb.Summary:
        """Writes the residual of a host's mosaic to `output`, in two parts to blend by, and returns the job's summary.

        source: the RAW file; or, with `samples`, the host's own samples: float32, little-endian, row-major, 0..1.
        The file appears complete or not at all; an older residual of that name is replaced. MOSAIC_MISMATCH is the
        reason of the OptionError where the file, decoded here, is not what the window says.
        """
        path = Path(output).absolute()
        target = Received(path, overwrite=True)
        header = pb.RestoreMosaicHeader(model=model, window=pb.MosaicWindow(**asdict(window)))
        by_path = self.connection.is_unix
        with ExitStack() as files:
            given = open_input(source, "mosaic" if samples else "raw", "", by_path, files)
            header.input.CopyFrom(given.message)
            target.check_target()
            if by_path:
                header.output_path = str(path)
            files.enter_context(target)
            call = self._stub.RestoreMosaic(
                _mosaic_requests(header, given), timeout=timeout_s, metadata=self.connection.metadata
            )
            with self._calling(call, [given]):
                summary = _receive(call, {"residual": target}, progress)
            if not by_path:
                target.check(next(iter(summary.results), None), "residual")
        return summary

    def describe(
        self, source: FileSource, *, name: str = "", timeout_s: float | None = None
    ) -> pb.DescribeFileResponse:
        """What is in a file: sensor, levels, colour, tags, and which noise parameters would be used."""
        with ExitStack() as files:
            raw = open_input(source, "raw", name, self.connection.is_unix, files)
            call = self._stub.DescribeFile.future(
                _describe_requests(raw), timeout=timeout_s, metadata=self.connection.metadata
            )
            with self._calling(call, [raw]):
                return cast(pb.DescribeFileResponse, call.result())

    def server_info(self, timeout_s: float | None = 10.0) -> pb.GetServerInfoResponse:
        """Version, devices, limits and accepted file endings."""
        call = self._stub.GetServerInfo.future(
            pb.GetServerInfoRequest(), timeout=timeout_s, metadata=self.connection.metadata
        )
        with self._calling(call, []):
            return cast(pb.GetServerInfoResponse, call.result())

    def models(self, timeout_s: float | None = 10.0) -> list[pb.Model]:
        """The model packages that the server has."""
        call = self._stub.ListModels.future(
            pb.ListModelsRequest(), timeout=timeout_s, metadata=self.connection.metadata
        )
        with self._calling(call, []):
            return list(cast(pb.ListModelsResponse, call.result()).models)

    @contextmanager
    def _calling(self, call: grpc.Call, inputs: Iterable[Input]) -> Iterator[None]:
        """Maps a failed call to its exception, and cancels the call however the block ends."""
        try:
            yield
        except grpc.FutureCancelledError as error:
            raise ServerFault("the connection was closed during a call", "CLOSED") from error
        except grpc.RpcError as error:
            for each in inputs:  # grpc reports a source that can't be read as a cancelled call
                if each.failure is not None:
                    raise each.failure from error
            raise exception_of(error, self.connection.address) from error
        finally:
            call.cancel()  # type: ignore[no-untyped-call]


def _requests(header: pb.JobHeader, inputs: list[Input]) -> Iterator[pb.DenoiseRequest]:
    yield pb.DenoiseRequest(header=header)
    for index, each in enumerate(inputs):
        for chunk in each.chunks(index):
            yield pb.DenoiseRequest(chunk=chunk)


def _mosaic_requests(header: pb.RestoreMosaicHeader, given: Input) -> Iterator[pb.RestoreMosaicRequest]:
    yield pb.RestoreMosaicRequest(header=header)
    for chunk in given.chunks(0):
        yield pb.RestoreMosaicRequest(chunk=chunk)


def _describe_requests(raw: Input) -> Iterator[pb.DescribeFileRequest]:
    yield pb.DescribeFileRequest(input=raw.message)
    for chunk in raw.chunks(0):
        yield pb.DescribeFileRequest(chunk=chunk)


def _receive(
    events: Iterable[pb.JobEvent], results: dict[str, Received | None], callback: ProgressCallback | None
) -> pb.Summary:
    """Hands each event to whom it is for; the summary is what is left."""
    summary: pb.Summary | None = None
    for event in events:
        kind = event.WhichOneof("event")
        if kind == "result":
            target = results.get(event.result.role)
            if target is not None:
                target.write(event.result.data)
        elif kind == "summary":
            summary = event.summary
        elif kind == "progress" and callback is not None:
            step = progress(event.progress)
            if step is not None:
                callback(step)
    if summary is None:
        raise ServerFault("the server ended the job without a summary; nothing was written", "NO_SUMMARY")
    return summary


def _check(summary: pb.Summary, source: Input, dng: Received, change: Received | None) -> None:
    """Raises ServerFault unless what was sent and what came back are what the other side sent and got."""
    results = {result.role: result for result in summary.results}
    dng.check(results.get("dng"), "result")
    if change is not None:
        change.check(results.get("change_map"), "change map")
    sent = source.digest.hexdigest()
    if source.stream is not None and summary.source_sha256 not in ("", sent):
        raise ServerFault(
            f"{source.message.name}: arrived damaged at the server; nothing was written", "SOURCE_DAMAGED"
        )


def _restored(summary: pb.Summary, dng: Received, change: Received | None, seconds: float) -> Restored:
    return Restored(
        path=dng.path,
        dng=dng.data,
        change_map=change.path if change else None,
        job_id=summary.job_id,
        model_id=summary.model_id,
        model_version=summary.model_version,
        device=summary.device,
        seconds=stage_seconds(summary),
        noise=noise_report(summary.noise),
        warnings=tuple(summary.warnings),
        source_sha256=summary.source_sha256,
        sha256=dng.sha256.hexdigest(),
        size_bytes=dng.size_bytes,
        from_cache=summary.from_cache,
        megapixels=summary.megapixels,
        mean_change=summary.mean_change,
        residual=residual_report(summary),
        client_seconds=seconds,
    )
