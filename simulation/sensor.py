"""Sensor noise: the two benchmark models of the protocol (U, E) and the wider mix that training draws from.

Signals are in units of white above black: 0 black, 1 saturation. Variance = a * signal + b.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from simulation.cameras import FloatArray

DN_RANGE = 16383 - 512  # the protocol's 14-bit sensor: black 512, white 16383
STAIRCASE_WHITE = 3840  # 12-bit DN; black is 0
# Steps of a lossy NEF (Nikon D5000, black 0, white 3840), read off its values: 1 near black, 3 at 400, 7 at 1500, 10
# near white. They follow the root of the value, as shot noise does.
NEF_STAIRCASE = 0.17


@dataclass(frozen=True)
class NoiseDraw:
    """Everything that is drawn at random about one frame's noise. Signal units unless stated."""

    a: float  # shot slope
    read_sigma: float  # per-pixel read noise
    tukey_lambda: float | None = None  # shape of the read noise; None is Gaussian
    row_sigma: float = 0.0
    column_sigma: float = 0.0
    step: float = 0.0  # quantisation step; 0 is none
    poisson: bool = True  # exact Poisson shot noise, else Gaussian of the same variance
    clip_white: bool = True  # the converter saturates at 1
    clip_black: bool = False  # old Nikon: nothing below black survives
    black_error: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)  # per phase of a 2x2 cell
    hot_density: float = 0.0  # share of photosites
    correlation: float = 0.0  # weight of the same-phase neighbours' noise: in-camera smoothing
    dead_density: float = 0.0  # share of photosites that see no light
    staircase: float = 0.0  # lossy compression: steps of this times the root of the 12-bit value; NEF is NEF_STAIRCASE

    @property
    def b(self) -> float:
        """The variance at black: read, row and column noise and rounding."""
        return self.read_sigma**2 + self.row_sigma**2 + self.column_sigma**2 + self.step**2 / 12


def unprocessing_noise(shot: float) -> NoiseDraw:
    """Protocol model U: log read = 2.18 log shot + 1.20 (Brooks et al. 2019 §3.1), 14 bit."""
    read = math.exp(2.18 * math.log(shot) + 1.20)
    return NoiseDraw(a=shot, read_sigma=math.sqrt(read), step=1 / DN_RANGE, poisson=False)


def extreme_noise(ratio: float, tukey_lambda: float | None = None) -> NoiseDraw:
    """Protocol model E, amplified `ratio` times: K = 1 DN per electron, read sigma 3 DN, row sigma .5 DN, rounding."""
    dn = ratio / DN_RANGE
    return NoiseDraw(a=dn, read_sigma=3 * dn, row_sigma=0.5 * dn, step=dn, tukey_lambda=tukey_lambda, clip_white=False)


def tukey_lambda_noise(rng: np.random.Generator, shape: tuple[int, ...], lam: float) -> FloatArray:
    """Samples of the Tukey-lambda law with variance 1 (Wei et al. 2020, "ELD"; lam > -1/2)."""
    u = rng.random(shape, dtype=np.float32) * np.float32(1 - 2e-7) + np.float32(1e-7)
    if abs(lam) < 1e-3:
        return np.asarray(np.log(u / (1 - u)) * (math.sqrt(3) / math.pi), dtype=np.float32)
    ratio = math.exp(2 * math.lgamma(lam + 1) - math.lgamma(2 * lam + 2))
    sigma = math.sqrt(2 / lam**2 * (1 / (1 + 2 * lam) - ratio))
    return np.asarray((u**lam - (1 - u) ** lam) / (lam * sigma), dtype=np.float32)


def shot_noise(rng: np.random.Generator, signal: FloatArray, a: float, poisson: bool) -> FloatArray:
    """The signal with shot noise of variance a * signal; same shape."""
    positive = np.maximum(signal, 0.0)
    if poisson and float(positive.mean()) / a < 200.0:  # above that a normal law is the same to a per cent
        return np.asarray(rng.poisson(positive / a) * a, dtype=np.float32)
    normal = rng.standard_normal(signal.shape, dtype=np.float32)
    return np.asarray(signal + np.sqrt(a * positive) * normal, dtype=np.float32)


