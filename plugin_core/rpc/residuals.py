"""The residual that a host subtracts as a dark frame: asked of io, judged, entered in the summary."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from plugin_core.errors import NoModelError, OptionError
from plugin_core.frame import LinearImage, NoiseProfile, RawFrame, Rect
from plugin_core.io.levels import choose_levels
from plugin_core.io.residual import choose_encoding, make_residual, refusal
from plugin_core.io.source_file import SourceFile
from plugin_core.io.write_residual import write_residual
from plugin_core.rpc.translate import DenoiseJob
from plugin_core.rpc.v1 import restoration_pb2 as pb

__all__ = ["write_host_residual"]

IS_LINEAR = "it is demosaiced already (linear DNG or sRAW), and RawTherapee subtracts dark frames from mosaics"


def write_host_residual(
    path: Path,
    source: SourceFile,
    restored: RawFrame | LinearImage,
    profile: NoiseProfile,
    remaining_noise: NoiseProfile | None,
    job: DenoiseJob,
    provenance: Mapping[str, str],
    summary: pb.Summary,
) -> pb.ResultFile | None:
    """Writes the residual to `path`, or returns None where the restored DNG is the better one and may be written.

    The summary says why, and how the residual was made. The rounding is that of the restored DNG, so that both ways
    lead to the same picture.
    Raises NoModelError (RESIDUAL_UNSAFE) where a restored DNG was not asked for, OptionError for a host area that is
    not inside the sensor frame, and what writing raises.
    """
    frame = source.image
    report = summary.residual
    report.make, report.model = frame.source.make, frame.source.model
    if isinstance(frame, LinearImage) or isinstance(restored, LinearImage):
        _note_refusal(IS_LINEAR, frame.source.name, job, report)
        return None
    area = _checked(job.host_area or frame.active_area, frame)
    report.frame_size.extend(frame.mosaic.shape)
    report.host_area.extend((area.top, area.left, area.height, area.width))
    scale = choose_levels(restored, remaining_noise).scale
    residual = make_residual(frame, restored, profile, scale, area)
    report.false_hot_pixels, report.black_sigmas = residual.false_hot_pixels, residual.black_sigmas
    why = refusal(residual)
    if why:
        _note_refusal(why, frame.source.name, job, report)
        return None
    encoding = choose_encoding(residual)
    overwrite = job.overwrite and job.output_path is not None
    written = write_residual(path, residual, encoding, frame.source.name, provenance, overwrite)
    report.encoding = encoding.value
    return pb.ResultFile(
        role="dng", path=str(job.output_path or ""), size_bytes=written.size_bytes, sha256=written.sha256
    )


def _note_refusal(why: str, name: str, job: DenoiseJob, report: pb.ResidualReport) -> None:
    if not job.or_restored:
        raise NoModelError(f"{name}: no residual: {why}", "RESIDUAL_UNSAFE")
    report.refusal = why


def _checked(area: Rect, frame: RawFrame) -> Rect:
    height, width = frame.mosaic.shape
    if min(area.top, area.left) < 0 or area.bottom > height or area.right > width:
        wanted = f"rows {area.top} to {area.bottom}, columns {area.left} to {area.right}"
        text = f"{frame.source.name}: host_area is {wanted}, the sensor frame has {height} x {width} photosites"
        raise OptionError(text, "OPTION_RANGE")
    return area
