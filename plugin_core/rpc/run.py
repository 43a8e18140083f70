"""What every job has on its way: a place in memory, the residual (cache or network), results over the stream."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from plugin_core import __version__
from plugin_core.cache import ResultCache, cache_key
from plugin_core.engine.cancel import CancelToken
from plugin_core.engine.lanes import Turnstile
from plugin_core.frame import LinearImage, NoiseProfile, RawFrame
from plugin_core.io.worker import DecodeWorker
from plugin_core.models import ModelPackage, Registry
from plugin_core.ops.denoise import Residual
from plugin_core.rpc.devices import Device
from plugin_core.rpc.transfer import ReceivedFile, progress, send
from plugin_core.rpc.v1 import restoration_pb2 as pb

__all__ = ["Clock", "Rooms", "Run", "per_plane"]


@dataclass(frozen=True)
class Rooms:
    """What all jobs of a server share. in_memory bounds how many jobs hold a picture at a time."""

    worker: DecodeWorker
    registry: Registry
    devices: list[Device]
    cache: ResultCache
    in_memory: Turnstile


@dataclass
class Clock:
    """Seconds per stage, by the wall."""

    seconds: dict[pb.Stage, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, stage: pb.Stage) -> Iterator[None]:
        """Adds the block's time to a stage."""
        begin = time.monotonic()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.monotonic() - begin

    def messages(self) -> list[pb.StageSeconds]:
        """As the contract says it, in the order of the stages."""
        return [pb.StageSeconds(stage=stage, seconds=seconds) for stage, seconds in sorted(self.seconds.items())]


@dataclass
class Run:
    """One job on its way; its maker holds a place in the device's lane. folder: private to it, for files in transit."""

    files: list[ReceivedFile]
    folder: Path
    rooms: Rooms
    device: Device
    token: CancelToken
    clock: Clock
    job_id: str

    def events(self) -> Iterator[pb.JobEvent]:
        """Progress, the results that go over the stream, and the summary, last. Raises every kind of IspError."""
        with self.clock.stage(pb.STAGE_QUEUE):
            for ahead in self.rooms.in_memory.enter(self.token):
                yield progress(pb.STAGE_QUEUE, ahead=ahead)
        try:
            summary = yield from self.work()
        finally:
            self.rooms.in_memory.leave()
        with self.clock.stage(pb.STAGE_SEND):
            for result in summary.results:
                if not result.path:
                    yield from self._send(result)
        summary.stages.extend(self.clock.messages())
        yield pb.JobEvent(summary=summary)

    def _send(self, result: pb.ResultFile) -> Iterator[pb.JobEvent]:
        sent = 0
        for event in send(result.role, self.folder / result.role):
            self.token.check()
            sent += len(event.result.data)
            yield event
        assert sent == result.size_bytes, "the result changed under our hands"

    def work(self) -> Generator[pb.JobEvent, None, pb.Summary]:
        """Yields progress, returns the summary; files without a path in it lie in `folder` under their role's name."""
        raise NotImplementedError

    def residual(
        self,
        image: RawFrame | LinearImage,
        digest: str,
        profile: NoiseProfile,
        package: ModelPackage,
        use_cache: bool,
        summary: pb.Summary,
    ) -> Generator[pb.JobEvent, None, Residual]:
        """From the cache, else from the network, then kept; says in the summary who made it.

        digest: all that the pixels depend on; the source file's SHA-256. profile: one pair per colour plane.
        """
        manifest = package.manifest
        summary.model_id, summary.model_version = manifest.id, manifest.version
        summary.device = self.device.name
        key = _key(digest, profile, package)
        if use_cache:
            with self.clock.stage(pb.STAGE_RESTORE):
                kept = self.rooms.cache.get(key)
            if kept is not None:
                summary.from_cache = True
                return kept  # type: ignore[return-value]
        residual = yield from self._network(image, profile, package)
        if use_cache and self.rooms.cache.limit_bytes:
            with self.clock.stage(pb.STAGE_RESTORE):
                if not self.rooms.cache.put(key, residual):
                    summary.warnings.append(f"the result could not be kept in {self.rooms.cache.directory}")
        return residual

    def _network(
        self, image: RawFrame | LinearImage, profile: NoiseProfile, package: ModelPackage
    ) -> Generator[pb.JobEvent, None, Residual]:
        queued = time.monotonic()
        started = 0.0
        ticket = self.device.restore(image, profile, package, self.token)
        try:
            for update in ticket.updates():
                if update.jobs_ahead:
                    yield progress(pb.STAGE_QUEUE, ahead=update.jobs_ahead)
                else:
                    started = started or time.monotonic()
                    yield progress(pb.STAGE_RESTORE, update.fraction, update.eta_s)
            return ticket.result()
        finally:
            now = time.monotonic()
            seconds = self.clock.seconds
            seconds[pb.STAGE_QUEUE] = seconds.get(pb.STAGE_QUEUE, 0.0) + (started or now) - queued
            seconds[pb.STAGE_RESTORE] = seconds.get(pb.STAGE_RESTORE, 0.0) + now - (started or now)


def per_plane(profile: NoiseProfile, image: RawFrame | LinearImage) -> NoiseProfile:
    """The profile with a pair for each colour plane, where a caller gave one for all."""
    planes = image.cfa.plane_count if isinstance(image, RawFrame) else 3
    if len(profile.a) == planes:
        return profile
    return replace(profile, a=profile.a * planes, b=profile.b * planes)


def _key(digest: str, profile: NoiseProfile, package: ModelPackage) -> str:
    """Everything the residual depends on; not strength, luma, chroma or mask, which come after it."""
    manifest = package.manifest
    return cache_key(
        {
            "program": __version__,
            "op": "denoise",
            "source": digest,
            "model": [manifest.id, manifest.version, manifest.weights_sha256],
            "noise": [list(map(float, profile.a)), list(map(float, profile.b))],
        }
    )
