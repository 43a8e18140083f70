"""Noise as cameras make it, one defect at a time: the same photographs through a sensor that has it, before and after.

`python -m benchmarks.camera_noise` prints the section; docs/camera_noise.png shows one crop of each defect.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from benchmarks import report
from benchmarks.metrics import bootstrap, psnr
from benchmarks.scenes import BLACK, PATTERNS, Scene, frame_of, read_scene, scene_paths, seed_of
from plugin_core.engine.cancel import CancelToken
from plugin_core.engine.session import Session, open_session
from plugin_core.frame import NoiseProfile, NoiseSource, RawFrame
from plugin_core.models.registry import Registry
from plugin_core.noise.from_file import choose
from plugin_core.ops.blend import BlendOptions, apply
from plugin_core.ops.defects import NO_SITES, Photosites, repair
from plugin_core.ops.denoise import restore
from simulation.cameras import FloatArray
from simulation.isp import render
from simulation.sensor import DN_RANGE, NEF_STAIRCASE, STAIRCASE_WHITE, NoiseDraw, add_noise, unprocessing_noise
from simulation.unprocess import cfa_colours, mosaic

PHOTOGRAPHS = 12  # the first of the val list
SIDE = 512  # photosites of the central square
SHOWN = 2  # the one on the sheet
CFA = "RGGB"
SHEET = report.ROOT / "docs" / "camera_noise.png"
CROP, LABEL, GAP = 84, 96, 4  # pixels of the sheet
MIDDLE = replace(unprocessing_noise(0.004), poisson=True)  # a file of ISO 6400 or so
READ = 4 * MIDDLE.read_sigma  # where the read noise itself is the defect, it dominates the shadows
BLACK_ERROR = (0.3 * READ, -0.2 * READ, 0.1 * READ, -0.3 * READ)  # of the four phases


@dataclass(frozen=True)
class Defect:
    """One row: what is wrong, the draw that makes it, and what a calibration would know. black: of the file, DN."""

    name: str
    draw: NoiseDraw
    black: int = BLACK
    listed: bool = False  # hot and dead photosites are known, and interpolated first


DEFECTS = (
    Defect("none, to compare", MIDDLE),
    Defect("heavy-tailed read noise", replace(MIDDLE, read_sigma=READ, tukey_lambda=-0.2)),
    Defect("row and column banding", replace(MIDDLE, read_sigma=READ, row_sigma=0.5 * READ, column_sigma=0.25 * READ)),
    Defect("black-level error", replace(MIDDLE, read_sigma=READ, black_error=BLACK_ERROR)),
    Defect("hot and dead, unknown", replace(MIDDLE, hot_density=5e-4, dead_density=5e-4)),
    Defect("hot and dead, calibrated", replace(MIDDLE, hot_density=5e-4, dead_density=5e-4), listed=True),
    Defect("low bit depth (8 bit)", NoiseDraw(a=1e-3, read_sigma=1e-3, step=1 / 255)),
    Defect("black clipped at 0", replace(MIDDLE, read_sigma=READ, clip_black=True), black=0),
    Defect("lossy staircase (NEF)", NoiseDraw(a=1.2e-4, read_sigma=8e-4, staircase=NEF_STAIRCASE), black=0),
    Defect("in-camera smoothing", replace(MIDDLE, correlation=0.15)),
)  # fmt: skip


@dataclass(frozen=True)
class File:
    """A simulated file: what the program is given, the clean mosaic (H, W), the true noise, the known bad sites."""

    frame: RawFrame
    truth: FloatArray
    known: NoiseProfile
    sites: Photosites


def shoot(scene: Scene, defect: Defect) -> File:
    """The scene through the sensor that has the defect; the draw depends on photograph and defect only."""
    truth = np.asarray(mosaic(scene.rgb, cfa_colours(PATTERNS[CFA], *scene.rgb.shape[:2])), dtype=np.float32)
    seed = seed_of("camera noise", scene.name)
    noisy = add_noise(np.random.default_rng(seed), truth, defect.draw)
    sites = NO_SITES
    if defect.listed:  # the same draw without them: nothing else differs
        sound = replace(defect.draw, hot_density=0.0, dead_density=0.0)
        sites = np.argwhere(noisy != add_noise(np.random.default_rng(seed), truth, sound))
    frame = frame_of(BLACK + DN_RANGE * noisy, CFA, scene.colour)
    if defect.black != BLACK:
        lower = BLACK - defect.black
        frame = replace(
            frame,
            mosaic=np.maximum(frame.mosaic, lower) - np.uint16(lower),
            black_level=((float(defect.black),),),
            white_level=tuple(white - lower for white in frame.white_level),
        )
    stairs = defect.draw.staircase**2 / 12 / STAIRCASE_WHITE  # rounding to steps of k sqrt(DN): variance k^2 DN / 12
    known = NoiseProfile((defect.draw.a + stairs,) * 3, (defect.draw.b,) * 3, NoiseSource.USER)
    return File(frame, truth, known, sites)


def restored(file: File, session: Session, blind: bool) -> FloatArray:
    """The restored signal (H, W), by the public ops; blind: with the noise that the file itself shows."""
    frame = repair(file.frame, file.sites)
    profile = choose(frame, None) if blind else file.known
    residual = restore(frame, profile, session, SIDE, lambda _: None, CancelToken())
    return np.asarray(apply(frame, residual, BlendOptions()).signal(), dtype=np.float32)


def sessions() -> Iterator[tuple[str, Session]]:
    """Each shipped denoiser by its id."""
    for package in Registry(()).list():
        if package.manifest.op == "denoise":
            yield package.manifest.id, open_session(package)


def section() -> str:
    """The section's Markdown; also writes docs/camera_noise.png. Raises FileNotFoundError without the photographs."""
    paths = scene_paths()[:PHOTOGRAPHS]
    models = dict(sessions())
    columns = [(name, blind) for name in models for blind in (False, True)]
    figures: dict[tuple[str, str, bool], list[float]] = {}
    noisy: dict[str, list[float]] = {}
    strips = []
    for index, path in enumerate(paths):
        scene = read_scene(path, SIDE)
        for defect in DEFECTS:
            file = shoot(scene, defect)
            noisy.setdefault(defect.name, []).append(psnr(file.frame.signal(), file.truth))
            for name, blind in columns:
                found = restored(file, models[name], blind)
                figures.setdefault((defect.name, name, blind), []).append(psnr(found, file.truth))
                if index == SHOWN and blind and name == "standard":
                    strips.append((defect.name, strip(scene, file, found)))
    rows = [row(defect.name, noisy, figures, columns) for defect in DEFECTS]
    if strips:
        sheet(strips).save(SHEET, optimize=True)
    head = ("Defect", "noisy", *(f"**{name}**, {'blind' if blind else 'known'}" for name, blind in columns), "n")
    return "\n".join(
        [
            report.stamp("python -m benchmarks.run --only camera-noise", ("numpy", "onnxruntime"), NOTE),
            report.bar_table(bars(noisy, figures)),
            report.table(head, rows),
            f"![Each defect: noisy, restored by standard (blind), truth]({SHEET.name})\n",
            f"*{paths[SHOWN].stem}, {CROP} x {CROP} photosites each, by the fixed ISP.*\n",
        ]
    )