def add_noise(rng: np.random.Generator, signal: FloatArray, draw: NoiseDraw) -> FloatArray:
    """The mosaic as the sensor would give it: (H, W) float32 in signal units, below 0 kept unless `clip_black`."""
    height, width = signal.shape
    noisy = shot_noise(rng, signal, draw.a, draw.poisson)
    if draw.tukey_lambda is None:
        read = rng.standard_normal(signal.shape, dtype=np.float32)
    else:
        read = tukey_lambda_noise(rng, signal.shape, draw.tukey_lambda)
    noisy = noisy + np.float32(draw.read_sigma) * read
    if draw.correlation > 0:
        noise = noisy - signal
        ring = sum(np.roll(noise, shift, axis) for shift in (-2, 2) for axis in (0, 1))
        noisy = signal + (noise + draw.correlation * ring) / np.float32(math.sqrt(1 + 4 * draw.correlation**2))
    if draw.row_sigma > 0:
        noisy += np.float32(draw.row_sigma) * rng.standard_normal((height, 1), dtype=np.float32)
    if draw.column_sigma > 0:
        noisy += np.float32(draw.column_sigma) * rng.standard_normal((1, width), dtype=np.float32)
    if any(draw.black_error):
        cell = np.array(draw.black_error, dtype=np.float32).reshape(2, 2)
        noisy += np.tile(cell, (-(-height // 2), -(-width // 2)))[:height, :width]
    if draw.hot_density > 0:
        hot = rng.random(signal.shape, dtype=np.float32) < draw.hot_density
        noisy = np.where(hot, np.maximum(noisy, rng.random(signal.shape, dtype=np.float32)), noisy)
    if draw.dead_density > 0:
        dead = rng.random(signal.shape, dtype=np.float32) < draw.dead_density
        noisy = np.where(dead, np.float32(draw.read_sigma) * read, noisy)
    if draw.step > 0:
        noisy = np.round(noisy / draw.step) * np.float32(draw.step)
    if draw.clip_white:
        noisy = np.minimum(noisy, 1.0)
    if draw.clip_black:
        noisy = np.maximum(noisy, 0.0)
    if draw.staircase > 0:
        noisy = on_staircase(noisy, staircase_levels(draw.staircase))
    return noisy.astype(np.float32)


@lru_cache(maxsize=4)
def staircase_levels(coefficient: float) -> FloatArray:
    """The values that a lossy curve keeps, rising, signal units: what its inverse table holds, 0 to STAIRCASE_WHITE."""
    levels = [0]
    while levels[-1] < STAIRCASE_WHITE:
        levels.append(levels[-1] + max(1, round(coefficient * math.sqrt(levels[-1]))))
    levels[-1] = STAIRCASE_WHITE
    return np.array(levels, dtype=np.float32) / np.float32(STAIRCASE_WHITE)


def on_staircase(signal: FloatArray, levels: FloatArray) -> FloatArray:
    """Each sample at the nearest of `levels`; black is clipped, since the curve begins there. Same shape."""
    upper = np.clip(np.searchsorted(levels, signal), 1, len(levels) - 1)
    low, high = levels[upper - 1], levels[upper]
    return np.where(signal - low < high - signal, low, high)


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """A number whose logarithm is uniform on [log low, log high]."""
    return float(math.exp(rng.uniform(math.log(low), math.log(high))))


def random_noise(rng: np.random.Generator) -> NoiseDraw:
    """The training mix of protocols.md §1b, wider than either benchmark model.

    a spans ISO 50 to beyond 409600; read noise b/a^2 is log-uniform over .02 .. 60 squared electrons. Drawn along the
    Unprocessing line only, the network lost .4 dB at E x300 and lifted black.
    """
    kind = rng.random()
    if kind < 0.12:
        a = log_uniform(rng, 1e-5, 6e-4)
    elif kind < 0.78:
        a = log_uniform(rng, 5e-4, 0.025)
    else:  # the hardest frames want the most practice
        a = log_uniform(rng, 0.01, 0.06)
    read = a * math.sqrt(log_uniform(rng, 0.02, 60.0))
    dark = rng.random() < 0.5  # a dark frame amplified: nothing saturates, the step grows with the gain
    step = a / log_uniform(rng, 0.5, 10.0) if dark else 2.0 ** -float(rng.integers(10, 17))
    step = min(step, 1.5 * math.sqrt(read**2 + a * 0.02))
    black = tuple(float(v) for v in rng.normal(0, 0.04 * read, 4)) if rng.random() < 0.2 else (0.0, 0.0, 0.0, 0.0)
    return NoiseDraw(
        a=a,
        read_sigma=read,
        tukey_lambda=float(rng.uniform(-0.25, 0.15)) if rng.random() < 0.25 else None,
        row_sigma=read * float(rng.uniform(0, 0.35)) if rng.random() < 0.5 else 0.0,
        column_sigma=read * float(rng.uniform(0, 0.25)) if rng.random() < 0.08 else 0.0,
        step=step,
        poisson=bool(rng.random() < 0.6),
        clip_white=not dark,
        clip_black=bool(rng.random() < 0.04),
        black_error=(black[0], black[1], black[2], black[3]),
        hot_density=log_uniform(rng, 1e-5, 1e-3) if rng.random() < 0.08 else 0.0,
        correlation=float(rng.uniform(0.02, 0.15)) if rng.random() < 0.03 else 0.0,
    )
