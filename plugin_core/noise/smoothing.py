"""Noise that a camera smoothed before it wrote the "raw" file: neighbours of one colour are alike in it.

A twist is a difference of such neighbours and tells too little of that noise; so does a denoiser that believes it.
"""

from __future__ import annotations

import numpy as np

from plugin_core.noise.blocks import BlockTable
from plugin_core.noise.flatness import Energies, bins, energy_spread, flattest

__all__ = ["smoothing"]

# Of the steps' excess over the twist, photographs have two thirds (ISO 100) to nearly all (25600) in common between the
# groups of a Bayer mosaic; noise that was smoothed has nothing.
ALIKE = 0.6
DOUBT = (0.15, 0.35)  # share of the excess that is not alike: below the first all may be picture, above the second not
EVERYWHERE = 0.1  # smoothing shows at every level: no more of it is believed than at this quantile of the levels
MOST_EXCESS = 2.0  # relative to the twist: beyond it is picture, whatever else there may be
ENOUGH = 50  # blocks of a level, from which on all levels count the same


def smoothing(table: BlockTable, energy: Energies) -> float:
    """By how much the noise's steps exceed its twist, relative to it, 0..1: what smoothing in the camera leaves.

    What the steps of the flattest blocks hold beyond the twist is picture, or noise that is alike in neighbours of one
    colour. Picture is alike in neighbours of different colour as well; noise is not.
    """
    groups, _, samples = table.twist.shape
    relative, spread = energy.relative.mean(0), energy_spread(samples, groups)
    rows = []
    for here in bins(table.level.mean(0)):
        flat = here[flattest(relative[here], spread)]
        expected = energy.predicted[:, flat]
        twist, step = (energy.noise[:, flat] / expected).mean(), (table.step[:, flat] / expected).mean()
        common = (table.common[flat] / np.sqrt(expected).mean(0) ** 2).mean()
        if twist > 0:
            rows.append((step / twist - 1.0, common / twist, twist * min(len(flat), ENOUGH)))
    if not rows:
        return 0.0
    excesses, commons, weights = np.array(rows, dtype=np.float64).T
    excess, common = (float(np.average(values, weights=weights)) for values in (excesses, commons))
    if not 0 < excess < MOST_EXCESS:
        return 0.0
    other = max(1.0 - common / (ALIKE * excess), 0.0)
    found = other * float(np.interp(other, DOUBT, (0.0, 1.0))) * excess
    return min(found, max(float(np.quantile(excesses, EVERYWHERE)), 0.0), 1.0)
