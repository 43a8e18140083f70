"""The line of one colour plane's photon transfer: through flat blocks of like level, and the darks."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np

from plugin_core.noise.fit import Float64, nonnegative_pair

__all__ = ["PlaneFit", "fit_plane"]

BINS = 24  # levels of the fit, evenly spaced in the root of the signal
LEAST_BLOCKS = 12  # in a bin
CURVE_ERROR = 0.005  # of a point's variance, however many samples it has: no sensor is a straight line to less
TRIM = 6.0  # sigmas of a block's variance


@dataclass(frozen=True)
class PlaneFit:
    """variance = a * signal + b with the points that it goes through; scatter is their relative distance from it."""

    a: float
    b: float
    signal: Float64
    variance: Float64
    scatter: float

    @property
    def brightest(self) -> float:
        """Signal of the brightest point."""
        return float(self.signal.max())


def fit_plane(
    level: Float64, variance: Float64, samples: int, dark: float | None, dark_samples: int
) -> PlaneFit | None:
    """A line through the means of blocks of like level and, where it is known, the dark variance; None without any.

    level, variance (n,): of flat blocks of `samples` photosites each, signal units; dark rests on dark_samples.
    """
    signal, height, error = binned(level, variance, samples)
    if not len(signal):
        return None
    if dark is not None:
        signal, height = np.append(signal, 0.0), np.append(height, dark)
        error = np.append(error, sqrt(2.0 / dark_samples + CURVE_ERROR**2))
    predicted = np.maximum(height, 1e-30)
    a = b = 0.0
    for _ in range(8):
        weight = 1.0 / (predicted * error)
        a, b = nonnegative_pair(np.stack([signal * weight, weight], axis=1), height * weight)
        predicted = np.maximum(a * signal + b, 1e-30)
    scatter = float(np.sqrt(np.average((height / predicted - 1.0) ** 2, weights=1.0 / error**2)))
    return PlaneFit(a, b, signal, height, scatter) if a > 0 else None


def binned(level: Float64, variance: Float64, samples: int) -> tuple[Float64, Float64, Float64]:
    """Signal, variance and its relative error of each level that enough blocks have; outliers left out."""
    lit = level > 0
    level, variance = level[lit], variance[lit]
    root = np.sqrt(level)
    rows = []
    if len(level):
        index = np.minimum((root / (root.max() + 1e-12) * BINS).astype(np.intp), BINS - 1)
        for place in range(BINS):
            here = index == place
            if np.count_nonzero(here) < LEAST_BLOCKS:
                continue
            middle = float(np.median(variance[here]))
            kept = here & (variance < middle * (1 + TRIM * sqrt(2.0 / (samples - 1))))
            count = np.count_nonzero(kept) * (samples - 1)
            rows.append((level[kept].mean(), variance[kept].mean(), sqrt(2.0 / count + CURVE_ERROR**2)))
    columns = np.array(rows, dtype=np.float64).reshape(-1, 3).T
    return columns[0], columns[1], columns[2]
