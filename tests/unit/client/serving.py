"""A real gRPC server that answers by a script: the client's other side, without images."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from plugin_core import __version__
from plugin_core.rpc.v1 import restoration_pb2 as pb
from plugin_core.rpc.v1 import restoration_pb2_grpc

DNG = bytes(range(256)) * 9001  # more than two chunks, and not a whole number of them
CHANGE_MAP = b"a change map"


@dataclass
class Seen:
    """What one Denoise call sent."""

    header: pb.JobHeader
    chunks: list[pb.Chunk]
    metadata: dict[str, str]

    def content(self, index: int = 0) -> bytes:
        """The bytes of one input, from chunks or from its path."""
        declared = self.header.inputs[index]
        if declared.local_path:
            return Path(declared.local_path).read_bytes()
        return b"".join(chunk.data for chunk in self.chunks if chunk.input == index)


Answer = Callable[["Seen", grpc.ServicerContext], Iterator[pb.JobEvent]]


def result_chunks(role: str, data: bytes, step: int = 1 << 20) -> Iterator[pb.JobEvent]:
    """A result over the stream."""
    for start in range(0, len(data), step):
        last = start + step >= len(data)
        yield pb.JobEvent(result=pb.ResultChunk(role=role, data=data[start : start + step], last=last))


def restore(seen: Seen, context: grpc.ServicerContext) -> Iterator[pb.JobEvent]:
    """The answer of a server that has done its work."""
    results = {"dng": DNG, **({"change_map": CHANGE_MAP} if seen.header.denoise.change_map else {})}
    for stage in (pb.STAGE_DECODE, pb.STAGE_RESTORE):
        for fraction in (0.0, 0.5, 1.0):
            yield pb.JobEvent(progress=pb.Progress(stage=stage, fraction=fraction, eta_s=3.0))
    for role, data in results.items():
        yield from result_chunks(role, data)
    yield pb.JobEvent(summary=summary(seen, results))


def summary(seen: Seen, results: dict[str, bytes]) -> pb.Summary:
    """The last event for these results."""
    return pb.Summary(
        job_id="0123456789ab",
        model_id=seen.header.denoise.model or "standard",
        model_version="1.0.0",
        device="cpu",
        stages=[pb.StageSeconds(stage=pb.STAGE_RESTORE, seconds=1.5)],
        noise=pb.NoiseReport(a=[1e-3], b=[1e-6], source="measured", confidence=0.5),
        warnings=["levels were rescaled"],
        results=[
            pb.ResultFile(role=role, size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
            for role, data in results.items()
        ],
        source_sha256=hashlib.sha256(seen.content()).hexdigest(),
        megapixels=24.0,
        mean_change=0.8,
    )


@dataclass
class Service(restoration_pb2_grpc.RestorationServicer):
    """Answers Denoise by `answer`, and remembers every call."""

    answer: Answer = restore
    version: str = __version__
    seen: list[Seen] = field(default_factory=list)

    def Denoise(self, requests: Iterator[pb.DenoiseRequest], context: grpc.ServicerContext) -> Iterator[pb.JobEvent]:
        header = next(requests).header
        metadata = {entry.key: str(entry.value) for entry in context.invocation_metadata()}
        seen = Seen(header, [request.chunk for request in requests], metadata)
        self.seen.append(seen)
        yield from self.answer(seen, context)

    def DescribeFile(
        self, requests: Iterator[pb.DescribeFileRequest], context: grpc.ServicerContext
    ) -> pb.DescribeFileResponse:
        declared = next(requests).input
        chunks = [request.chunk for request in requests]
        seen = Seen(pb.JobHeader(inputs=[declared]), chunks, {})
        return pb.DescribeFileResponse(name=declared.name, sha256=hashlib.sha256(seen.content()).hexdigest())

    def GetServerInfo(
        self, request: pb.GetServerInfoRequest, context: grpc.ServicerContext
    ) -> pb.GetServerInfoResponse:
        return pb.GetServerInfoResponse(version=self.version, pid=4711, default_model="standard")

    def ListModels(self, request: pb.ListModelsRequest, context: grpc.ServicerContext) -> pb.ListModelsResponse:
        card = "# standard\nFor every day."
        return pb.ListModelsResponse(
            models=[
                pb.Model(id="standard", version="1.0.0", op="denoise", cfa_kinds=["bayer"], card=card, is_default=True),
                pb.Model(id="fast", version="1.0.0", op="denoise", cfa_kinds=["bayer", "xtrans"]),
            ]
        )


@contextmanager
def serving(service: Service, address: str) -> Iterator[str]:
    """The service and its health on an address ("127.0.0.1:0" for any port); gives the address to call."""
    server = grpc.server(ThreadPoolExecutor(8))
    restoration_pb2_grpc.add_RestorationServicer_to_server(service, server)
    states = health.HealthServicer()
    states.set("", health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(states, server)
    port = server.add_insecure_port(address)
    server.start()
    try:
        yield address if address.startswith("unix:") else f"127.0.0.1:{port}"
    finally:
        server.stop(0).wait()
