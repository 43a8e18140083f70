"""How well noise parameters are measured from a file alone: `python -m benchmarks.noise_estimate`.

Truth is known on simulated frames; on real files the reference is a hand-made measurement.
"""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks import report
from benchmarks.scenes import (
    BLACK,
    LEVELS,
    PATTERNS,
    Scene,
    data_folder,
    frame_of,
    read_scene,
    scene_paths,
    seed_of,
)
from plugin_core.frame import BAYER_PATTERNS, NoiseProfile, RawFrame, Rect
from plugin_core.noise.estimate import measure
from simulation.cameras import FloatArray, xyz_to_camera
from simulation.scene import make_scene
from simulation.sensor import DN_RANGE, NoiseDraw, add_noise, log_uniform
from simulation.unprocess import SceneColour, camera_rgb, cfa_colours, mosaic

MID_GREY, SHADOW = 0.18, 0.005  # of the correctly exposed scene
LIMIT = 0.10  # the bar: median error of sigma
FAILURE = 0.25  # a single file beyond this hurts
REAL_LIMIT = 0.15  # the bar on real files: the slope a
CFAS = ("RGGB", "XTRANS")
ISOS = (100, 400, 1600, 6400, 25600, 102400)
BITS, BITS_ISO = (12, 10, 8), 6400  # files of fewer bits, stretched to 14 as some cameras and converters do
SLOPE_PER_ISO = 2.5e-7  # a at ISO 100 is 2.5e-5, at ISO 102400 2.6e-2: a small-pixel camera
HEAVY_TAILS = -0.1  # Tukey lambda of every fourth frame's read noise
BANDS = ((0.0, 0.25), (0.25, 0.5), (0.5, 0.8), (0.8, 1.01))


@dataclass(frozen=True)
class Case:
    """One simulated file with its truth in the file's own units, and the row that it counts for."""

    row: str
    cfa: str
    draw: NoiseDraw
    ratio: float  # how many times too short it was exposed; the levels that count are that much darker


@dataclass(frozen=True)
class Result:
    """What was found: ln(sigma found / true), the mean over the planes, at mid-grey and in the shadows."""

    case: Case
    grey: float
    shadow: float
    confidence: float

    @property
    def worst(self) -> float:
        """The larger of the two errors, absolute."""
        return max(abs(self.grey), abs(self.shadow))


def iso_draw(iso: int, seed: int) -> NoiseDraw:
    """A camera at this ISO: read noise between .02 and 60 squared electrons, every fourth with heavy tails, 14 bits."""
    rng = np.random.default_rng(seed)
    a = SLOPE_PER_ISO * iso
    read = a * log_uniform(rng, 0.02, 60.0) ** 0.5
    return NoiseDraw(a, read, HEAVY_TAILS if seed % 4 == 0 else None, step=1 / DN_RANGE)


def made_scene(seed: int) -> Scene:
    """One of the simulated scenes, in camera RGB."""
    colour = SceneColour(xyz_to_camera("Sony ILCE-7M3"), (2.1, 1.0, 1.6))
    return Scene(f"made-{seed}", camera_rgb(make_scene(seed, 768, 1152), colour), colour)


def scenes() -> list[Callable[[], Scene]]:
    """The val photographs where they are, and four simulated scenes."""

    def reader(path: Path) -> Callable[[], Scene]:
        return lambda: read_scene(path)

    def maker(seed: int) -> Callable[[], Scene]:
        return lambda: made_scene(seed)

    try:
        photographs = [reader(path) for path in scene_paths()]
    except FileNotFoundError:
        photographs = []
    return photographs + [maker(seed) for seed in range(1, 5)]


def cases(scene: Scene) -> Iterator[Case]:
    """The protocol's seven levels, the ISO ladder and files of fewer bits, for each CFA."""
    for cfa in CFAS:
        for level in LEVELS:
            yield Case(level.name, cfa, level.draw, level.ratio)
        for iso in ISOS:
            yield Case(f"ISO {iso}", cfa, iso_draw(iso, seed_of(scene.name, str(iso), cfa)), 1.0)
        for bits in BITS:
            draw = iso_draw(BITS_ISO, seed_of(scene.name, "bits", cfa))
            yield Case(f"ISO {BITS_ISO}, {bits} bit", cfa, replace(draw, step=1 / (2**bits - 1)), 1.0)


