"""The answer to DescribeFile: a decoded file, its tags, and what each source says of its noise."""

from __future__ import annotations

from collections.abc import Sequence

from plugin_core.errors import IspError, NoModelError
from plugin_core.frame import LinearImage, NoiseProfile, RawFrame
from plugin_core.io.source_file import FileDescription, SourceFile
from plugin_core.io.worker import DecodeWorker
from plugin_core.models import Registry
from plugin_core.noise.from_file import noise_profiles
from plugin_core.noise.user_profiles import UserProfiles
from plugin_core.rpc.transfer import ReceivedFile
from plugin_core.rpc.translate import noise_message
from plugin_core.rpc.v1 import restoration_pb2 as pb

__all__ = ["describe"]


def describe(
    file: ReceivedFile, worker: DecodeWorker, registry: Registry, profiles: UserProfiles
) -> pb.DescribeFileResponse:
    """What is in the file; a good file that nothing here restores is described all the same, with the reason.

    Raises FileFormatError, LimitError.
    """
    description = worker.describe(file.path, file.name)
    response = pb.DescribeFileResponse(
        name=file.name,
        sha256=file.sha256,
        make=description.make,
        model=description.model,
        lens=description.lens,
        tags=_tags(description),
    )
    try:
        source = worker.read(file.path, file.name)
    except NoModelError as error:
        response.refusal = error.message
        response.warnings.extend(description.warnings)
        return response
    _enter_picture(response, source)
    calibrated, notes = profiles.find(source.image)
    _enter_noise(response, noise_profiles(source.image, calibrated.profile if calibrated is not None else None))
    response.warnings.extend(dict.fromkeys((*description.warnings, *source.warnings, *notes)))
    response.refusal = _refusal(source.image, registry)
    response.restorable = not response.refusal
    return response


def _tags(description: FileDescription) -> list[pb.Tag]:
    return [pb.Tag(group=tag.group, name=tag.name, value=tag.value) for tag in description.tags]


def _enter_picture(response: pb.DescribeFileResponse, source: SourceFile) -> None:
    image = source.image
    crop = image.default_crop
    response.default_crop.extend((crop.top, crop.left, crop.height, crop.width))
    response.white_level.extend(image.white_level)
    response.as_shot_neutral.extend(image.as_shot_neutral)
    response.orientation = image.orientation
    response.iso = image.exposure.iso or 0.0
    response.exposure_time_s = image.exposure.time_s or 0.0
    response.f_number = image.exposure.f_number or 0.0
    if isinstance(image, RawFrame):
        area = image.active_area
        response.kind, response.cfa = image.cfa.kind.value, image.cfa.name
        response.height, response.width = image.mosaic.shape
        response.active_area.extend((area.top, area.left, area.height, area.width))
        response.black_level.extend(level for row in image.black_level for level in row)
    else:
        response.kind = "linear"
        response.height, response.width = image.pixels.shape[:2]
        response.active_area.extend((0, 0, *image.pixels.shape[:2]))
        response.black_level.extend(image.black_level)


def _enter_noise(response: pb.DescribeFileResponse, profiles: Sequence[NoiseProfile]) -> None:
    """The first is the one that would be used."""
    if profiles:
        response.noise.CopyFrom(noise_message(profiles[0]))
        response.other_noise.extend(noise_message(profile) for profile in profiles[1:])


def _refusal(image: RawFrame | LinearImage, registry: Registry) -> str:
    """Why the default model can't restore it; "" if it can."""
    try:
        manifest = registry.get().manifest
    except IspError as error:
        return error.message
    kind = "monochrome" if isinstance(image, LinearImage) else image.cfa.kind.value
    return "" if kind in manifest.cfa_kinds else f"model {manifest.id} is not for {kind} sensors"
