"""Where a model fails, as pictures for its card: `python -m benchmarks.failures standard`.

Writes training/cards/denoise-<model>.jpg, which `python -m training.export` puts into the package. Pieces are chosen by
rule among the held-out photographs, see CONDITIONS and DEFECTS_SHOWN; nothing is picked by taste.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks import camera_noise, p1_run, report
from benchmarks.gallery import Crop, sheet
from benchmarks.metrics import psnr, squares
from benchmarks.p1_run import Job
from benchmarks.scenes import LEVELS, PATTERNS, finished, read_scene, scene_paths, take
from simulation.cameras import FloatArray
from simulation.isp import render

SIDE = 144
COLUMNS = ("noisy", "ours", "truth")
Rule = Literal["largest error left", "least gain"]


@dataclass(frozen=True)
class Condition:
    """Table P1's level and CFA, noise known, and the rule by which its piece is chosen."""

    level: str
    cfa: str
    rule: Rule


CONDITIONS = (
    Condition("E x300", "RGGB", "largest error left"),
    Condition("E x300", "XTRANS", "largest error left"),
    Condition("E x100", "XTRANS", "least gain"),
    Condition("U .001", "RGGB", "least gain"),
)
DEFECTS_SHOWN = ("row and column banding", "hot and dead, unknown", "lossy staircase (NEF)")  # blind, least gain


def badness(noisy: FloatArray, ours: FloatArray, truth: FloatArray, rule: Rule) -> NDArray[np.float64]:
    """How well each piece fits the rule; the largest is shown."""
    left, before = (squares((mosaic - truth).astype(np.float64) ** 2, SIDE) for mosaic in (ours, noisy))
    return left if rule == "largest error left" else left / before


@dataclass(frozen=True)
class Candidate:
    """The worst piece of one photograph."""

    score: float
    crop: Crop


def candidate(label: str, mosaics: dict[str, FloatArray], pictures: dict[str, FloatArray], rule: Rule) -> Candidate:
    """The piece of a photograph that fits the rule best. mosaics, pictures: by COLUMNS."""
    scores = badness(mosaics["noisy"], mosaics["ours"], mosaics["truth"], rule)
    index = int(scores.argmax())
    top, left = index // scores.shape[1] * SIDE, index % scores.shape[1] * SIDE
    here = slice(top, top + SIDE), slice(left, left + SIDE)
    figures = {name: psnr(mosaics[name][here], mosaics["truth"][here]) for name in COLUMNS[:-1]}
    return Candidate(
        float(scores.flat[index]), Crop(label, {name: picture[here] for name, picture in pictures.items()}, figures)
    )


def of_levels(model: str) -> Iterator[Crop]:
    """One crop per condition."""
    version = p1_run.method_version(model)
    levels = {level.name: level for level in LEVELS}
    scenes = [read_scene(path) for path in scene_paths()]
    for condition in CONDITIONS:
        found = []
        for scene in scenes:
            shot = take(scene, levels[condition.level], condition.cfa)
            job = Job(model, version, scene.name, condition.level, condition.cfa, False)
            mosaics = {
                "noisy": finished(shot, shot.frame.signal()),
                "ours": finished(shot, p1_run.restore(job, shot)),
                "truth": shot.truth,
            }
            pattern = PATTERNS[condition.cfa]
            pictures = {name: render(mosaic, pattern, scene.colour) for name, mosaic in mosaics.items()}
            label = f"{condition.level}, {condition.cfa}: {condition.rule}"
            found.append(candidate(label, mosaics, pictures, condition.rule))
        yield max(found, key=lambda one: one.score).crop


def of_defects(model: str) -> Iterator[Crop]:
    """One crop per sensor defect, the noise read from the file."""
    session = dict(camera_noise.sessions())[model]
    scenes = [read_scene(path, camera_noise.SIDE) for path in scene_paths()[: camera_noise.PHOTOGRAPHS]]
    for defect in (one for one in camera_noise.DEFECTS if one.name in DEFECTS_SHOWN):
        found = []
        for scene in scenes:
            file = camera_noise.shoot(scene, defect)
            ours = camera_noise.restored(file, session, blind=True)
            mosaics = {"noisy": file.frame.signal(), "ours": ours, "truth": file.truth}
            pattern = PATTERNS[camera_noise.CFA]
            pictures = {name: render(mosaic, pattern, scene.colour) for name, mosaic in mosaics.items()}
            found.append(candidate(f"{defect.name}: least gain", mosaics, pictures, "least gain"))
        yield max(found, key=lambda one: one.score).crop


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=p1_run.shipped_models())
    for model in parser.parse_args().models:
        crops = [*of_levels(model), *of_defects(model)]
        target = report.ROOT / "training" / "cards" / f"denoise-{model}.jpg"
        sheet(crops, COLUMNS, SIDE).save(target, quality=80, optimize=True)
        print(target)


if __name__ == "__main__":
    main()
