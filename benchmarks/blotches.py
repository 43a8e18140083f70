"""What a denoiser leaves of the noise of flat fields, scale by scale: the eye sees coarse remains as blotches."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from scipy.ndimage import uniform_filter

from benchmarks import report
from benchmarks.baselines import restore as baseline
from benchmarks.cases import BAYER_LEVEL, Case, case, noise_only, run
from benchmarks.metrics import squares
from benchmarks.scenes import PATTERNS, data_folder
from plugin_core.engine.session import Session
from simulation.cameras import FloatArray
from simulation.unprocess import cfa_colours

BLOTCH_LEVELS = (0.005, 0.05, 0.18)  # of the correctly exposed scene's white
BLOTCH_SCALES = (16, 32, 64)  # photosites
BLOTCH_SIDE = 1536  # 576 squares of 64 x 64, so that their deviation is known to 3 %
MEAN_SIDES = (16, 64, 128)  # photosites: plain means to compare what is left with


def field_left(cfa: str, signal: float, seed: int, denoised: Callable[[Case], FloatArray]) -> dict[int, float]:
    """Sigma of means over squares of a restored flat field, as a share of the noise's, by the squares' side."""
    level = BAYER_LEVEL["E x300"]
    draw = noise_only(level)
    dark = signal / level.ratio
    restored = denoised(case(np.full((BLOTCH_SIDE,) * 2, dark, dtype=np.float32), cfa, draw, seed)).astype(np.float64)
    sigma = (draw.a * dark + draw.b) ** 0.5
    return {scale: float(squares(restored, scale).std()) / sigma for scale in BLOTCH_SCALES}


def fall(left: dict[int, float]) -> float:
    """What is left at coarser scales, at most, as a multiple of what white noise has there that is as large at 16."""
    white = max(left[16], 1e-30) * 16
    return max(left[scale] * scale / white for scale in BLOTCH_SCALES)


def remains(cfa: str, denoised: Callable[[Case], FloatArray]) -> tuple[float, float, float]:
    """What is left of the noise of flat fields in means over squares: the eye sees coarse remains as blotches.

    Largest over BLOTCH_LEVELS: sigma at 16 photosites, as a share of the noise's; over the scales, as a multiple of
    what white noise of that sigma has there; likewise of what white noise has that is as large at 16.
    """
    fields = [field_left(cfa, signal, 200 + index, denoised) for index, signal in enumerate(BLOTCH_LEVELS)]
    against_white = max(left[scale] * scale for left in fields for scale in BLOTCH_SCALES)
    return max(left[16] for left in fields), against_white, max(fall(left) for left in fields)


def blotches(session: Session) -> Iterator[report.Bar]:
    """The remains of flat fields."""
    for cfa in ("RGGB", "XTRANS"):
        worst, against_white, falls = remains(cfa, lambda flat: run(flat, session)[1])
        text = f"no blotches, E x300, {cfa}: ≤ 12 % of σ in means over 16 x 16"
        yield report.Bar(text, f"{100 * worst:.1f} % (white noise: {100 / 16:.1f} %)", worst <= 0.12)
        largest = f"up to {BLOTCH_SCALES[-1]} x {BLOTCH_SCALES[-1]}"
        text = f"no blotches, E x300, {cfa}: at every scale ≤ 2 x what white noise of that σ has there"
        yield report.Bar(text, f"{against_white:.2f} x {largest}", against_white <= 2.0)
        text = f"no blotches, E x300, {cfa}: from its own 16 x 16 on falls as white noise does, to within 2 x"
        yield report.Bar(text, f"{falls:.2f} x {largest}", falls <= 2.0)


def others_remains() -> str:
    """The same flat fields through the baselines, RGGB; and through a mean over squares, which knows they are flat."""
    colours = cfa_colours(PATTERNS["RGGB"], BLOTCH_SIDE, BLOTCH_SIDE)
    ways = {
        name: lambda flat, name=name: baseline(name, flat.frame.signal(), colours, flat.profile, data_folder())
        for name in ("PMRID", "BM3D")
    }
    for side in MEAN_SIDES:
        ways[f"mean over {side} x {side}"] = lambda flat, side=side: uniform_filter(flat.frame.signal(), side)
    rows = []
    for name, way in ways.items():
        worst, against_white, falls = remains("RGGB", way)
        rows.append((name, f"{100 * worst:.1f}", f"{against_white:.2f}", f"{falls:.2f}"))
    head = (
        "Blotches, E x300, RGGB",
        "16 x 16, % of σ",
        "at every scale, x white noise",
        "from its own 16 x 16, x white noise",
    )
    return f"### Baselines\n\n{report.table(head, rows)}"
