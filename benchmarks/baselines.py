"""What to compare with: nothing, BM3D after the generalised Anscombe transform, PMRID. All get the true noise."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plugin_core.frame import NoiseProfile
from simulation.cameras import FloatArray
from simulation.isp import smooth_known

# A version goes up when its figures may change.
VERSIONS = {"noisy": "1", "BM3D": "1", "BM3D mosaic": "1", "PMRID": "1", "PMRID clipped": "1"}
BAYER_ONLY = ("PMRID", "PMRID clipped", "BM3D mosaic")


def anscombe(signal: FloatArray, a: float, b: float) -> FloatArray:
    """The signal with noise of variance close to 1: 2 sqrt(x / a + 3/8 + b / a^2).

    Source: Starck, Murtagh & Bijaoui 1998, eq. 18.5.
    """
    return (2 * np.sqrt(np.maximum(signal / a + 0.375 + b / a**2, 0))).astype(np.float32)


def exact_inverse(stabilised: FloatArray, a: float, b: float) -> FloatArray:
    """The signal whose noisy transform has this mean; unbiased, unlike the algebraic inverse.

    Source: Makitalo & Foi 2013, "Optimal inversion of the generalized Anscombe transformation for Poisson-Gaussian
    noise", closed form; it holds from the transform's value at black upward, below that the result is black.
    """
    d = np.maximum(stabilised, 2 * math.sqrt(0.375 + b / a**2)).astype(np.float64)
    root = math.sqrt(1.5)
    counts = d**2 / 4 + root / (4 * d) - 11 / (8 * d**2) + 5 * root / (8 * d**3) - 1 / 8 - b / a**2
    return np.maximum(counts * a, 0).astype(np.float32)


def bm3d_unit(plane: FloatArray) -> FloatArray:
    """A plane with white noise of sigma 1 denoised by BM3D (Dabov et al. 2007; package `bm3d`, one thread).

    Blocks every 4 pixels instead of 3 and a search window of 25 instead of 39: half the time for .06 dB less on average
    (two photographs, U .001 and E x300: .01 to .15 dB).
    """
    import bm3d

    profile = bm3d.BM3DProfile()
    profile.num_threads = 1
    profile.step_ht = profile.step_wiener = 4
    profile.search_window_ht = profile.search_window_wiener = 25
    low, high = float(plane.min()), float(plane.max())
    span = max(high - low, 1e-6)
    restored: FloatArray = bm3d.bm3d((plane - low) / span, 1 / span, profile)
    return (restored * span + low).astype(np.float32)


def bm3d_bayer(signal: FloatArray, profile: NoiseProfile) -> FloatArray:
    """A Bayer signal (H, W) restored plane by plane: each phase is a picture of its own with white noise."""
    restored = np.empty_like(signal)
    a, b = profile.a[1], profile.b[1]
    for row in (0, 1):
        for column in (0, 1):
            plane = anscombe(signal[row::2, column::2], a, b)
            restored[row::2, column::2] = exact_inverse(bm3d_unit(plane), a, b)
    return restored


def bm3d_mosaic(signal: FloatArray, colours: NDArray[np.uint8], profile: NoiseProfile) -> FloatArray:
    """A mosaic (H, W) restored as one grey picture after its local colour is taken out.

    X-Trans phases are six photosites apart, too far for a plane each; on Bayer it is a second, often stronger, way. The
    smooth mean of each colour (normalised convolution, sigma 6 photosites, which leaves a tenth of the noise) is
    subtracted in the stabilised domain; what is left is close to luminance detail with white noise, BM3D restores that,
    and the mean is added again.
    """
    a, b = profile.a[1], profile.b[1]
    stabilised = anscombe(signal, a, b)
    mean = np.zeros_like(stabilised)
    for colour in range(3):
        here = colours == colour
        mean[here] = smooth_known(stabilised, here, sigma=6.0, reach=16)[here]
    return exact_inverse(bm3d_unit(stabilised - mean) + mean, a, b)


def restore(
    method: str, signal: FloatArray, colours: NDArray[np.uint8], profile: NoiseProfile, folder: Path
) -> FloatArray:
    """What a baseline makes of a signal (H, W); `colours` tells Bayer RGGB from X-Trans. Raises KeyError if unknown."""
    bayer = bool(np.array_equal(colours[:2, :2], ((0, 1), (1, 2))))
    if method == "noisy":
        return signal
    if method == "BM3D" and bayer:
        return bm3d_bayer(signal, profile)
    if method == "BM3D mosaic" or method == "BM3D":
        return bm3d_mosaic(signal, colours, profile)
    if method in ("PMRID", "PMRID clipped") and bayer:
        from benchmarks import pmrid

        return pmrid.restore(signal, profile, folder, clip=method == "PMRID clipped")
    raise KeyError(method)
