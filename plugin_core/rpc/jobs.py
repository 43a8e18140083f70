"""The way of one denoise job: decode, noise, residual, blend and write."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

from plugin_core.errors import OptionError
from plugin_core.frame import LinearImage
from plugin_core.ops.defects import NO_SITES
from plugin_core.rpc.devices import picture_size
from plugin_core.rpc.results import Restoration, write_results
from plugin_core.rpc.run import Run
from plugin_core.rpc.transfer import progress
from plugin_core.rpc.translate import DenoiseJob, Output, noise_message
from plugin_core.rpc.v1 import restoration_pb2 as pb

__all__ = ["DenoiseRun"]


@dataclass
class DenoiseRun(Run):
    """A Denoise call on its way."""

    job: DenoiseJob

    def work(self) -> Generator[pb.JobEvent, None, pb.Summary]:
        """The results that were asked for, written. Raises every kind of IspError."""
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
            noise = self.noise_of(source.image, self.job.noise, self.job.calibration)
        summary = pb.Summary(
            job_id=self.job_id,
            noise=noise_message(noise.profile),
            source_sha256=raw.sha256,
            megapixels=picture_size(source.image) / 1e6,
            warnings=(*source.warnings, *noise.warnings),
        )
        residual = None
        if package is not None:
            residual = yield from self.residual(source.image, raw.sha256, noise, package, self.job.use_cache, summary)
        yield progress(pb.STAGE_WRITE)
        self.token.check()
        with self.clock.stage(pb.STAGE_WRITE):
            mask_sha256 = mask_file.sha256 if mask_file else ""
            sites = noise.sites if package is not None else NO_SITES
            restoration = Restoration(
                self.job, source, raw.sha256, noise.profile, residual, mask, mask_sha256, package, sites
            )
            write_results(restoration, self.folder, self.rooms.worker, summary)
        return summary
