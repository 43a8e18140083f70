"""What goes into and comes out of the client's calls, as frozen values, to and from the contract's messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from plugin_core.errors import OptionError
from plugin_core.rpc.v1 import restoration_pb2 as pb

__all__ = [
    "Compression",
    "DenoiseOptions",
    "MosaicWindow",
    "NoiseReport",
    "Output",
    "Progress",
    "ProgressCallback",
    "ResidualReport",
    "Restored",
    "Stage",
    "noise_report",
    "options_message",
    "progress",
    "residual_report",
    "stage_seconds",
]


class Output(Enum):
    """What kind of DNG to write."""

    SAME = pb.OUTPUT_UNSPECIFIED  # mosaic in, mosaic out
    CFA = pb.OUTPUT_CFA
    LINEAR = pb.OUTPUT_LINEAR  # demosaiced
    RESIDUAL = pb.OUTPUT_RESIDUAL  # source minus restored signal, for a host that subtracts it as a dark frame


class Compression(Enum):
    """How the DNG's samples are packed; both are lossless."""

    LJPEG = pb.COMPRESSION_LJPEG
    NONE = pb.COMPRESSION_NONE


class Stage(Enum):
    """Where a job is."""

    RECEIVE = pb.STAGE_RECEIVE
    QUEUE = pb.STAGE_QUEUE
    DECODE = pb.STAGE_DECODE
    NOISE = pb.STAGE_NOISE
    RESTORE = pb.STAGE_RESTORE
    WRITE = pb.STAGE_WRITE
    SEND = pb.STAGE_SEND


@dataclass(frozen=True)
class DenoiseOptions:
    """How to denoise; the server checks the ranges.

    model: model id, "" is the server's default.
    strength, luma, chroma: 0..1; strength 0 gives the source's samples back to the bit.
    noise: ((a, ...), (b, ...)), one value for all planes or one per plane, variance = a * signal + b.
    noise_calibration: (name, text) of a calibration as `neural-isp calibrate` writes it. Neither: the server asks the
    user's folder of calibrations, then the file.
    host_area: top, left, height, width of the sensor frame that a residual is to cover; (): the active area.
    or_restored: write the restored DNG where a host would spoil the residual.
    """

    model: str = ""
    strength: float = 1.0
    luma: float = 1.0
    chroma: float = 1.0
    output: Output = Output.SAME
    compression: Compression = Compression.LJPEG
    noise: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    use_cache: bool = True
    host_area: tuple[int, ...] = ()
    or_restored: bool = False
    noise_calibration: tuple[str, str] | None = None


@dataclass(frozen=True)
class MosaicWindow:
    """Which photosites of a file a host's pixel pipe holds.

    top, left: of its first photosite in the sensor frame; frame_height, frame_width: of that frame as the host decoded
    it. For bare samples all four are 0. cfa: colours 0 red, 1 green, 2 blue of one period (4 or 36) from the window's
    origin, row-major.
    """

    top: int
    left: int
    height: int
    width: int
    frame_height: int
    frame_width: int
    cfa: tuple[int, ...]


@dataclass(frozen=True)
class Progress:
    """One step of a job: fraction is 0..1 of the stage; eta_s is None until the server knows it."""

    stage: Stage
    fraction: float
    eta_s: float | None = None
    queue_position: int = 0


ProgressCallback = Callable[[Progress], None]


@dataclass(frozen=True)
class NoiseReport:
    """Noise parameters and who said so; variance = a * signal + b per colour plane, signal 0 black, 1 white.

    source: user, calibration, dng_noise_profile, measured, camera_table or default; confidence 0..1.
    """

    a: tuple[float, ...]
    b: tuple[float, ...]
    source: str
    confidence: float
    detail: str = ""


@dataclass(frozen=True)
class ResidualReport:
    """What a host makes of a residual; encoding "" and a refusal where the restored DNG was written instead.

    host_area: top, left, height, width inside a sensor frame of frame_size (height, width). false_hot_pixels:
    photosites that RawTherapee would interpolate. black_sigmas: black level over the noise's sigma at black.
    make, model: of the source's camera.
    """

    refusal: str
    encoding: str
    host_area: tuple[int, ...]
    frame_size: tuple[int, ...]
    false_hot_pixels: int
    black_sigmas: float
    make: str
    model: str


