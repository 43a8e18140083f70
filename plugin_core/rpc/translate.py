"""Messages of the contract to the values of the program, and back."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper

from plugin_core.errors import OptionError
from plugin_core.frame import NoiseProfile, NoiseSource, Rect
from plugin_core.io.write_dng import Compression
from plugin_core.models import ModelPackage
from plugin_core.noise.calibration import Calibration
from plugin_core.noise.calibration_file import from_text
from plugin_core.ops.blend import BlendOptions
from plugin_core.rpc.v1 import restoration_pb2 as pb

__all__ = [
    "DenoiseJob",
    "NamedCalibration",
    "Output",
    "denoise_job",
    "model_message",
    "noise_message",
    "noise_profile",
    "output_path",
]


class Output(Enum):
    """What kind of DNG a job writes."""

    SAME = pb.OUTPUT_UNSPECIFIED
    CFA = pb.OUTPUT_CFA
    LINEAR = pb.OUTPUT_LINEAR
    RESIDUAL = pb.OUTPUT_RESIDUAL


_COMPRESSIONS: dict[int, Compression] = {
    pb.COMPRESSION_UNSPECIFIED: Compression.LJPEG,
    pb.COMPRESSION_LJPEG: Compression.LJPEG,
    pb.COMPRESSION_NONE: Compression.NONE,
}
_MAP_SUFFIXES: dict[int, str] = {pb.CHANGE_MAP_FORMAT_PNG: ".png", pb.CHANGE_MAP_FORMAT_TIFF: ".tif"}


@dataclass(frozen=True)
class NamedCalibration:
    """A calibration that came with the request, what messages call it, and the digest of its text."""

    calibration: Calibration
    name: str
    sha256: str


@dataclass(frozen=True)
class DenoiseJob:
    """What one Denoise call asks for, checked.

    noise: what the caller says it is; calibration: what they measured of their camera; both None: ask
    the user's folder and the file. output_path None: the DNG is sent.
    change_map_suffix: ".png" or ".tif"; "" for no change map. change_map_path None: it is sent.
    host_area: what of the sensor frame a residual covers; None: the active area. or_restored: write the restored DNG
    where a host would spoil the residual.
    """

    model: str
    blend: BlendOptions
    output: Output
    compression: Compression
    noise: NoiseProfile | None
    output_path: Path | None
    overwrite: bool
    change_map_suffix: str
    change_map_path: Path | None
    use_cache: bool
    host_area: Rect | None = None
    or_restored: bool = False
    calibration: NamedCalibration | None = None


def denoise_job(options: pb.DenoiseOptions, paths_allowed: bool) -> DenoiseJob:
    """The job that the message describes. Raises OptionError for what is unknown, out of range or not allowed here."""
    output = Output(_known(pb.Output, options.output, "output"))
    compression = _COMPRESSIONS[_known(pb.Compression, options.compression, "compression")]
    map_path = output_path(options.change_map_path, "change_map_path", paths_allowed)
    dng_path = output_path(options.output_path, "output_path", paths_allowed)
    if dng_path is not None and dng_path == map_path:
        raise OptionError(f"{dng_path}: asked for as result and as change map", "SAME_OUTPUT_TWICE")
    return DenoiseJob(
        model=options.model,
        blend=BlendOptions(
            *(
                float(getattr(options, name)) if options.HasField(name) else 1.0
                for name in ("strength", "luma", "chroma")
            )
        ),
        output=output,
        compression=compression,
        noise=noise_profile(options.noise) if options.HasField("noise") else None,
        calibration=_calibration(options),
        output_path=dng_path,
        overwrite=options.overwrite,
        change_map_suffix=_map_suffix(options, map_path),
        change_map_path=map_path,
        use_cache=not options.no_cache,
        host_area=_host_area(options.residual),
        or_restored=options.residual.or_restored,
    )


def noise_message(profile: NoiseProfile) -> pb.NoiseReport:
    """The profile as the contract says it."""
    return pb.NoiseReport(
        a=profile.a, b=profile.b, source=profile.source.value, confidence=profile.confidence, detail=profile.detail
    )


def model_message(package: ModelPackage) -> pb.Model:
    """The package as the contract says it."""
    manifest = package.manifest
    return pb.Model(
        id=manifest.id,
        version=manifest.version,
        op=manifest.op,
        cfa_kinds=manifest.cfa_kinds,
        halo=manifest.halo,
        licence=manifest.licence,
        weights_sha256=manifest.weights_sha256,
        parameters=manifest.parameters,
        card=package.card,
        is_default=manifest.default,
        description=manifest.description,
    )


def _known(kind: EnumTypeWrapper, value: int, field: str) -> int:
    if value not in kind.values():
        names = ", ".join(kind.keys())
        raise OptionError(
            f"{field} is {value}, which this version doesn't know; it knows {names}", "UNKNOWN_ENUM_VALUE"
        )
    return value


def noise_profile(parameters: pb.NoiseParameters) -> NoiseProfile:
    """What a caller says the noise is. Raises OptionError."""
    a, b = tuple(parameters.a), tuple(parameters.b)
    return NoiseProfile(a, b, NoiseSource.USER, 1.0, "given with the request")


def _calibration(options: pb.DenoiseOptions) -> NamedCalibration | None:
    if not options.HasField("noise_calibration"):
        return None
    if options.HasField("noise"):
        raise OptionError("both noise parameters and a noise calibration are given; expected one", "BAD_NOISE_PROFILE")
    name, text = options.noise_calibration.name or "the request", options.noise_calibration.text
    return NamedCalibration(from_text(text, name), name, hashlib.sha256(text.encode()).hexdigest())


def output_path(path: str, field: str, allowed: bool) -> Path | None:
    """Where the caller wants a result; None to have it sent. Raises OptionError for paths that are not honoured."""
    if not path:
        return None
    if not allowed:
        raise OptionError(f"{field} is honoured on the Unix socket only", "OUTPUT_PATH_REFUSED")
    if "\0" in path or not Path(path).is_absolute():
        raise OptionError(f"{field} is {path!r}, expected an absolute path", "PATH_NOT_ABSOLUTE")
    return Path(path)


def _host_area(options: pb.ResidualOptions) -> Rect | None:
    area = tuple(options.host_area)
    if not area:
        return None
    if len(area) != 4 or min(area[2:]) < 1:
        raise OptionError(f"host_area is {list(area)}, expected top, left, height, width", "OPTION_RANGE")
    return Rect(*area)


def _map_suffix(options: pb.DenoiseOptions, path: Path | None) -> str:
    chosen = _known(pb.ChangeMapFormat, options.change_map_format, "change_map_format")
    if not (options.change_map or path):
        return ""
    if path is not None and path.suffix.lower() not in (".png", ".tif", ".tiff"):
        raise OptionError(f"{path}: a change map ends in .png, .tif or .tiff", "CHANGE_MAP_FORMAT")
    wanted = _MAP_SUFFIXES.get(chosen) or (path.suffix.lower() if path else ".png")
    if path is not None and wanted[:4] != path.suffix.lower()[:4]:
        raise OptionError(f"{path}: its ending contradicts change_map_format", "CHANGE_MAP_FORMAT")
    return wanted
