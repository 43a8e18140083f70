"""The way of one RestoreMosaic job: decode (or take the host's samples), residual, and its window for the host."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from plugin_core.config import Limits
from plugin_core.errors import FileFormatError, LimitError, OptionError
from plugin_core.frame import CfaPattern, FloatArray, NoiseProfile, RawFrame, Rect, Source
from plugin_core.io.residual_file import ResidualHeader, is_residual, write_residual
from plugin_core.ops.blend import parts
from plugin_core.ops.defects import with_repairs
from plugin_core.rpc.devices import picture_size
from plugin_core.rpc.run import Run
from plugin_core.rpc.transfer import ReceivedFile, progress
from plugin_core.rpc.translate import noise_message, noise_profile, output_path
from plugin_core.rpc.v1 import restoration_pb2 as pb

__all__ = ["MosaicJob", "MosaicRun", "check_residual_path", "mosaic_job"]

RESIDUAL = "residual"  # the result's role, and its name in the job's folder
SAMPLE_SPAN = 65535.0  # host samples 0..1 are kept on this scale, so that float16 residuals are precise


@dataclass(frozen=True)
class MosaicJob:
    """What one RestoreMosaic call asks for, checked. window: in the sensor frame; frame: (height, width) of that."""

    model: str
    window: Rect
    frame: tuple[int, int]
    cfa: CfaPattern
    noise: NoiseProfile | None
    output_path: Path | None
    use_cache: bool


def mosaic_job(header: pb.RestoreMosaicHeader, paths_allowed: bool, limits: Limits) -> MosaicJob:
    """The job that the header describes. Raises OptionError or LimitError for what is wrong in itself."""
    window, role = header.window, header.input.role
    if role not in ("raw", "mosaic"):
        raise OptionError(f'the input is "{role}", expected "raw" or "mosaic"', "INPUT_ROLES")
    cfa = _cfa(tuple(window.cfa))
    area = Rect(window.top, window.left, window.height, window.width)
    if not area.height or not area.width:
        raise OptionError(f"the window is {area.width} x {area.height} photosites", "BAD_WINDOW")
    if max(area.height, area.width) > limits.side or area.height * area.width > limits.pixels:
        raise LimitError(f"the window is {area.width} x {area.height} photosites, too large", "IMAGE_TOO_LARGE")
    if role == "mosaic" and header.input.size_bytes not in (0, 4 * area.height * area.width):
        raise OptionError(
            f"{header.input.size_bytes} bytes are declared, {area.width} x {area.height} float32 samples have "
            f"{4 * area.height * area.width}",
            "SIZE_MISMATCH",
        )
    return MosaicJob(
        model=header.model,
        window=area,
        frame=(window.frame_height, window.frame_width),
        cfa=cfa,
        noise=noise_profile(header.noise) if header.HasField("noise") else None,
        output_path=output_path(header.output_path, "output_path", paths_allowed),
        use_cache=not header.no_cache,
    )


def check_residual_path(job: MosaicJob, files: list[ReceivedFile]) -> None:
    """Raises OptionError where the residual can't be written, or is to go over the input or over a foreign file."""
    path = job.output_path
    if path is None:
        return
    if not path.parent.is_dir():
        raise OptionError(f"{path}: no such folder to write to", "OUTPUT_UNWRITABLE")
    if path.exists() and any(one.local and path.samefile(one.path) for one in files):
        raise OptionError(f"{path}: is the input of this job; inputs are never written to", "OUTPUT_IS_INPUT")
    if path.exists() and not is_residual(path):
        raise OptionError(f"{path}: exists and is no residual; it is not replaced", "OUTPUT_EXISTS")


