"""The line variance = a * signal + b through points of which some lie too high; the undoing of a clipped black."""

from __future__ import annotations

from dataclasses import dataclass
from math import erf, exp, pi, sqrt

import numpy as np
from numpy.typing import NDArray

__all__ = ["Line", "Points", "fit_line", "undo_clipping"]

Float64 = NDArray[np.float64]

# Read noise when nothing dark was seen: b = 2.5 electrons^2, loosely. Measured cameras span .3 (high ISO) to 30 and
# more (APS-C at low ISO); where b matters the picture has shadows, and they outvote this.
PRIOR_ELECTRONS2 = 2.5
PRIOR_SPREAD = 2.5
UPWARD_SCALE = 1.35  # residuals above the line lose weight from here on, in sigmas: texture only ever adds
DOWNWARD_SCALE = 6.0  # below it only gross outliers do


@dataclass(frozen=True)
class Line:
    """variance = a * signal + b."""

    a: float
    b: float

    def at(self, signal: Float64) -> Float64:
        """The variance at `signal`, never 0."""
        return np.maximum(self.a * np.maximum(signal, 0.0) + self.b, 1e-30)


@dataclass(frozen=True)
class Points:
    """Measured variances: signal (n,), variance (n,), error (n,) the relative sigma of each variance."""

    signal: Float64
    variance: Float64
    error: Float64

    def joined(self, other: Points) -> Points:
        """Both sets."""
        return Points(
            np.concatenate([self.signal, other.signal]),
            np.concatenate([self.variance, other.variance]),
            np.concatenate([self.error, other.error]),
        )


def fit_line(points: Points, least_b: float = 0.0, start: Line | None = None, rounds: int = 12) -> Line:
    """The line with a >= 0 and b >= least_b by weighted least squares, weights falling faster above than below.

    Begins near the lower edge of the points (or at `start`), so that it settles on the lowest consistent set.
    """
    signal = np.maximum(points.signal, 0.0)
    variance = np.maximum(points.variance, 1e-30)
    if start is None:
        slope = float(np.quantile(variance / (signal + 1e-9), 0.15))
        predicted = np.minimum(variance, np.maximum(slope * signal, np.quantile(variance, 0.02)))
        line = Line(slope, 0.0)
    else:
        predicted, line = start.at(signal), start
    for _ in range(rounds):
        residual = (variance - predicted) / (predicted * points.error)
        scale = np.where(residual > 0, UPWARD_SCALE, DOWNWARD_SCALE)
        weight = 1.0 / (predicted * points.error * (1.0 + (residual / scale) ** 2) ** 0.5)
        prior = 1.0 / (PRIOR_SPREAD * (PRIOR_ELECTRONS2 * max(line.a, 1e-9) ** 2 + 6.0 * least_b))
        rows = np.stack([np.append(signal * weight, 0.0), np.append(weight, prior)], axis=1)
        a, b = nonnegative_pair(rows, np.append(variance * weight, 1.0 / PRIOR_SPREAD))
        line = Line(a, max(b, least_b))
        predicted = line.at(signal)
    return line


def nonnegative_pair(rows: Float64, target: Float64) -> tuple[float, float]:
    """The least-squares solution of two unknowns, both >= 0; rows (n, 2), target (n,)."""
    size = np.sqrt((rows**2).sum(axis=0)) + 1e-300
    rows = rows / size
    cross = float(rows[:, 0] @ rows[:, 1])
    first, second = (float(v) for v in rows.T @ target)
    determinant = 1.0 - cross * cross
    if determinant > 1e-12:
        a, b = (first - cross * second) / determinant, (second - cross * first) / determinant
        if a >= 0 and b >= 0:
            return a / float(size[0]), b / float(size[1])
    # on the edge of the quadrant the better single unknown: unit rows, so the gain is its square
    if max(first, 0.0) >= max(second, 0.0):
        return max(first, 0.0) / float(size[0]), 0.0
    return 0.0, max(second, 0.0) / float(size[1])


def rectified_moments(depth: float) -> tuple[float, float]:
    """Mean and variance of max(x, 0) for x normal with mean `depth` and sigma 1."""
    below = 0.5 * (1.0 + erf(depth / sqrt(2.0)))
    density = exp(-depth * depth / 2.0) / sqrt(2.0 * pi)
    mean = depth * below + density
    return mean, (depth * depth + 1.0) * below + depth * density - mean * mean


DEPTHS = np.linspace(-2.0, 5.0, 141)  # mean above the floor in sigmas
MOMENTS = np.array([rectified_moments(float(depth)) for depth in DEPTHS])
MEAN_OVER_SIGMA = MOMENTS[:, 0] / np.sqrt(MOMENTS[:, 1])


def undo_clipping(height: Float64, variance: Float64) -> tuple[Float64, Float64, NDArray[np.bool_]]:
    """What a normal law had before everything below 0 became 0: mean, variance, and where that can be told at all.

    height, variance (n,): mean above the floor, and variance, of what is left. It can't be told where the true mean lay
    more than one sigma below the floor.
    """
    ratio = height / np.sqrt(np.maximum(variance, 1e-30))
    depth = np.interp(ratio, MEAN_OVER_SIGMA, DEPTHS)
    shrunk = np.interp(depth, DEPTHS, MOMENTS[:, 1])
    clear = ratio >= MEAN_OVER_SIGMA[-1]
    true_variance = np.where(clear, variance, variance / shrunk)
    return np.where(clear, height, depth * np.sqrt(true_variance)), true_variance, clear | (depth > -1.0)
