"""Real files: how much noise goes and what stays, judged by a longer exposure of the same scene, and by the residual.

`python -m benchmarks.real_frames` prints the section. The files are in the data folder's raw/.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from skimage.registration import phase_cross_correlation

from benchmarks import report
from benchmarks.camera_noise import sessions
from benchmarks.scenes import data_folder
from plugin_core.config import Limits
from plugin_core.engine.cancel import CancelToken
from plugin_core.engine.session import Session
from plugin_core.frame import NoiseProfile, RawFrame
from plugin_core.io.worker import DecodeWorker
from plugin_core.noise.from_file import choose
from plugin_core.noise.profile import variance
from plugin_core.ops.blend import BlendOptions, apply
from plugin_core.ops.denoise import restore
from simulation.cameras import FloatArray

SHORT, LONG = ("bracket_d5000/church_left_ev-2_1-640s.dng", "bracket_d5000/church_left_ev+2_1-40s.dng")
SINGLE = "canon_eos30d_iso640_IMG_5952.CR2"
TILE = 1536
REGISTERED = 128  # cells of 2x2 photosites along the side of a block that is registered on its own
BLOCK = 8  # cells along the side of a block that is judged
UNCLIPPED = 0.85  # of white, in the long frame
LEVELS = (0.01, 0.06)  # of white, in the short frame: above the clipped black, below where the long one clips
STILL = 0.04  # relative difference of a block's means, beyond its noise, from which on something moved
FLAT_SIGMAS = 0.4  # a block whose reference varies less is flat, in sigmas of the short frame; its own noise is .25
EDGE_SIGMAS = 3.0  # an edge: the reference's step across two cells, in sigmas of the short frame
NOISE_DB, CONTRAST, WHITENESS, STRUCTURE = 10.0, 0.03, 0.05, 0.1  # the bars
LAGS = 4  # photosites


@dataclass(frozen=True)
class Pair:
    """The short frame and its reference: (4, h, w) planes of each CFA position, signal units of the short frame.

    good (h, w): cells where nothing is clipped and nothing moved. sigma (4, h, w): the short frame's noise.
    """

    short: FloatArray
    reference: FloatArray
    sigma: FloatArray
    good: NDArray[np.bool_]
    ratio: float
    moved: tuple[float, float]


def planes(signal: FloatArray) -> FloatArray:
    """(H, W) to (4, H/2, W/2), by position in the 2x2 cell."""
    return np.stack([signal[r::2, c::2] for r in range(2) for c in range(2)])


def by_block(values: NDArray[np.generic], side: int = BLOCK) -> NDArray[np.generic]:
    """(..., h, w) to (..., rows, columns, side * side); what fills no block is left out."""
    *lead, height, width = values.shape
    rows, columns = height // side, width // side
    cut = values[..., : rows * side, : columns * side].reshape(*lead, rows, side, columns, side)
    return np.moveaxis(cut, -3, -2).reshape(*lead, rows, columns, side * side)


def displacement(short: FloatArray, long: FloatArray) -> NDArray[np.float64]:
    """Rows and columns (2, h, w) by which to read `long` (h, w) to lay it on `short`: affine, by least squares."""
    height, width = short.shape
    places, shifts, weights = [], [], []
    for top in range(0, height - REGISTERED + 1, REGISTERED):
        for left in range(0, width - REGISTERED + 1, REGISTERED):
            area = slice(top, top + REGISTERED), slice(left, left + REGISTERED)
            one, other = (np.sqrt(np.clip(part[area], 0, None)) for part in (short, long))
            if other.mean() > UNCLIPPED**0.5 or other.std() < 0.02:
                continue
            window = np.hanning(REGISTERED)[:, None] * np.hanning(REGISTERED)[None, :]
            normal = [(part - part.mean()) / (part.std() + 1e-6) * window for part in (one, other)]
            shift, _, _ = phase_cross_correlation(*normal, upsample_factor=20, normalization=None)
            places.append((1.0, top + REGISTERED / 2, left + REGISTERED / 2))
            shifts.append(-shift)
            weights.append(1.0)
    design, target, weight = np.array(places), np.array(shifts), np.array(weights)
    for _ in range(10):  # blocks in which things moved lose their weight
        found = np.linalg.lstsq(design * weight[:, None], target * weight[:, None], rcond=None)[0]
        off = np.linalg.norm(target - design @ found, axis=1)
        weight = 1.0 / (1.0 + (off / 0.3) ** 2)
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([found[0, k] + found[1, k] * y + found[2, k] * x for k in range(2)])


def registered(short: RawFrame, long: RawFrame, profile: NoiseProfile) -> Pair:
    """The long frame brought onto the short one and to its brightness."""
    first, second = planes(short.signal()), planes(long.signal())
    at_green = [index for index in range(4) if np.ravel(short.cfa.colors)[index] == 1]
    moved = displacement(first[at_green].mean(0) * 16, np.minimum(second[at_green].mean(0), 1))
    grid = np.mgrid[0 : first.shape[1], 0 : first.shape[2]] + moved
    warped = np.stack([map_coordinates(plane, grid, order=3, mode="nearest") for plane in second])
    clipped = map_coordinates((second.max(0) > UNCLIPPED).astype(np.float32), grid, order=1, mode="nearest") > 0
    level = (first.max(0) < 2 * LEVELS[1]) & ~clipped
    use = by_block(level).all(-1)
    means, brighter = by_block(first).mean(-1)[:, use], by_block(warped).mean(-1)[:, use]
    fit = (means > LEVELS[0]) & (means < LEVELS[1])
    ratio = float(np.median(means[fit] / brighter[fit]))
    reference = (warped * ratio).astype(np.float32)
    sigma = np.sqrt(
        planes(variance(np.maximum(short.signal(), 0), profile, short.cfa.color_map(*short.signal().shape)))
    )
    theirs = by_block(reference).mean(-1)
    off = np.abs(by_block(first).mean(-1) - theirs)
    noise = 4 * by_block(sigma).mean(-1) / BLOCK
    still = (off < STILL * theirs + noise).all(0) & use & (theirs > LEVELS[0]).all(0) & (theirs < LEVELS[1]).all(0)
    good = np.zeros(first.shape[1:], dtype=bool)
    inner = np.kron(still, np.ones((BLOCK, BLOCK), dtype=bool))
    good[: inner.shape[0], : inner.shape[1]] = inner
    middle = moved[:, moved.shape[1] // 2, moved.shape[2] // 2] * 2
    return Pair(first, reference, sigma, good, 1 / ratio, (float(middle[0]), float(middle[1])))


def detrended(blocks: FloatArray) -> FloatArray:
    """Blocks (..., side * side) without their mean and slope."""
    y, x = (axis.ravel() - (BLOCK - 1) / 2 for axis in np.mgrid[0:BLOCK, 0:BLOCK])
    scale = float((y**2).sum())
    rest = blocks - blocks.mean(-1, keepdims=True)
    return rest - (rest @ y)[..., None] / scale * y - (rest @ x)[..., None] / scale * x


def judged(pair: Pair, restored: FloatArray) -> tuple[float, int, float, int]:
    """Noise taken out of flat blocks in dB and their number; edge contrast kept and the number of edges."""
    after = planes(restored)
    good = by_block(pair.good).all(-1)
    spread = detrended(by_block(pair.reference)).std(-1)
    flat = (spread < FLAT_SIGMAS * by_block(pair.sigma).mean(-1)).all(0) & good
    power = [float(np.mean(detrended(by_block(one)[:, flat]) ** 2)) for one in (pair.short, after)]
    slopes = [[0.0, 0.0], [0.0, 0.0]]
    count = 0
    for axis in (1, 2):
        step, before, now = (steps(one, axis) for one in (pair.reference, pair.short, after))
        here = steps(pair.good[None].astype(np.float32), axis, both=True) > 1
        edge = (np.abs(step) > EDGE_SIGMAS * np.sqrt(2) * steps(pair.sigma, axis, both=True) / 2) & here
        count += int(edge.sum())
        for index, one in enumerate((before, now)):
            slopes[index][0] += float((step[edge] * one[edge]).sum(dtype=np.float64))
            slopes[index][1] += float((step[edge] ** 2).sum(dtype=np.float64))
    contrast = [part[0] / part[1] for part in slopes]
    return 10 * float(np.log10(power[0] / power[1])), int(flat.sum()), contrast[1] / contrast[0], count


def steps(values: FloatArray, axis: int, both: bool = False) -> FloatArray:
    """The difference (or sum) of the cells on either side, along rows (1) or columns (2), (4, h, w - 2)."""
    before, after = (np.take(values, range(k, values.shape[axis] - 2 + k), axis) for k in (0, 2))
    return before + after if both else after - before


def whiteness(frame: RawFrame, residual: FloatArray, profile: NoiseProfile) -> tuple[float, float, float]:
    """Of residual / sigma: largest autocorrelation off the origin; how it, and its size, go with the gradient."""
    signal = frame.signal()
    span = frame.white_map() - frame.black_map()
    clean = signal - residual / span
    deviation = np.sqrt(variance(clean, profile, frame.cfa.color_map(*clean.shape)))
    normal = residual / span / deviation
    ok = signal < 0.98
    ok[:LAGS], ok[-LAGS:], ok[:, :LAGS], ok[:, -LAGS:] = False, False, False, False
    mean, power = float(normal[ok].mean()), float(normal[ok].var())
    zero = np.where(ok, normal - mean, 0).astype(np.float32)
    worst = 0.0
    for row in range(LAGS + 1):
        for column in range(-LAGS, LAGS + 1):
            if (row, column) > (0, 0):
                both = ok & np.roll(ok, (row, column), (0, 1))
                product = float((zero * np.roll(zero, (row, column), (0, 1))).sum(dtype=np.float64))
                worst = max(worst, product / both.sum() / power, -product / both.sum() / power)
    root = np.sqrt(np.maximum(clean, 0))
    gradient = np.hypot(np.roll(root, 2, 0) - np.roll(root, -2, 0), np.roll(root, 2, 1) - np.roll(root, -2, 1))
    found = [float(np.corrcoef(one[ok], gradient[ok])[0, 1]) for one in (zero, np.abs(zero))]
    return worst, found[0], found[1]


def read(worker: DecodeWorker, name: str) -> RawFrame:
    """A file of the data folder. Raises FileNotFoundError where it is not there."""
    path: Path = data_folder() / "raw" / name
    if not path.exists():
        raise FileNotFoundError(f"{path}: real frames are judged on this file")
    image = worker.read(path).image
    assert isinstance(image, RawFrame)
    return replace(image, mosaic=image.mosaic.copy())


def restored(frame: RawFrame, session: Session, profile: NoiseProfile) -> tuple[FloatArray, FloatArray]:
    """The residual in raw units and the restored signal."""
    residual = restore(frame, profile, session, TILE, lambda _: None, CancelToken())
    return residual.astype(np.float32), apply(frame, residual, BlendOptions()).signal()


def bracket(models: dict[str, Session], worker: DecodeWorker) -> Iterator[report.Bar]:
    """The short frame against the long one."""
    short, long = read(worker, SHORT), read(worker, LONG)
    profile = choose(short, None)
    pair = registered(short, long, profile)
    share = 100 * float(pair.good.mean())
    about = f"ratio {pair.ratio:.2f}, moved {pair.moved[0]:+.1f}, {pair.moved[1]:+.1f}, {share:.0f} % of it comparable"
    yield report.Bar("the long frame lies on the short one", about, None if not pair.good.any() else True)
    for name, session in models.items():
        gain, blocks, contrast, edges = judged(pair, restored(short, session, profile)[1])
        text = f"bracket, {name}: noise in flat areas of the short frame down by ≥ {NOISE_DB:g} dB"
        yield report.Bar(text, f"{gain:.1f} dB, {blocks} blocks", gain >= NOISE_DB)
        text = f"bracket, {name}: edge contrast within {100 * CONTRAST:g} %"
        yield report.Bar(text, f"{100 * (contrast - 1):+.1f} %, {edges} edges", abs(contrast - 1) <= CONTRAST)


def with_white_noise(frame: RawFrame, clean: FloatArray, profile: NoiseProfile) -> RawFrame:
    """The frame with white noise of the profile on a clean signal in place of what it holds."""
    deviation = np.sqrt(variance(clean, profile, frame.cfa.color_map(*clean.shape)))
    noisy = clean + deviation * np.random.default_rng(0).standard_normal(clean.shape)
    raw = noisy * (frame.white_map() - frame.black_map()) + frame.black_map()
    mosaic = frame.mosaic.copy()
    mosaic[frame.active_area.slices] = np.clip(np.rint(raw), 0, max(frame.white_level)).astype(mosaic.dtype)
    return replace(frame, mosaic=mosaic)


def single(models: dict[str, Session], worker: DecodeWorker) -> Iterator[report.Bar]:
    """The CR2 by its residual."""
    frame = read(worker, SINGLE)
    profile = choose(frame, None)
    for name, session in models.items():
        residual, clean = restored(frame, session, profile)
        worst, signed, size = whiteness(frame, residual, profile)
        control = with_white_noise(frame, clean, profile)
        sure = whiteness(control, restored(control, session, profile)[0], profile)[0]
        text = f"CR2, {name}: residual / σ is white, autocorrelation within ± {WHITENESS:g} up to {LAGS} photosites"
        yield report.Bar(text, f"{worst:.3f}; control {sure:.3f}", worst <= WHITENESS)
        text = f"CR2, {name}: no picture in the residual, correlation with the gradient ≤ {STRUCTURE:g}"
        yield report.Bar(text, f"{signed:+.3f}; of its size {size:+.3f}", max(abs(signed), abs(size)) <= STRUCTURE)


def section() -> str:
    """The section's Markdown. Raises FileNotFoundError without the files."""
    models = dict(sessions())
    with DecodeWorker(Limits()) as worker:
        bars = [*bracket(models, worker), *single(models, worker)]
    names = ("numpy", "scipy", "scikit-image", "rawpy", "onnxruntime")
    return "\n".join([report.stamp("python -m benchmarks.run --only real-frames", names, NOTE), report.bar_table(bars)])