@dataclass(frozen=True)
class Restored:
    """A finished job.

    path: the DNG that was written; None if none was asked for, then `dng` holds its bytes.
    model_id: "" where no network was needed (strength 0). mean_change: mean of |residual| / sigma.
    seconds: per stage, on the server.
    """

    path: Path | None
    dng: bytes | None
    change_map: Path | None
    job_id: str
    model_id: str
    model_version: str
    device: str
    seconds: Mapping[Stage, float]
    noise: NoiseReport
    warnings: tuple[str, ...]
    source_sha256: str
    sha256: str
    size_bytes: int
    from_cache: bool
    megapixels: float
    mean_change: float
    residual: ResidualReport | None = None  # where one was asked for
    client_seconds: float = field(default=0.0, compare=False)  # from the call to the renamed file


def options_message(options: DenoiseOptions, change_map: Path | None) -> pb.DenoiseOptions:
    """The contract's message for these options. Raises OptionError for a change map that is neither PNG nor TIFF."""
    message = pb.DenoiseOptions(
        model=options.model,
        strength=options.strength,
        luma=options.luma,
        chroma=options.chroma,
        output=options.output.value,
        compression=options.compression.value,
        no_cache=not options.use_cache,
    )
    if options.noise is not None:
        message.noise.CopyFrom(pb.NoiseParameters(a=options.noise[0], b=options.noise[1]))
    if options.output is Output.RESIDUAL:
        message.residual.CopyFrom(pb.ResidualOptions(host_area=options.host_area, or_restored=options.or_restored))
    if options.noise_calibration is not None:
        name, text = options.noise_calibration
        message.noise_calibration.CopyFrom(pb.NoiseCalibration(name=name, text=text))
    if change_map is not None:
        message.change_map = True
        message.change_map_format = change_map_format(change_map)
    return message


def change_map_format(path: Path) -> pb.ChangeMapFormat:
    """PNG or TIFF by the name's ending; OptionError for any other."""
    formats = {
        ".png": pb.CHANGE_MAP_FORMAT_PNG,
        ".tif": pb.CHANGE_MAP_FORMAT_TIFF,
        ".tiff": pb.CHANGE_MAP_FORMAT_TIFF,
    }
    try:
        return formats[path.suffix.lower()]
    except KeyError:
        text = f"{path}: a change map ends in .png, .tif or .tiff, found {path.suffix or 'no ending'}"
        raise OptionError(text, "BAD_CHANGE_MAP") from None


def noise_report(message: pb.NoiseReport) -> NoiseReport:
    """The value for the contract's message."""
    return NoiseReport(tuple(message.a), tuple(message.b), message.source, message.confidence, message.detail)


def residual_report(summary: pb.Summary) -> ResidualReport | None:
    """The value for the summary's message; None where it has none."""
    if not summary.HasField("residual"):
        return None
    message = summary.residual
    return ResidualReport(
        refusal=message.refusal,
        encoding=message.encoding,
        host_area=tuple(message.host_area),
        frame_size=tuple(message.frame_size),
        false_hot_pixels=message.false_hot_pixels,
        black_sigmas=message.black_sigmas,
        make=message.make,
        model=message.model,
    )


def progress(message: pb.Progress) -> Progress | None:
    """The value for the contract's message; None for a stage that this client doesn't know."""
    if message.stage not in {stage.value for stage in Stage}:
        return None
    fraction = min(max(message.fraction, 0.0), 1.0)
    return Progress(Stage(message.stage), fraction, message.eta_s or None, message.queue_position)


def stage_seconds(summary: pb.Summary) -> dict[Stage, float]:
    """Seconds of each stage that this client knows."""
    known = {stage.value for stage in Stage}
    return {Stage(entry.stage): entry.seconds for entry in summary.stages if entry.stage in known}
