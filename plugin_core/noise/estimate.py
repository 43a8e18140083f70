"""Noise parameters measured from a picture's own pixels.

Every small block gives, per group of same-colour photosites, its level, the energy of its twists (noise, hardly any
picture) and of its steps (noise and picture). At each level the blocks are kept in which the OTHER groups show the
least texture: noise is independent between groups, so choosing by them does not bias the twist, not even with heavy
tails. What texture is left is told from the steps of the chosen blocks and taken off in proportion; what smoothing in
the camera took from the twist is put back. A line goes through the points of all levels, planes first together, then
each on its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from plugin_core.frame import CfaKind, FloatArray, LinearImage, NoiseProfile, NoiseSource, RawFrame
from plugin_core.noise.blocks import BlockTable, measure_blocks
from plugin_core.noise.fit import Float64, Line, Points, fit_line, undo_clipping
from plugin_core.noise.flatness import LEAST_BLOCKS, Energies, bins, energies, energy_spread, flattest
from plugin_core.noise.masked import masked_variance
from plugin_core.noise.smoothing import smoothing

__all__ = ["measure"]

CHOSEN_MEAN = 0.288  # a normal law cut one sigma above its mean has its mean that much lower (phi(1) / Phi(1))
MODEL_ERROR = 0.03  # of a point's variance, however many samples it has
TEXTURE_ERROR = 0.40  # of the texture energy found in the chosen blocks
PLANE_SPREAD = 0.20  # relative sigma with which a plane's line is held to that of all planes
ROUNDS = 4
SMOOTHED = 0.1  # from here on the profile says that the camera smoothed
# Twist over the mean of step and twist energy for picture content alone: on photographs, median .33 for squares of 2,
# .5 for the X-Trans parallelograms. Taken low, since too high a share turns noise into texture.
TEXTURE_SHARE = {CfaKind.BAYER: 0.25, CfaKind.XTRANS: 0.38, CfaKind.MONOCHROME: 0.25}


@dataclass(frozen=True)
class Evidence:
    """Points of all planes with their plane and the texture found beside them, relative to the noise."""

    points: Points
    plane: NDArray[np.intp]
    texture: Float64

    def of(self, plane: int) -> Points:
        """One plane's points."""
        mine = self.plane == plane
        return Points(self.points.signal[mine], self.points.variance[mine], self.points.error[mine])


def measure(image: RawFrame | LinearImage) -> NoiseProfile | None:
    """The noise profile that the pixels show, or None if they show none (too small, constant, all saturated).

    a and b per plane, signal units; confidence 0..1 from the texture left in the flattest blocks, the scatter about the
    line and the span of levels; detail says what it rests on.
    """
    table = measure_blocks(image)
    if table is None or np.count_nonzero(table.usable) < 4 * LEAST_BLOCKS:
        return None
    table = usable_only(table)
    if not np.any(table.twist):
        return None
    kind = image.cfa.kind if isinstance(image, RawFrame) else None
    share = TEXTURE_SHARE[kind or CfaKind.BAYER]
    dark = masked_variance(image) if isinstance(image, RawFrame) else None
    least_b = table.quantum**2 / 12.0
    planes = int(table.color.max()) + 1
    first = first_line(table, least_b)
    if first is None:
        return None
    lines = [first] * planes
    evidence: Evidence | None = None
    used_dark: float | None = None
    smoothed = 0.0
    for _ in range(ROUNDS):
        energy = energies(table, lines)
        smoothed = smoothing(table, energy) if kind is CfaKind.BAYER else 0.0
        evidence = gather_evidence(table, energy, lines, share, smoothed)
        if evidence is None:
            return None
        used_dark = dark if dark is not None and agrees(dark, evidence) else None
        lines = fit_planes(evidence, planes, least_b, used_dark)
    assert evidence is not None
    if any(line.a + line.b <= 0 for line in lines):
        return None
    trust, reason = confidence(evidence, lines, kind is not None)
    if smoothed > SMOOTHED:
        reason += f"; smoothed in the camera, which hides {100 * (1 - 1 / sqrt(1 + smoothed)):.0f} % of sigma"
    where = "masked photosites and " if used_dark is not None else ""
    return NoiseProfile(
        a=tuple(line.a for line in lines),
        b=tuple(line.b for line in lines),
        source=NoiseSource.MEASURED,
        confidence=trust,
        detail=f"{where}{reason}",
    )


def usable_only(table: BlockTable) -> BlockTable:
    """The table without blocks that touch saturation."""
    keep = table.usable
    return replace(
        table,
        level=table.level[:, keep],
        twist=table.twist[:, keep],
        step=table.step[:, keep],
        common=table.common[keep],
        usable=keep[keep],
    )


def first_line(table: BlockTable, least_b: float) -> Line | None:
    """A crude line to begin with: the twentieth part of lowest energy at each level, all planes together.

    None if there are too few blocks at every level.
    """
    samples = 3 * table.twist.shape[2]
    energy = ((2 * table.step + (table.twist**2).mean(-1)) / 3).ravel()
    level = np.maximum(table.level, 0.0).ravel()
    rows = []
    for here in bins(level):
        low = float(np.quantile(energy[here], 0.05)) / max(1.0 - 1.645 * sqrt(2.0 / samples), 0.2)
        rows.append((float(np.median(level[here])), low, 0.2))
    if not rows:
        return None
    signal, variance, error = np.array(rows, dtype=np.float64).T
    return fit_line(Points(signal, variance, error), least_b)