def shoot(scene: Scene, case: Case) -> RawFrame:
    """The file: the scene through the sensor, rounded, clipped at 0 and white."""
    clean = mosaic(scene.rgb, cfa_colours(PATTERNS[case.cfa], *scene.rgb.shape[:2])) / np.float32(case.ratio)
    rng = np.random.default_rng(seed_of(scene.name, case.row, case.cfa))
    noisy = add_noise(rng, np.asarray(clean, dtype=np.float32), case.draw)
    return frame_of(BLACK + DN_RANGE * noisy, case.cfa, scene.colour)


def error(found: NoiseProfile, draw: NoiseDraw, level: float) -> float:
    """ln(sigma found / true sigma) at a signal level, the mean over the planes."""
    sigma = np.sqrt(np.array(found.a) * level + np.array(found.b))
    return float(np.mean(np.log(sigma / np.sqrt(draw.a * level + draw.b))))


def run() -> list[Result]:
    """Every scene at every level; a frame of which nothing is measured counts as a factor of e wrong."""
    results = []
    for make in scenes():
        scene = make()
        for case in cases(scene):
            found = measure(shoot(scene, case))
            if found is None:
                results.append(Result(case, 1.0, 1.0, 0.0))
                continue
            grey, shadow = (error(found, case.draw, level / case.ratio) for level in (MID_GREY, SHADOW))
            results.append(Result(case, grey, shadow, found.confidence))
    return results


def median_interval(errors: list[float], draws: int = 2000) -> tuple[float, float, float]:
    """The median of absolute errors with its 95 % bootstrap interval over frames."""
    values = np.abs(np.array(errors))
    rng = np.random.default_rng(1)
    medians = np.median(values[rng.integers(0, len(values), (draws, len(values)))], axis=1)
    low, high = np.quantile(medians, (0.025, 0.975))
    return float(np.median(values)), float(low), float(high)


def percent(errors: list[float]) -> str:
    """`3.1 [2.2, 4.0]`, in per cent."""
    return "{:.1f} [{:.1f}, {:.1f}]".format(*(100 * v for v in median_interval(errors)))


def synthetic(results: list[Result]) -> tuple[str, list[report.Bar]]:
    """The table of simulated frames, the table of confidences, and the bars."""
    names = [level.name for level in LEVELS] + [f"ISO {iso}" for iso in ISOS]
    names += [f"ISO {BITS_ISO}, {bits} bit" for bits in BITS]
    rows = []
    bars = []
    for cfa in CFAS:
        worst = 0.0
        for name in names:
            mine = [r for r in results if (r.case.cfa, r.case.row) == (cfa, name)]
            grey, shadow = [r.grey for r in mine], [r.shadow for r in mine]
            failed = sum(r.worst > np.log1p(FAILURE) for r in mine)
            bias = 100 * float(np.median(grey)), 100 * float(np.median(shadow))
            rows.append((f"{name}, {cfa}", str(len(mine)), percent(grey), percent(shadow),
                         f"{bias[0]:+.1f} / {bias[1]:+.1f}", str(failed)))  # fmt: skip
            worst = max(worst, *(median_interval(errors)[0] for errors in (grey, shadow)))
        text = f"median error of sigma ≤ {100 * LIMIT:.0f} % at every level, mid-grey and shadows, {cfa}"
        bars.append(report.Bar(text, f"worst level {100 * worst:.1f} %", worst <= LIMIT))
    head = ("Noise, CFA", "n", "mid-grey, %", "shadows, %", "median bias, %", f"files off by > {100 * FAILURE:.0f} %")
    bands = []
    for low, high in BANDS:
        mine = [r for r in results if low <= r.confidence < high]
        if mine:
            worst_errors = [r.worst for r in mine]
            bands.append((f"{low:.2f} to {min(high, 1.0):.2f}", str(len(mine)), percent(worst_errors),
                          f"{100 * float(np.quantile(worst_errors, 0.9)):.0f}"))  # fmt: skip
    confidence = report.table(("Confidence reported", "n", "worse of both errors, %", "90th percentile, %"), bands)
    return report.table(head, rows) + "\n" + confidence, bars


def real_frames(folder: Path) -> Iterator[tuple[str, RawFrame]]:
    """The measured files, named as in measured_on_these_raws.csv."""
    from plugin_core.config import Limits
    from plugin_core.io.worker import DecodeWorker

    with DecodeWorker(Limits()) as worker:
        for name, path in (
            ("bracket 1/160s", "bracket_d5000/church_left_ev0_1-160s.dng"),
            ("IMG_5952.CR2", "canon_eos30d_iso640_IMG_5952.CR2"),
        ):
            image = worker.read(folder / path).image
            assert isinstance(image, RawFrame)
            yield name, replace(image, mosaic=image.mosaic.copy())  # the worker's memory goes with it
    name = "colorchecker_rggb_1424x968_10bit"
    levels = json.loads((folder / f"{name}.json").read_text())
    raw: FloatArray = np.asarray(Image.open(folder / f"{name}.png"))
    area = Rect(0, 0, *raw.shape)
    black, white = float(levels["black"]), float(levels["white"])
    yield name, RawFrame(raw.astype(np.uint16), BAYER_PATTERNS["RGGB"], ((black,),), (white,) * 3, area, area)


