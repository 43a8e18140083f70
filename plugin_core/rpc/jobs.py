"""The way of one denoise job: decode, noise, residual (cache or network), blend and write, send."""

from __future__ import annotations

import logging
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from plugin_core import __version__
from plugin_core.cache import ResultCache, cache_key
from plugin_core.engine.cancel import CancelToken
from plugin_core.engine.lanes import Turnstile
from plugin_core.errors import OptionError
from plugin_core.frame import LinearImage, NoiseProfile, NoiseSource, RawFrame
from plugin_core.io.source_file import SourceFile
from plugin_core.io.worker import DecodeWorker
from plugin_core.models import ModelPackage, Registry
from plugin_core.noise.calibration import Applied, with_black_offset
from plugin_core.noise.from_file import choose
from plugin_core.noise.user_profiles import UserProfiles, given
from plugin_core.ops.defects import NO_SITES, repair
from plugin_core.ops.denoise import Residual
from plugin_core.rpc.devices import Device, picture_size
from plugin_core.rpc.results import Restoration, write_results
from plugin_core.rpc.transfer import ReceivedFile, progress, send
from plugin_core.rpc.translate import DenoiseJob, Output, noise_message
from plugin_core.rpc.v1 import restoration_pb2 as pb

__all__ = ["Clock", "DenoiseRun", "Rooms"]

log = logging.getLogger("neural_isp")


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


@dataclass
class DenoiseRun:
    """One job on its way; its maker holds a place in the device's lane. folder: private to it, for files in transit."""

    job: DenoiseJob
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
            summary = yield from self._restore_and_write()
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

    def _restore_and_write(self) -> Generator[pb.JobEvent, None, pb.Summary]:
        raw = next(one for one in self.files if one.role == "raw")
        # asked first: an unknown model is no reason to decode
        package = None if self.job.blend.identity else self.rooms.registry.get(self.job.model)
        yield progress(pb.STAGE_DECODE)
        self.token.check()
        with self.clock.stage(pb.STAGE_DECODE):
            source = self.rooms.worker.read(raw.path, raw.name)
            mask_file = next((one for one in self.files if one.role == "mask"), None)
            mask = self.rooms.worker.read_mask(mask_file.path) if mask_file else None
        if self.job.output is Output.CFA and isinstance(source.image, LinearImage):
            raise OptionError(f"{raw.name}: is demosaiced already; no CFA output can be made of it", "OUTPUT_KIND")
        yield progress(pb.STAGE_NOISE)
        self.token.check()
        with self.clock.stage(pb.STAGE_NOISE):
            calibrated, notes = self._calibrated(source.image)
            known = calibrated.profile if calibrated is not None else None
            chosen = choose(source.image, self.job.noise, known)
            profile = _per_plane(chosen, source.image)
            if chosen.source is not NoiseSource.CALIBRATION:
                calibrated = None
        summary = pb.Summary(
            job_id=self.job_id,
            noise=noise_message(profile),
            source_sha256=raw.sha256,
            megapixels=picture_size(source.image) / 1e6,
            warnings=(*source.warnings, *notes),
        )
        residual = None
        if package is not None:
            manifest = package.manifest
            summary.model_id, summary.model_version = manifest.id, manifest.version
            summary.device = self.device.name
            residual = yield from self._residual(raw, source, profile, calibrated, package, summary)
        yield progress(pb.STAGE_WRITE)
        self.token.check()
        with self.clock.stage(pb.STAGE_WRITE):
            mask_sha256 = mask_file.sha256 if mask_file else ""
            sites = calibrated.sites if calibrated is not None and package is not None else NO_SITES
            restoration = Restoration(
                self.job, source, raw.sha256, profile, residual, mask, mask_sha256, package, sites
            )
            write_results(restoration, self.folder, self.rooms.worker, summary)
        return summary

    def _calibrated(self, image: RawFrame | LinearImage) -> tuple[Applied | None, tuple[str, ...]]:
        """What the request's calibration, else those in the user's folder, say of the picture; and warnings."""
        if self.job.calibration is not None:
            return given(self.job.calibration.calibration, self.job.calibration.name, image)
        return (None, ()) if self.job.noise is not None else self.rooms.profiles.find(image)

    def _residual(
        self,
        raw: ReceivedFile,
        source: SourceFile,
        profile: NoiseProfile,
        calibrated: Applied | None,
        package: ModelPackage,
        summary: pb.Summary,
    ) -> Generator[pb.JobEvent, None, Residual]:
        """From the cache, else from the network, then kept; of the repaired picture."""
        key = _key(raw, profile, calibrated, package)
        if self.job.use_cache:
            with self.clock.stage(pb.STAGE_RESTORE):
                kept = self.rooms.cache.get(key)
            if kept is not None:
                summary.from_cache = True
                return kept  # type: ignore[return-value]
        image = source.image
        if calibrated is not None and isinstance(image, RawFrame):
            image = with_black_offset(repair(image, calibrated.sites), calibrated.black_offset)
        residual = yield from self._network(image, profile, package)
        if self.job.use_cache and self.rooms.cache.limit_bytes:
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


def _key(raw: ReceivedFile, profile: NoiseProfile, calibrated: Applied | None, package: ModelPackage) -> str:
    """Everything the residual depends on; not strength, luma, chroma or mask, which come after it."""
    manifest = package.manifest
    return cache_key(
        {
            "program": __version__,
            "op": "denoise",
            "source": raw.sha256,
            "model": [manifest.id, manifest.version, manifest.weights_sha256],
            "noise": [list(map(float, profile.a)), list(map(float, profile.b))],
            "repaired": calibrated.sites.tolist() if calibrated is not None else [],
            "black_offset": calibrated.black_offset if calibrated is not None else [],
        }
    )
