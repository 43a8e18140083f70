"""What a noise profile says at each photosite: the variance, and the transform after which noise has sigma 1."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from plugin_core.errors import OptionError
from plugin_core.frame import FloatArray, NoiseProfile

__all__ = ["check_profile", "per_photosite", "stabilise", "stabiliser_offset", "unstabilise", "variance"]


def check_profile(profile: NoiseProfile, plane_count: int) -> None:
    """Nothing, if `profile` is fit for that many colour planes: one pair for all, or one each, finite and not below 0.

    Raises OptionError otherwise.
    """
    pairs = (len(profile.a), len(profile.b))
    if pairs[0] != pairs[1] or pairs[0] not in (1, plane_count):
        raise OptionError(
            f"noise profile holds {pairs[0]} a and {pairs[1]} b, expected 1 or {plane_count} of each",
            "BAD_NOISE_PROFILE",
        )
    for plane, (a, b) in enumerate(zip(profile.a, profile.b, strict=True)):
        if not (np.isfinite(a) and np.isfinite(b) and a >= 0 and b >= 0 and a + b > 0):
            raise OptionError(
                f"noise profile of plane {plane} is a = {a:g}, b = {b:g}; expected a >= 0, b >= 0, not both 0",
                "BAD_NOISE_PROFILE",
            )


def per_photosite(values: tuple[float, ...], color_map: NDArray[np.uint8] | None) -> FloatArray:
    """One value per photosite, ready to broadcast with the signal, float32.

    values: per colour plane, or one for all. color_map: (h, w) colour indices of a mosaic; None for a LinearImage,
    whose last axis are the planes. Returns (h, w) for a mosaic, () or (3,) otherwise.
    """
    table = np.asarray(values, dtype=np.float32)
    if len(set(values)) == 1:
        return np.asarray(table[0])
    return table if color_map is None else table[color_map]


def variance(signal: FloatArray, profile: NoiseProfile, color_map: NDArray[np.uint8] | None) -> FloatArray:
    """The noise variance this sensor has at each photosite's level.

    signal: (h, w) of a mosaic or (h, w, 3) of a LinearImage, float32, signal units; values below 0 count as 0.
    color_map: (h, w) uint8 as CfaPattern.color_map gives it, or None for a LinearImage.
    Returns the shape of `signal`, float32, signal units squared, never below b.
    Raises OptionError if the profile is not for these planes.
    Source: DNG specification, NoiseProfile: N(x)^2 = S * x + O, with a = S and b = O.
    """
    planes = signal.shape[-1] if color_map is None else int(color_map.max(initial=0)) + 1
    check_profile(profile, max(planes, len(profile.a)) if color_map is not None else planes)
    a, b = per_photosite(profile.a, color_map), per_photosite(profile.b, color_map)
    return np.asarray(np.maximum(signal, 0.0) * a + b, dtype=np.float32)


def stabiliser_offset(a: FloatArray, b: FloatArray) -> FloatArray:
    """c = b + 3/8 a^2, the constant under the root of `stabilise`; Starck, Murtagh & Bijaoui 1998."""
    return np.asarray(b + 0.375 * a * a, dtype=np.float32)


def stabilise(signal: FloatArray, a: FloatArray, c: FloatArray) -> FloatArray:
    """The signal with noise of sigma 1: generalised Anscombe transform with value 0 at black.

    a, c: broadcast with signal; c = `stabiliser_offset(a, b)` > 0, a >= 0.
    Above black 2/a (sqrt(a x + c) - sqrt c), written so that a = 0 works; below black x / sqrt c, which goes on with
    the same slope, so nothing is clipped. The twin of training/network.py.
    """
    positive = np.maximum(signal, 0.0)
    root = np.sqrt(c)
    return np.asarray(2.0 * positive / (np.sqrt(a * positive + c) + root) + (signal - positive) / root, np.float32)


def unstabilise(z: FloatArray, a: FloatArray, c: FloatArray) -> FloatArray:
    """The signal whose `stabilise` is z: the algebraic inverse, z sqrt c + a max(z, 0)^2 / 4.

    Unbiased for the network, whose targets were stabilised without noise; not the inverse to use on an average of z.
    """
    positive = np.maximum(z, 0.0)
    return np.asarray(z * np.sqrt(c) + a * positive * positive * 0.25, dtype=np.float32)
