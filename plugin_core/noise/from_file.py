"""Which noise parameters a file gets: the user's calibration, its tag, its own pixels, the table, a default; in order.

A calibration of this very camera at this ISO goes before the tag, which speaks for the model at large; photon transfer
is good to a few per cent. But a calibration knows the camera, not what was done to the file since: where the tag says
that far less noise is left than this camera can have, the file was denoised or averaged, and the tag is right.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from plugin_core.errors import FileFormatError, OptionError
from plugin_core.frame import LinearImage, NoiseProfile, NoiseSource, RawFrame
from plugin_core.noise.estimate import measure
from plugin_core.noise.profile import check_profile
from plugin_core.noise.table import default_read_variance, lookup

__all__ = ["choose", "default_profile", "noise_profiles", "sigma_ratio"]

TRUSTED = 0.25  # confidence from which on a measurement is preferred to the table; see docs/benchmarks.md
FIRM = 0.6  # confidence from which on a measurement may be held against a tag
CONTRADICTION = 1.6  # ratio of sigmas from which on two sources are said to contradict each other

# The default: a = 1.6e-7 per ISO, the middle of the cameras that ship (.6e-7 full frame 12 MP .. 2.9e-7 APS-C).
DEFAULT_SLOPE = 1.6e-7
DEFAULT_ISO = 800.0
MID_GREY, SHADOW = 0.18, 0.005  # levels at which sources are compared


def noise_profiles(image: RawFrame | LinearImage, calibrated: NoiseProfile | None = None) -> list[NoiseProfile]:
    """What every source says, in order: calibration, tag, measured, table, default; those that know nothing left out.

    calibrated: what the user's own calibration says of this file, if there is one. A tag goes before it where it says
    that the file was processed. Never empty. How far each is from the first stands in its detail.
    Raises FileFormatError if the tag does not fit the file's planes.
    """
    planes = plane_count(image)
    found = [calibrated] if calibrated is not None else []
    if image.noise_profile is not None:
        try:
            check_profile(image.noise_profile, planes)
        except OptionError as error:
            name = image.source.name or "file"
            raise FileFormatError(f"{name}: NoiseProfile tag: {error.message}", error.reason) from error
        found.insert(
            0 if calibrated and processed(image.noise_profile, calibrated) else len(found), image.noise_profile
        )
    measured = measure(image)
    if measured is not None:
        found.append(measured)
    table = lookup(image.source.make, image.source.model, image.exposure.iso, planes)
    if table is not None:
        found.append(table)
    found.append(default_profile(image.exposure.iso, planes))
    return [found[0], *(with_comparison(other, found[0]) for other in found[1:])]


def processed(tag: NoiseProfile, calibrated: NoiseProfile) -> bool:
    """Whether a tag says that noise was taken out since the camera wrote the file, in the shadows and at mid-grey."""
    return all(sigma_ratio(tag, calibrated, level) < 1 / CONTRADICTION for level in (MID_GREY, SHADOW))


def choose(
    image: RawFrame | LinearImage, override: NoiseProfile | None, calibrated: NoiseProfile | None = None
) -> NoiseProfile:
    """The noise profile to restore with; its detail says what it rests on and who contradicts it.

    override: the user's, taken as it is; OptionError if it does not fit the planes. Else the calibration wins, unless
    the file was processed since (see `noise_profiles`); else the tag; else a measurement, from confidence TRUSTED on;
    below that the table, or whoever of measurement and default is trusted more.
    """
    if override is not None:
        check_profile(override, plane_count(image))
        return override
    profiles = noise_profiles(image, calibrated)
    by_source = {profile.source: profile for profile in profiles}
    measured, table = by_source.get(NoiseSource.MEASURED), by_source.get(NoiseSource.TABLE)
    tag = by_source.get(NoiseSource.TAG)
    if profiles[0].source is NoiseSource.CALIBRATION:
        return with_contradiction(profiles[0], measured)
    if tag is not None:
        return with_contradiction(tag, measured)
    default = by_source[NoiseSource.DEFAULT]
    if measured is not None and measured.confidence >= TRUSTED:
        return with_contradiction(measured, table)
    if table is not None:
        return with_contradiction(table, measured)
    if measured is not None and measured.confidence >= default.confidence:
        return measured
    return default


def default_profile(iso: float | None, planes: int) -> NoiseProfile:
    """A middling camera at this ISO, or at ISO 800 if it is unknown; right within a factor of 2 in a for most."""
    known = iso is not None and np.isfinite(iso) and iso > 0
    assumed = float(iso) if known and iso is not None else DEFAULT_ISO
    a = DEFAULT_SLOPE * assumed
    return NoiseProfile(
        a=(a,) * planes,
        b=(default_read_variance(a),) * planes,
        source=NoiseSource.DEFAULT,
        confidence=0.1 if known else 0.02,
        detail=f"a middling camera at ISO {assumed:g}" + ("" if known else ", assumed, as the file names none"),
    )


def sigma_ratio(one: NoiseProfile, other: NoiseProfile, level: float) -> float:
    """Sigma of `one` over sigma of `other` at a signal level, the mean over the planes."""
    first = np.array(one.a) * level + np.array(one.b)
    second = np.array(other.a) * level + np.array(other.b)
    return float(np.mean(np.sqrt(first / second)))


def with_comparison(other: NoiseProfile, first: NoiseProfile) -> NoiseProfile:
    """`other` with a note on how its sigma differs from the first source's."""
    grey, shadow = (sigma_ratio(other, first, level) for level in (MID_GREY, SHADOW))
    note = f"sigma x {grey:.2f} at mid-grey and x {shadow:.2f} in the shadows against {first.source.value}"
    return replace(other, detail=f"{other.detail}; {note}" if other.detail else note)


def with_contradiction(chosen: NoiseProfile, other: NoiseProfile | None) -> NoiseProfile:
    """`chosen`, with a note if a source worth listening to is far from it."""
    if other is None or (other.source is NoiseSource.MEASURED and other.confidence < FIRM):
        return chosen
    ratio = sigma_ratio(other, chosen, MID_GREY)
    if 1 / CONTRADICTION < ratio < CONTRADICTION:
        return chosen
    note = f"contradicted by {other.source.value} (confidence {other.confidence:.2f}): sigma x {ratio:.2f} at mid-grey"
    return replace(chosen, detail=f"{chosen.detail}; {note}" if chosen.detail else note)


def plane_count(image: RawFrame | LinearImage) -> int:
    """Colour planes of a picture: 1 or 3."""
    return image.cfa.plane_count if isinstance(image, RawFrame) else int(image.pixels.shape[2])