def gather_evidence(
    table: BlockTable, energy: Energies, lines: list[Line], share: float, smoothed: float
) -> Evidence | None:
    """One point per plane and level from the blocks that look flat in the other groups; None without any."""
    groups, _, samples = table.twist.shape
    sound = (table.twist**2).max(-1) < 64.0 * energy.predicted  # 8 sigma: a hot pixel, or an edge
    others = max(groups - 1, 1)
    spread = energy_spread(samples, others)
    total = energy.relative.sum(0)
    rows: list[tuple[float, float, float, int, float]] = []
    for plane in range(len(lines)):
        mine = [g for g in range(groups) if table.color[g] == plane]
        seen = [(total - energy.relative[g]) / others if groups > 1 else energy.relative[g] for g in mine]
        level, flatness, variance, floor = (
            np.concatenate([value[sound[g]] for g, value in zip(mine, values, strict=True)])
            for values in (
                [table.level[g] for g in mine],
                seen,
                [energy.noise[g] for g in mine],
                [np.full(table.level.shape[1], table.floor[g]) for g in mine],
            )
        )
        if len(level) < LEAST_BLOCKS:
            continue
        for here in bins(level):
            point = bin_point(
                level[here], variance[here], flatness[here], floor[here], lines[plane], spread, share, smoothed
            )
            if point is not None:
                signal, value, texture, count = point
                error = sqrt(2.0 / (count * samples) + MODEL_ERROR**2 + (TEXTURE_ERROR * texture) ** 2)
                rows.append((signal, value, error, plane, texture))
    if len(rows) < 2:
        return None
    columns = np.array(rows, dtype=np.float64).T
    return Evidence(Points(columns[0], columns[1], columns[2]), columns[3].astype(np.intp), columns[4])


def bin_point(
    level: FloatArray,
    noise: FloatArray,
    flatness: FloatArray,
    floor: FloatArray,
    line: Line,
    spread: float,
    share: float,
    smoothed: float,
) -> tuple[float, float, float, int] | None:
    """Signal, variance, texture relative to it, and how many blocks: a bin's flattest; None if clipping hid it.

    level, noise, flatness, floor: (n,) of the bin's blocks; flatness is the other groups' energy over the line's.
    smoothed: see `smoothing`; the steps then hold the noise's variance, the twist less.
    """
    chosen = flattest(flatness, spread)
    signal, twist = float(level[chosen].mean()), float(noise[chosen].mean())
    found = float(flatness[chosen].mean()) / (1.0 - CHOSEN_MEAN * spread) * float(line.at(np.array(signal)))
    excess = max(0.0, found - twist * (1.0 + 2.0 / 3.0 * smoothed))
    variance = twist * (1.0 + smoothed)
    texture = excess / max(variance, 1e-30)
    variance = max(variance - share / (1.0 - share) * excess, 0.2 * variance)
    lowest = float(floor[chosen].mean())
    if np.isfinite(lowest):
        height, true, known = undo_clipping(np.array([signal - lowest]), np.array([variance]))
        if not known[0]:
            return None
        signal, variance = float(height[0]) + lowest, float(true[0])
    return signal, variance, texture, len(chosen)


def agrees(dark: float, evidence: Evidence) -> bool:
    """Whether masked photosites are no noisier than the picture itself: else they were not read out like it."""
    points = evidence.points
    firm = points.error < 0.15
    return not np.any(firm) or dark < 1.5 * float(points.variance[firm].min())


def fit_planes(evidence: Evidence, planes: int, least_b: float, dark: float | None) -> list[Line]:
    """A line per plane, held to the line of all planes; the gain is one chip's, but some makers scale planes."""
    anchor = Points(*(np.empty(0),) * 3) if dark is None else Points(np.zeros(1), np.array([dark]), np.array([0.1]))
    together = fit_line(evidence.points.joined(anchor), least_b)
    lines = []
    for plane in range(planes):
        mine = evidence.of(plane)
        if len(mine.signal) < 3:
            lines.append(together)
            continue
        at = np.concatenate([[0.0], np.quantile(mine.signal, (0.0, 0.33, 0.66, 1.0))])
        tie = Points(at, together.at(at), np.full(5, PLANE_SPREAD))
        lines.append(fit_line(mine.joined(tie).joined(anchor), least_b, start=together))
    return lines


def confidence(evidence: Evidence, lines: list[Line], mosaic: bool) -> tuple[float, str]:
    """How far to trust the lines, 0..1, and one line on what they rest on."""
    points = evidence.points
    predicted = np.array([float(lines[c].at(np.array(s))) for s, c in zip(points.signal, evidence.plane, strict=True)])
    weight = 1.0 / points.error**2
    scatter = float(np.sqrt(np.average((points.variance / predicted - 1.0) ** 2, weights=weight)))
    texture = float(np.average(np.minimum(evidence.texture, 4.0), weights=np.ones_like(weight)))
    trust = float(np.clip(np.exp(-0.5 * texture - 1.0 * scatter), 0.0, 0.95))
    if not mosaic:
        trust *= 0.6
    low, high = float(points.signal.min()), float(points.signal.max())
    return trust, (
        f"flattest blocks at {len(points.signal)} levels from {low:.2g} to {high:.2g} of white, "
        f"texture {100 * texture:.0f} % of the noise, scatter {100 * scatter:.0f} %"
    )
