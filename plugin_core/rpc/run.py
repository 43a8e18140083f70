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
from plugin_core.frame import LinearImage, NoiseProfile, NoiseSource, RawFrame
from plugin_core.io.worker import DecodeWorker
from plugin_core.models import ModelPackage, Registry
from plugin_core.noise.calibration import Applied, with_black_offset
from plugin_core.noise.from_file import choose
from plugin_core.noise.user_profiles import UserProfiles, given
from plugin_core.ops.defects import NO_SITES, Photosites, repair
from plugin_core.ops.denoise import Residual
from plugin_core.rpc.devices import Device
from plugin_core.rpc.transfer import ReceivedFile, progress, send
from plugin_core.rpc.translate import NamedCalibration
from plugin_core.rpc.v1 import restoration_pb2 as pb

__all__ = ["Clock", "KnownNoise", "Rooms", "Run"]


@dataclass(frozen=True)
class Rooms:
    """What all jobs of a server share. in_memory bounds how many jobs hold a picture at a time."""

    worker: DecodeWorker
    registry: Registry
    devices: list[Device]
    cache: ResultCache
    in_memory: Turnstile
    profiles: UserProfiles


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


@dataclass(frozen=True)
class KnownNoise:
    """What a picture is restored with. profile: one pair per colour plane.

    calibrated: the calibration that the profile is from, None if it is from elsewhere; warnings: of calibrations that
    could not be used.
    """

    profile: NoiseProfile
    calibrated: Applied | None = None
    warnings: tuple[str, ...] = ()

    @property
    def sites(self) -> Photosites:
        """The known defects, (N, 2)."""
        return self.calibrated.sites if self.calibrated is not None else NO_SITES

    def prepared(self, image: RawFrame | LinearImage) -> RawFrame | LinearImage:
        """The picture as the network is to see it: known defects interpolated, black where it was measured."""
        if self.calibrated is None or not isinstance(image, RawFrame):
            return image
        return with_black_offset(repair(image, self.sites), self.calibrated.black_offset)


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

    def noise_of(
        self, image: RawFrame | LinearImage, said: NoiseProfile | None, calibration: NamedCalibration | None = None
    ) -> KnownNoise:
        """From the request, its calibration, those in the user's folder, or the file. Raises OptionError."""
        calibrated: Applied | None = None
        warnings: tuple[str, ...] = ()
        if calibration is not None:
            calibrated, warnings = given(calibration.calibration, calibration.name, image)
            said = calibrated.profile  # the request's word, whatever the file's tag says
        elif said is None:
            calibrated, warnings = self.rooms.profiles.find(image)
        chosen = choose(image, said, calibrated.profile if calibrated is not None else None)
        if chosen.source is not NoiseSource.CALIBRATION:
            calibrated = None
        return KnownNoise(_per_plane(chosen, image), calibrated, warnings)

    def residual(
        self,
        image: RawFrame | LinearImage,
        digest: str,
        noise: KnownNoise,
        package: ModelPackage,
        use_cache: bool,
        summary: pb.Summary,
    ) -> Generator[pb.JobEvent, None, Residual]:
        """Of the prepared picture, from the cache, else from the network, then kept; the summary says who made it.

        digest: all that the pixels depend on; the source file's SHA-256.
        """
        manifest = package.manifest
        summary.model_id, summary.model_version = manifest.id, manifest.version
        summary.device = self.device.name
        key = _key(digest, noise, package)
        if use_cache:
            with self.clock.stage(pb.STAGE_RESTORE):
                kept = self.rooms.cache.get(key)
            if kept is not None:
                summary.from_cache = True
                return kept  # type: ignore[return-value]
        residual = yield from self._network(noise.prepared(image), noise.profile, package)
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


def _per_plane(profile: NoiseProfile, image: RawFrame | LinearImage) -> NoiseProfile:
    """The profile with a pair for each colour plane, where a caller gave one for all."""
    planes = image.cfa.plane_count if isinstance(image, RawFrame) else 3
    if len(profile.a) == planes:
        return profile
    return replace(profile, a=profile.a * planes, b=profile.b * planes)


def _key(digest: str, noise: KnownNoise, package: ModelPackage) -> str:
    """Everything the residual depends on; not strength, luma, chroma or mask, which come after it."""
    manifest = package.manifest
    return cache_key(
        {
            "program": __version__,
            "op": "denoise",
            "source": digest,
            "model": [manifest.id, manifest.version, manifest.weights_sha256],
            "noise": [list(map(float, noise.profile.a)), list(map(float, noise.profile.b))],
            "repaired": noise.sites.tolist(),
            "black_offset": noise.calibrated.black_offset if noise.calibrated is not None else [],
        }
    )
