"""Which blocks of a picture look flat, level by level."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from plugin_core.frame import FloatArray
from plugin_core.noise.blocks import BlockTable
from plugin_core.noise.fit import Line

__all__ = ["LEAST_BLOCKS", "Energies", "bins", "energies", "energy_spread", "flattest"]

BINS = 24  # levels, evenly spaced in the root of the signal
LEAST_BLOCKS = 12  # in a bin
FLATTEST = 0.03  # share of a bin's blocks taken as surely flat; anchors what "flat" is there
FLATTEST_SIGMAS = 1.88  # where that quantile of a normal law lies


@dataclass(frozen=True)
class Energies:
    """(G, N) each: the variance that lines predict, that of the twist, and the energy relative to the first."""

    predicted: FloatArray
    noise: FloatArray
    relative: FloatArray


def bins(level: FloatArray) -> Iterator[NDArray[np.intp]]:
    """The blocks of one level after the other, evenly spaced in the root, as noise is; levels of few are left out."""
    root = np.sqrt(np.maximum(level, 0.0))
    low, high = np.quantile(root, (0.002, 0.998))
    index = np.clip(((root - low) / (high - low + 1e-12) * BINS).astype(np.intp), 0, BINS - 1)
    for place in range(BINS):
        here = np.flatnonzero(index == place)
        if len(here) >= LEAST_BLOCKS:
            yield here


def energies(table: BlockTable, lines: list[Line]) -> Energies:
    """What the blocks hold beside what the lines, one per plane, say of their noise."""
    slope = np.array([lines[c].a for c in table.color], dtype=np.float32)[:, None]
    base = np.array([lines[c].b for c in table.color], dtype=np.float32)[:, None]
    predicted = slope * np.maximum(table.level, 0.0) + base + np.float32(1e-30)
    noise = np.minimum(table.twist**2, 25.0 * predicted[..., None]).mean(-1)
    return Energies(predicted, noise, (2.0 * table.step + noise) / (3.0 * predicted))


def energy_spread(samples: int, groups: int) -> float:
    """The relative sigma of the mean energy of a block's groups, were there only noise; samples: twists of a group."""
    return sqrt(2.0 / (3.0 * samples * groups))


def flattest(flatness: FloatArray, spread: float) -> NDArray[np.intp]:
    """Which of a bin's blocks look flat; spread: the relative sigma of their flatness were there only noise."""
    flat = float(np.quantile(flatness, FLATTEST)) / max(1.0 - FLATTEST_SIGMAS * spread, 0.2)
    chosen = np.flatnonzero(flatness <= flat * (1.0 + spread))
    return chosen if len(chosen) >= 6 else np.argsort(flatness)[:6]