NOTE = (
    "Bracket: Nikon D5000, ISO 200, hand-held, 1/640 s (lossy NEF, black clipped at 0) judged by 1/40 s, which is laid "
    "on it by block-wise phase correlation, an affine displacement and cubic interpolation, and scaled by the measured "
    f"ratio. Compared where the long frame is below {UNCLIPPED:g} of white, the short one between {LEVELS[0]:g} and "
    f"{LEVELS[1]:g}, and the means of a block of {BLOCK} x {BLOCK} cells agree (nothing moved). Flat: the reference "
    f"varies by less than {FLAT_SIGMAS:g} σ of the short frame about a plane; noise is the power about it, so "
    f"texture counts as noise left. Edge: a step of more than {EDGE_SIGMAS:g} σ in the reference; contrast is the "
    "slope of a frame's steps on the reference's, restored over noisy, so that blur by the registration cancels. CR2: "
    "Canon EOS 30D, ISO 640; σ by the program's own measurement at the restored level; gradient of the root of the "
    "restored signal. A denoiser that averages neighbours leaves a residual with negative correlation between them, "
    "the more the less it averages; the control is the same measure where white noise of that σ was put on the "
    "restored picture and restored again, so it says what this picture leaves of noise that surely is white.\n"
)

if __name__ == "__main__":
    print(section())
