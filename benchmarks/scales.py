"""What coarser scales do, choice by choice: blotches on flat fields, and raw PSNR on photographs of the training list.

`python -m benchmarks.scales MODEL` prints the table that docs/training.md quotes; about ten minutes of one core for
`standard`. The photographs are not the held-out ones: what ships was chosen by this table.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from benchmarks import report
from benchmarks.blotches import remains
from benchmarks.metrics import psnr
from benchmarks.scenes import LEVELS, finished, read_scene, scene_paths, take
from plugin_core.engine.cancel import CancelToken
from plugin_core.engine.session import OnnxSession
from plugin_core.frame import NoiseProfile, RawFrame
from plugin_core.models.registry import Registry
from plugin_core.ops.blend import BlendOptions, apply
from plugin_core.ops.denoise import restore
from plugin_core.ops.scales import SHIPPED, Recomposition
from simulation.cameras import FloatArray

PHOTOGRAPHS = 10  # evenly from the training list
TILE = 1024
CHOICES: tuple[tuple[str, Recomposition], ...] = (
    ("one scale", Recomposition(sides=())),
    ("12", Recomposition(sides=(12,))),
    ("12, 12", Recomposition(sides=(12, 12))),
    ("12, 4", Recomposition(sides=(12, 4))),
    ("12, 4, 4, 4 (ships)", SHIPPED),
    ("24, 4, 4, 4", Recomposition(sides=(24, 4, 4, 4))),
    ("smooth 1", Recomposition(smooth=1.0)),
    ("smooth 2.5", Recomposition(smooth=2.5)),
    ("doubt .2", Recomposition(doubt=0.2)),
    ("doubt .5", Recomposition(doubt=0.5)),
    ("no doubt", Recomposition(doubt=math.inf)),
)


def restored(session: OnnxSession, how: Recomposition, frame: RawFrame, profile: NoiseProfile) -> FloatArray:
    """The restored signal (H, W) with coarser scales used so."""
    session.manifest = replace(session.manifest, coarser_scales=len(how.sides))
    residual = restore(frame, profile, session, TILE, lambda _: None, CancelToken(), how)
    return apply(frame, residual, BlendOptions()).signal()


def table(model: str, cfa: str) -> str:
    """Markdown, a row for each choice."""
    session = OnnxSession(Registry(()).get(model), "cpu", 1)
    photos = scene_paths("train")
    chosen = photos[:: len(photos) // PHOTOGRAPHS][:PHOTOGRAPHS]
    shots = [take(read_scene(path), level, cfa) for path in chosen for level in LEVELS]
    rows: list[tuple[str, ...]] = []
    before: NDArray[np.float64] | None = None
    for name, how in CHOICES:
        run = partial(restored, session, how)
        figures = np.array([psnr(finished(shot, run(shot.frame, shot.known)), shot.truth) for shot in shots])
        before = figures if before is None else before
        at_16, against_white, falls = remains(cfa, lambda flat, run=run: run(flat.frame, flat.profile))
        gain = figures - before
        blotches = f"{100 * at_16:.2f}", f"{against_white:.2f}", f"{falls:.2f}"
        rows.append((name, *blotches, f"{gain.mean():+.4f}", f"{gain.min():+.3f}"))
    head = (f"{model}, {cfa}", "16 x 16, % of σ", "x white noise", "from its own 16 x 16", "raw PSNR, dB", "worst, dB")
    return report.table(head, rows)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--cfa", default="RGGB,XTRANS")
    given = parser.parse_args()
    for cfa in given.cfa.split(","):
        print(table(given.model, cfa), flush=True)


if __name__ == "__main__":
    main()
