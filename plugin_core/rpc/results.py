"""From a residual to the files that were asked for: blend, change map, DNG, and what the DNG says of its making."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from plugin_core import __version__
from plugin_core.errors import OptionError
from plugin_core.frame import FloatArray, LinearImage, NoiseProfile, RawFrame, Rect, UInt16Array
from plugin_core.io.picture import write_change_map
from plugin_core.io.source_file import SourceFile
from plugin_core.io.worker import DecodeWorker
from plugin_core.io.write_dng import Compression, WriteOptions, write_dng
from plugin_core.models import ModelPackage
from plugin_core.ops import blend
from plugin_core.ops.defects import NO_SITES, Photosites, repair, with_repairs
from plugin_core.ops.denoise import Residual
from plugin_core.rpc.residuals import write_host_residual
from plugin_core.rpc.transfer import ReceivedFile
from plugin_core.rpc.translate import DenoiseJob, Output
from plugin_core.rpc.v1 import restoration_pb2 as pb

__all__ = ["Restoration", "check_outputs", "write_results"]

DNG, CHANGE_MAP = "dng", "change_map"  # roles of results, and their names in the job's folder
BANDS = 24  # of the picture, from which the mean change is taken when no change map was asked for
BAND_ROWS = 12  # a multiple of every CFA's period


@dataclass(frozen=True)
class Restoration:
    """What the results are made of. residual and package are None where nothing was to be changed.

    sites (N, 2): the known defects; the residual is that of the picture without them.
    """

    job: DenoiseJob
    source: SourceFile
    source_sha256: str
    profile: NoiseProfile
    residual: Residual | None
    mask: FloatArray | None
    mask_sha256: str
    package: ModelPackage | None
    sites: Photosites = field(default_factory=lambda: NO_SITES)

    def repaired(self) -> RawFrame | LinearImage:
        """The source with its known defects interpolated, but for those where the mask is black."""
        image = self.source.image
        if not isinstance(image, RawFrame) or not len(self.sites):
            return image
        if self.mask is None:
            return repair(image, self.sites)
        weights = np.zeros(image.mosaic.shape, dtype=np.float32)
        weights[image.active_area.slices] = blend.full_mask(image, self.mask)
        return repair(image, self.sites[weights[self.sites[:, 0], self.sites[:, 1]] > 0])


def check_outputs(job: DenoiseJob, files: list[ReceivedFile]) -> None:
    """Raises OptionError before the work where a result could not be written after it; an input never is written to."""
    for path in (job.output_path, job.change_map_path):
        if path is None:
            continue
        if not path.parent.is_dir():
            raise OptionError(f"{path}: no such folder to write to", "OUTPUT_UNWRITABLE")
        if not path.exists():
            continue
        if any(one.local and path.samefile(one.path) for one in files):
            raise OptionError(f"{path}: is an input of this job; inputs are never written to", "OUTPUT_IS_INPUT")
        if not job.overwrite:
            raise OptionError(f"{path}: exists already; ask for overwriting to replace it", "OUTPUT_EXISTS")


def write_results(made: Restoration, folder: Path, worker: DecodeWorker, summary: pb.Summary) -> None:
    """Writes the change map and the DNG to their paths, or into `folder` to be sent, and enters them in the summary.

    The DNG comes last: where it is, everything went well. Raises OptionError, LimitError.
    """
    change_map = _change_map(made, summary)
    if change_map is not None:
        summary.results.append(_write_change_map(made.job, change_map, folder))
    del change_map
    try:
        summary.results.append(_write_dng(made, folder, worker, summary))
    except Exception:
        if made.job.change_map_path is not None:
            made.job.change_map_path.unlink(missing_ok=True)
        raise


def _change_map(made: Restoration, summary: pb.Summary) -> UInt16Array | None:
    """The change map if it was asked for; the mean change goes into the summary either way."""
    image, residual = made.source.image, made.residual
    if residual is None:
        if not made.job.change_map_suffix:
            return None
        summary.warnings.append("nothing was changed: the change map is empty")
        size = image.active_area if isinstance(image, RawFrame) else Rect(0, 0, *image.pixels.shape[:2])
        return np.zeros((size.height, size.width), dtype=np.uint16)
    if isinstance(image, RawFrame):
        residual = with_repairs(residual, image, made.sites)
    if made.job.change_map_suffix:
        change_map = blend.change_map(image, residual, made.profile)
        summary.mean_change = float(change_map.mean(dtype=np.float64)) / 65535 * blend.CHANGE_MAP_SIGMAS
        return change_map
    means = [blend.change_map(*band, made.profile).mean(dtype=np.float64) for band in _bands(image, residual)]
    summary.mean_change = float(np.mean(means)) / 65535 * blend.CHANGE_MAP_SIGMAS
    return None


def _bands(image: RawFrame | LinearImage, residual: Residual) -> Iterator[tuple[RawFrame | LinearImage, Residual]]:
    """Evenly spaced bands of rows (all of a small picture), each with the image's own CFA phase."""
    height = residual.shape[0]
    step = max(height // BANDS // BAND_ROWS, 1) * BAND_ROWS
    for top in range(0, height, step):
        rows = slice(top, min(top + BAND_ROWS, height))
        if isinstance(image, LinearImage):
            yield replace(image, pixels=image.pixels[rows]), residual[rows]
        else:
            area = image.active_area
            yield (
                replace(image, active_area=Rect(area.top + top, area.left, rows.stop - top, area.width)),
                residual[rows],
            )


def _write_change_map(job: DenoiseJob, change_map: UInt16Array, folder: Path) -> pb.ResultFile:
    path = job.change_map_path or folder / f"{CHANGE_MAP}{job.change_map_suffix}"
    write_change_map(path, change_map, job.overwrite)
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    size = path.stat().st_size
    if job.change_map_path is None:
        path.rename(folder / CHANGE_MAP)
    return pb.ResultFile(role=CHANGE_MAP, path=str(job.change_map_path or ""), size_bytes=size, sha256=digest)


def _write_dng(made: Restoration, folder: Path, worker: DecodeWorker, summary: pb.Summary) -> pb.ResultFile:
    job, image = made.job, made.source.image
    if made.residual is not None:
        image = blend.apply(made.repaired(), made.residual, job.blend, made.mask)
    left = _remaining_noise(made)
    if job.output is Output.RESIDUAL:
        path = job.output_path or folder / DNG
        written = write_host_residual(path, made.source, image, made.profile, left, job, _provenance(made), summary)
        if written is not None:
            return written
        made = replace(made, job=replace(job, output=Output.SAME))
    if job.output is Output.LINEAR and isinstance(image, RawFrame):
        image, left = _demosaiced(image, made.source, folder, worker), None
    path = job.output_path or folder / DNG
    report = write_dng(
        path,
        image,
        made.source,
        _provenance(made),
        left,
        0.0 if job.blend.identity else job.blend.strength * max(job.blend.luma, job.blend.chroma),
        WriteOptions(job.compression, job.overwrite and job.output_path is not None),
        worker,
    )
    summary.warnings.extend(report.warnings)
    return pb.ResultFile(role=DNG, path=str(job.output_path or ""), size_bytes=report.size_bytes, sha256=report.sha256)


def _demosaiced(frame: RawFrame, source: SourceFile, folder: Path, worker: DecodeWorker) -> LinearImage:
    """The frame as LibRaw demosaics it, by way of a mosaic DNG in the job's folder."""
    path = folder / "mosaic.dng"
    write_dng(path, frame, source, {}, None, 0.0, WriteOptions(Compression.NONE), worker)
    pixels = worker.demosaic(path)
    path.unlink()
    return LinearImage(
        pixels,
        (0.0,) * 3,
        (65535.0,) * 3,
        frame.default_crop,
        frame.as_shot_neutral,
        frame.color,
        None,
        frame.exposure,
        frame.orientation,
        frame.source,
    )


def _remaining_noise(made: Restoration) -> NoiseProfile | None:
    if made.package is None:
        return made.profile
    if made.mask is not None:
        return None  # it differs from place to place
    return blend.remaining_noise(made.profile, made.job.blend, made.package.manifest.remaining_noise)


def _provenance(made: Restoration) -> dict[str, str]:
    """What the XMP says of the making."""
    entries = {
        "Program": "neural-isp",
        "ProgramVersion": __version__,
        "Operation": "denoise",
        "SourceSHA256": made.source_sha256,
        "Strength": f"{made.job.blend.strength:.4g}",
        "Luma": f"{made.job.blend.luma:.4g}",
        "Chroma": f"{made.job.blend.chroma:.4g}",
        "Mask": made.mask_sha256 or "no",
        "Output": made.job.output.name.lower(),
        "Compression": made.job.compression.name.lower(),
        "NoiseA": " ".join(f"{value:.6g}" for value in made.profile.a),
        "NoiseB": " ".join(f"{value:.6g}" for value in made.profile.b),
        "NoiseSource": made.profile.source.value,
    }
    if made.job.calibration is not None:
        entries["NoiseCalibrationSHA256"] = made.job.calibration.sha256
    if len(made.sites):
        entries["PhotositesListed"] = str(len(made.sites))
    if made.package is not None:
        manifest = made.package.manifest
        entries |= {
            "ModelId": manifest.id,
            "ModelVersion": manifest.version,
            "WeightsSHA256": manifest.weights_sha256,
        }
    return entries