@dataclass
class MosaicRun(Run):
    """A RestoreMosaic call on its way."""

    job: MosaicJob

    def work(self) -> Generator[pb.JobEvent, None, pb.Summary]:
        """The residual of the host's window, written. Raises every kind of IspError."""
        (file,) = self.files
        package = self.rooms.registry.get(self.job.model)
        summary = pb.Summary(job_id=self.job_id, source_sha256=file.sha256)
        yield progress(pb.STAGE_DECODE)
        self.token.check()
        with self.clock.stage(pb.STAGE_DECODE):
            image, span = self._image(file, summary)
        yield progress(pb.STAGE_NOISE)
        self.token.check()
        with self.clock.stage(pb.STAGE_NOISE):
            noise = self.noise_of(image, self.job.noise)
        summary.noise.CopyFrom(noise_message(noise.profile))
        summary.warnings.extend(noise.warnings)
        summary.megapixels = picture_size(image) / 1e6
        digest = file.sha256
        if span:  # bare samples: their digest doesn't say how they lie
            digest += f" {self.job.window.height}x{self.job.window.width} {self.job.cfa.colors}"
        residual = yield from self.residual(image, digest, noise, package, self.job.use_cache, summary)
        yield progress(pb.STAGE_WRITE)
        self.token.check()
        with self.clock.stage(pb.STAGE_WRITE):
            path = self.job.output_path or self.folder / RESIDUAL
            manifest = package.manifest
            header = ResidualHeader(
                self.job.window.height,
                self.job.window.width,
                self.job.cfa,
                span,
                manifest.id,
                manifest.version,
                noise.profile.source.value,
            )
            residual = with_repairs(residual, image, noise.sites)
            strips = _windowed(parts(residual, image.cfa), image.active_area, self.job.window)
            size, sha256 = write_residual(path, header, strips)
        shown = str(self.job.output_path or "")
        summary.results.append(pb.ResultFile(role=RESIDUAL, path=shown, size_bytes=size, sha256=sha256))
        return summary

    def _image(self, file: ReceivedFile, summary: pb.Summary) -> tuple[RawFrame, float]:
        """The mosaic to restore, and the span of its residual (0: raw units)."""
        if file.role == "mosaic":
            return _sampled(file, self.job), SAMPLE_SPAN
        source = self.rooms.worker.read(file.path, file.name)
        summary.warnings.extend(source.warnings)
        if not isinstance(source.image, RawFrame):
            raise OptionError(f"{file.name}: is demosaiced already, the host holds a mosaic", "MOSAIC_MISMATCH")
        _check_match(source.image, self.job, file.name)
        return source.image, 0.0


def _cfa(colors: tuple[int, ...]) -> CfaPattern:
    period = {4: 2, 36: 6}.get(len(colors), 0)
    if not period or set(colors) != {0, 1, 2}:
        raise OptionError("the CFA is neither 4 nor 36 colours of 0 red, 1 green, 2 blue", "BAD_CFA")
    return CfaPattern(tuple(colors[row * period : (row + 1) * period] for row in range(period)))


def _sampled(file: ReceivedFile, job: MosaicJob) -> RawFrame:
    """The host's own samples as a frame: black 0, white SAMPLE_SPAN."""
    shape = (job.window.height, job.window.width)
    expected = 4 * shape[0] * shape[1]
    if file.size_bytes != expected:
        text = f"{file.name}: {file.size_bytes} bytes, {shape[1]} x {shape[0]} samples have {expected}"
        raise OptionError(text, "SIZE_MISMATCH")
    samples = np.fromfile(file.path, dtype="<f4").reshape(shape).astype(np.float32, copy=False)
    if not np.isfinite(samples).all():
        raise FileFormatError(f"{file.name}: some samples are no finite numbers", "DAMAGED")
    samples *= np.float32(SAMPLE_SPAN)
    whole = Rect(0, 0, *shape)
    return RawFrame(
        samples, job.cfa, ((0.0,),), (SAMPLE_SPAN,) * 3, whole, whole, source=Source(file.name, file.sha256)
    )


def _check_match(frame: RawFrame, job: MosaicJob, name: str) -> None:
    """Raises OptionError unless the file, as it is decoded here, is the mosaic that the host sees."""
    area, window = frame.active_area, job.window
    found = frame.cfa.shifted(window.top - area.top, window.left - area.left)
    wrong = None
    if job.frame != frame.mosaic.shape:
        wrong = ("x".join(map(str, job.frame[::-1])), "x".join(map(str, frame.mosaic.shape[::-1])), "photosites")
    elif window.bottom > job.frame[0] or window.right > job.frame[1]:
        wrong = (f"a window to {window.right}, {window.bottom}", f"{job.frame[1]}, {job.frame[0]}", "at most")
    elif found != job.cfa:
        wrong = (str(job.cfa.colors), str(found.colors), "as CFA")
    if wrong:
        raise OptionError(f"{name}: the host has {wrong[0]}, the file {wrong[1]} {wrong[2]}", "MOSAIC_MISMATCH")


def _windowed(
    strips: Iterator[tuple[FloatArray, FloatArray]], area: Rect, window: Rect
) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Strips over `area` as strips over `window`, both in the sensor frame; 0 where the window has no residual."""

    def blank(rows: int) -> tuple[FloatArray, FloatArray]:
        return np.zeros((rows, window.width), np.float32), np.zeros((rows, window.width), np.float32)

    left, right = max(area.left, window.left), min(area.right, window.right)
    here = slice(left - window.left, max(right, left) - window.left)
    there = slice(left - area.left, max(right, left) - area.left)
    done, top = window.top, area.top
    for strip in strips:
        bottom = top + len(strip[0])
        first, last = max(top, window.top), min(bottom, window.bottom)
        if first < last:
            if first > done:
                yield blank(first - done)
            placed = blank(last - first)
            for target, samples in zip(placed, strip, strict=True):
                target[:, here] = samples[first - top : last - top, there]
            yield placed
            done = last
        top = bottom
    if done < window.bottom:
        yield blank(window.bottom - done)