def row(
    name: str,
    noisy: dict[str, list[float]],
    figures: dict[tuple[str, str, bool], list[float]],
    columns: list[tuple[str, bool]],
) -> tuple[str, ...]:
    """Means with their intervals, in dB."""
    cells = [bootstrap(figures[name, model, blind]).text() for model, blind in columns]
    return (name, bootstrap(noisy[name]).text(), *cells, str(len(noisy[name])))


def bars(noisy: dict[str, list[float]], figures: dict[tuple[str, str, bool], list[float]]) -> list[report.Bar]:
    """Nothing is made worse, and a list of defects is worth having."""
    gains = {key: float(np.min(np.array(values) - np.array(noisy[key[0]]))) for key, values in figures.items()}
    least = min(gains, key=lambda key: gains[key])
    text = "no photograph gets worse by restoring it, whatever the defect"
    found = f"least gain {gains[least]:+.2f} dB ({least[0]}, {least[1]}, {'blind' if least[2] else 'known'})"
    worth = [
        float(np.mean(values)) - float(np.mean(figures["hot and dead, unknown", model, blind]))
        for (name, model, blind), values in figures.items()
        if name == "hot and dead, calibrated"
    ]
    return [
        report.Bar(text, found, gains[least] > 0),
        report.Bar("a list of hot and dead helps", f"{min(worth):+.2f} to {max(worth):+.2f} dB", min(worth) > 0),
    ]


def strip(scene: Scene, file: File, found: FloatArray) -> list[NDArray[np.uint8]]:
    """Noisy, restored and true crops in 8-bit sRGB."""
    top, left = ((side - CROP) // 2 // 2 * 2 for side in file.truth.shape)
    area = slice(top, top + CROP), slice(left, left + CROP)
    pictures = (render(one[area], PATTERNS[CFA], scene.colour) for one in (file.frame.signal(), found, file.truth))
    return [np.round(np.clip(picture, 0, 1) * 255).astype(np.uint8) for picture in pictures]


def sheet(strips: list[tuple[str, list[NDArray[np.uint8]]]]) -> Image.Image:
    """Two defects a row, each with its label, on a sheet of 256 colours to keep the file small."""
    width = LABEL + 3 * (CROP + GAP)
    rows = -(-len(strips) // 2)
    paper = Image.new("RGB", (2 * width, rows * (CROP + GAP)), (24, 24, 24))
    draw = ImageDraw.Draw(paper)
    for index, (name, pictures) in enumerate(strips):
        top, left = index // 2 * (CROP + GAP), index % 2 * width
        draw.multiline_text((left + 4, top + 4), wrapped(name), fill=(235, 235, 235), font=ImageFont.load_default(12))
        for place, picture in enumerate(pictures):
            paper.paste(Image.fromarray(picture), (left + LABEL + place * (CROP + GAP), top))
    return paper.quantize(256, dither=Image.Dither.NONE)


def wrapped(text: str) -> str:
    """One word or two short ones a line."""
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) > 13:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines)


NOTE = (
    f"The first {PHOTOGRAPHS} val photographs, central {SIDE} x {SIDE}, {CFA}, raw PSNR in dB with 95 % bootstrap "
    f"intervals over photographs. The common noise is a = {MIDDLE.a:g}, read σ {MIDDLE.read_sigma:.2g} of white, 14 "
    f"bits; where the read noise is the defect, read σ is {READ:.2g}: Tukey λ = -.2; banding of .5 (rows) and .25 "
    "(columns) read σ; black off by +.3, -.2, +.1, -.3 read σ in the four phases. Hot and dead: 5 of 10 000 photosites "
    "each. 8 bit: steps of 1/255, a = 1e-3. Black at 0: nothing survives below. Staircase: the value table of a lossy "
    "NEF, a = 1.2e-4 (a Nikon D5000 at ISO 800). Smoothing: each photosite takes .15 of its four neighbours' noise. "
    "known: the true a and b; blind: what the program finds in the file. A black-level error stays in the result: the "
    "file's black is not the denoiser's to change.\n"
)

if __name__ == "__main__":
    print(section())
