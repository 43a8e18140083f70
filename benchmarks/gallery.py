"""Crops at 100 %: noisy, BM3D, PMRID, ours, truth, side by side; where ours gains most and least, by rule.

Writes docs/crops.jpg. Scenes: a page of text, foliage and fabric made by simulation/scene.py, and the two photographs
of the held-out set on which the default model's gain over PMRID at `LEVEL` is largest and smallest. Of each scene the
two pieces of SIDE x SIDE where the squared error falls most and least against PMRID's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from benchmarks import baselines, p1_run, report
from benchmarks.metrics import psnr, squares
from benchmarks.p1_rows import collect
from benchmarks.p1_run import Job
from benchmarks.scenes import (
    LEVELS,
    PATTERNS,
    Scene,
    Shot,
    data_folder,
    finished,
    read_scene,
    scene_paths,
    seed_of,
    take,
)
from simulation import scene as made
from simulation.cameras import FloatArray
from simulation.isp import render
from simulation.unprocess import camera_rgb, cfa_colours, random_colour, srgb_to_linear

TARGET = report.ROOT / "docs" / "crops.jpg"
LEVEL = next(level for level in LEVELS if level.name == "E x100")
SIDE = 160
SCENE_SIDE = 480
COLUMNS = ("noisy", "BM3D", "PMRID", "ours", "truth")


@dataclass(frozen=True)
class Crop:
    """One row of the sheet: pictures by column, (SIDE, SIDE, 3) float32 sRGB; raw PSNR in dB of each but truth."""

    label: str
    pictures: dict[str, FloatArray]
    figures: dict[str, float]


def made_scene(kind: str) -> Scene:
    """A page of text, foliage or fabric as a scene in camera RGB."""
    rng = np.random.default_rng(seed_of("gallery", kind))
    picture = {"text": made.page, "foliage": made.foliage, "fabric": made.fabric}[kind](rng, SCENE_SIDE, SCENE_SIDE)
    colour = random_colour(rng)
    return Scene(kind, camera_rgb(srgb_to_linear(picture), colour), colour)


def extreme_photographs(model: str) -> list[tuple[str, str]]:
    """(which, name) of the held-out photographs with the largest and the smallest gain over PMRID at LEVEL."""
    photos = scene_paths()
    rows = collect(p1_run.wanted_jobs((model, "PMRID"), photos, {LEVEL.name}, ("RGGB",), blind=(False,)))
    results = {row.method: row.results.get(LEVEL.name, {}) for row in rows}
    if not results.get(model) or not results.get("PMRID"):
        raise FileNotFoundError("table P1 has to be measured first: python -m benchmarks.run --only p1")
    gains = {photo: one.raw - results["PMRID"][photo].raw for photo, one in results[model].items()}
    ordered = sorted(gains, key=lambda photo: gains[photo])
    return [("largest gain", ordered[-1]), ("smallest gain", ordered[0])]


def answers(shot: Shot, model: str) -> dict[str, FloatArray]:
    """Each column's mosaic, correctly exposed, (H, W) float32 in [0, 1]."""
    signal = shot.frame.signal()
    colours = cfa_colours(PATTERNS["RGGB"], *signal.shape)
    found = {
        name: finished(shot, baselines.restore(name, signal, colours, shot.known, data_folder()))
        for name in ("noisy", "BM3D", "PMRID")
    }
    job = Job(model, p1_run.method_version(model), shot.scene.name, LEVEL.name, "RGGB", False)
    return found | {"ours": finished(shot, p1_run.restore(job, shot)), "truth": shot.truth}


def crops(scene: Scene, label: str, model: str) -> list[Crop]:
    """The pieces of a scene where ours gains most and least against PMRID."""
    shot = take(scene, LEVEL, "RGGB")
    mosaics = answers(shot, model)
    gain = (mosaics["PMRID"] - shot.truth) ** 2 - (mosaics["ours"] - shot.truth) ** 2
    pieces = squares(gain, SIDE)
    pictures = {name: render(mosaic, PATTERNS["RGGB"], scene.colour) for name, mosaic in mosaics.items()}
    found = []
    for word, index in (("most", int(pieces.argmax())), ("least", int(pieces.argmin()))):
        top, left = index // pieces.shape[1] * SIDE, index % pieces.shape[1] * SIDE
        here = slice(top, top + SIDE), slice(left, left + SIDE)
        figures = {name: psnr(mosaics[name][here], shot.truth[here]) for name in COLUMNS[:-1]}
        found.append(Crop(f"{label}, {word}", {name: picture[here] for name, picture in pictures.items()}, figures))
    return found


def sheet(found: list[Crop], columns: tuple[str, ...] = COLUMNS, side: int = SIDE) -> Image.Image:
    """All crops under one another, columns named, each with its raw PSNR; a label stands over its row."""
    font, line, gap = ImageFont.load_default(13), 18, 4
    width, height = len(columns) * (side + gap) - gap, len(found) * (side + 2 * line + gap)
    picture = Image.new("RGB", (width, height), (255, 255, 255))
    draw = ImageDraw.Draw(picture)
    for row, crop in enumerate(found):
        y = row * (side + 2 * line + gap) + line
        draw.text((0, y - line + 1), crop.label, fill=(0, 0, 0), font=font)
        for column, name in enumerate(columns):
            x = column * (side + gap)
            figure = f" {crop.figures[name]:.1f} dB" if name in crop.figures else ""
            draw.text((x, y + 1), name + figure, fill=(0, 0, 0), font=font)
            pixels = np.round(np.clip(crop.pictures[name], 0, 1) * 255).astype(np.uint8)
            picture.paste(Image.fromarray(pixels), (x, y + line))
    return picture


def section() -> str:
    """The section's Markdown. Raises FileNotFoundError without the photographs or before table P1 was measured."""
    model = p1_run.shipped_models()[0]
    paths = {path.stem: path for path in scene_paths()}
    scenes = [(kind, made_scene(kind)) for kind in ("text", "foliage", "fabric")]
    scenes += [(word, read_scene(paths[name])) for word, name in extreme_photographs(model)]
    found = [crop for label, scene in scenes for crop in crops(scene, label, model)]
    sheet(found).save(TARGET, quality=90)
    rows = [(crop.label, *(f"{crop.figures[name]:.2f}" for name in COLUMNS[:-1])) for crop in found]
    packages = ("numpy", "bm3d", "torch", "onnxruntime")
    stamp = report.stamp("python -m benchmarks.run --only gallery", packages, NOTE.format(model, LEVEL.name, SIDE))
    return "\n".join([stamp, f"![crops]({TARGET.name})\n", report.table(("Raw PSNR, dB", *COLUMNS[:-1]), rows)])


NOTE = (
    "Model {}, noise {}, RGGB, noise known to all, the fixed ISP. Pieces of {} photosites at 100 %, chosen by rule: of "
    "a page of text, of foliage, of fabric, and of the two held-out photographs with the largest and the smallest "
    "gain, the piece where the squared error falls most and the one where it falls least (or rises) against PMRID's.\n"
)

if __name__ == "__main__":
    print(section())