def real() -> tuple[str, list[report.Bar]]:
    """The table of real files and its bar; nothing measured where the files are not there."""
    text = f"slope a within {100 * REAL_LIMIT:.0f} % of the hand-made measurement on the real files"
    folder = data_folder()
    try:
        with open(folder / "noise" / "measured_on_these_raws.csv", newline="") as stream:
            reference = list(csv.DictReader(stream))
        frames = list(real_frames(folder / "raw"))
    except FileNotFoundError:
        return "", [report.Bar(text, "files are not there", None)]
    rows = []
    off = []
    for name, frame in frames:
        found = measure(frame)
        for plane, letter in enumerate("RGB"):
            lines = [line for line in reference if line["frame"] == name and line["channel"] == letter]
            slope = float(np.mean([float(line["a_shot"]) for line in lines]))
            masked = lines[0]["masked_pixel_variance"]
            if found is None:
                off.append(1.0)
                continue
            middle = float(np.mean([float(line["mean_lo"]) + float(line["mean_hi"]) for line in lines])) / 2
            there = slope * middle + float(np.mean([float(line["b_read"]) for line in lines]))
            ratio, sigma = found.a[plane] / slope, ((found.a[plane] * middle + found.b[plane]) / there) ** 0.5
            off.append(abs(ratio - 1))
            rows.append((f"{lines[0]['camera']}, {name}, {letter}", f"{slope:.3g}", f"{found.a[plane]:.3g}",
                         f"{ratio:.2f}", f"{sigma:.2f}", f"{found.b[plane]:.2g}", masked or "–",
                         f"{found.confidence:.2f}"))  # fmt: skip
    head = ("File, plane", "a by hand", "a", "ratio", "ratio of sigma, middle", "b", "b, masked pixels", "confidence")
    return report.table(head, rows), [report.Bar(text, f"worst {100 * max(off):.0f} %", max(off) <= REAL_LIMIT)]


def speed() -> report.Bar:
    """Seconds for a 24 MP Bayer frame: processor time of its one thread, median of five; the clock beside it."""
    rng = np.random.default_rng(0)
    raw = (rng.poisson(300, (4000, 6000)) + BLACK).astype(np.uint16)
    area = Rect(0, 0, 4000, 6000)
    frame = RawFrame(raw, BAYER_PATTERNS["RGGB"], ((float(BLACK),),), (16383.0,) * 3, area, area)
    busy, wall = [], []
    for _ in range(5):
        began = time.process_time(), time.perf_counter()
        measure(frame)
        busy.append(time.process_time() - began[0])
        wall.append(time.perf_counter() - began[1])
    seconds = float(np.median(busy))
    found = f"{seconds:.2f} s of processor time, {float(np.median(wall)):.2f} s by the clock with what else ran"
    return report.Bar("24 MP Bayer measured in ≤ .6 s on one thread", found, seconds <= 0.6)


def section() -> str:
    """The section of docs/benchmarks.md."""
    simulated, bars = synthetic(run())
    files, real_bars = real()
    note = (
        "The error is |ln(sigma found / true sigma)|, the mean over the planes, at .18 and .005 of white of the"
        " correctly exposed scene. U and E are the protocol's models (E as dark integers, not amplified); ISO rows have"
        f" a = {SLOPE_PER_ISO:g} x ISO, read noise log-uniform over .02 .. 60 squared electrons, heavy tails in every"
        " fourth; files of fewer bits are stretched to 14. Scenes: the central 768 x 768 of each val photograph, which"
        " holds its own grain (about .5 of 255, as much as the noise of ISO 100), and four simulated scenes. Brackets:"
        " 95 % bootstrap interval over files. Of a real file without shadows slope and offset trade off; the ratio of"
        " sigma is taken in the middle of the levels that the hand-made measurement covers."
    )
    return "\n".join(
        part
        for part in (
            report.stamp("python -m benchmarks.run --only noise", ("numpy",), note),
            report.bar_table([*bars, *real_bars, speed()]),
            simulated,
            files,
        )
        if part
    )


if __name__ == "__main__":
    print(section())
