"""The tails of the noise estimate: thousands of simulated files.

`python -m benchmarks.noise_scan` prints the section; noise_estimate.py has the medians on the held-out photographs.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks import report
from benchmarks.camera_noise import SIDE, Defect, shoot
from benchmarks.scenes import central, data_folder, unprocessed
from plugin_core.noise.estimate import measure
from plugin_core.noise.from_file import TRUSTED
from simulation.sensor import DN_RANGE, NEF_STAIRCASE, NoiseDraw
from training.photographs import TO_LINEAR, continuous, in_fine_steps, noise_of, photograph_names

EVERY = 2  # of the training list's photographs
EXPOSURES = (1, 8, 64)  # times too short
QUANTILES = (0.1, 0.3, 0.5, 0.7, 0.9)  # of the picture's levels, at which sigma counts
LOW, HIGH = 0.7, 1.5  # times the true sigma: noise is left below, detail is lost above
ALLOWED = 0.01  # of the files that are trusted
DN = 1 / DN_RANGE
SENSORS = (
    Defect("14 bit, ISO 100", NoiseDraw(a=1.6e-5, read_sigma=1.5 * DN, step=DN)),
    Defect("12 bit, ISO 100", NoiseDraw(a=1.6e-5, read_sigma=2e-4, step=1 / 4095)),
    Defect("12 bit, ISO 400", NoiseDraw(a=6e-5, read_sigma=2e-4, step=1 / 4095)),
    Defect("10 bit, ISO 400", NoiseDraw(a=6e-5, read_sigma=2e-4, step=1 / 1023)),
    Defect("10 bit, ISO 1600", NoiseDraw(a=2.5e-4, read_sigma=8e-4, step=1 / 1023)),
    Defect("8 bit, ISO 1600", NoiseDraw(a=2.5e-4, read_sigma=8e-4, step=1 / 255)),
    Defect("8 bit, ISO 6400", NoiseDraw(a=1e-3, read_sigma=1e-3, step=1 / 255)),
    Defect("clipped at black, ISO 3200", NoiseDraw(a=5e-4, read_sigma=3e-3, step=DN, clip_black=True), black=0),
    Defect("clipped at black, ISO 25600", NoiseDraw(a=4e-3, read_sigma=2e-2, step=DN, clip_black=True), black=0),
    Defect("lossy staircase, ISO 800", NoiseDraw(a=1.2e-4, read_sigma=8e-4, staircase=NEF_STAIRCASE), black=0),
    Defect("14 bit, ISO 100000", NoiseDraw(a=2e-2, read_sigma=5e-2, step=DN)),
    Defect("smoothed in the camera, ISO 6400", NoiseDraw(a=1e-3, read_sigma=2e-3, step=DN, correlation=0.15)),
)


@dataclass(frozen=True)
class Told:
    """What a file was told of its noise: sigma over the true one, the green plane's; None if it shows no noise."""

    sensor: str
    exposure: int
    ratio: float | None
    confidence: float

    @property
    def trusted(self) -> bool:
        """Whether it is preferred to a table."""
        return self.ratio is not None and self.confidence >= TRUSTED


def told(path: Path, noise: float) -> list[Told]:
    """One photograph through every sensor at every exposure.

    It is taken as in training: without the noise of its 8 bits, or its own where that is more (sigma, steps of 8 bits).
    """
    found = []
    smooth = in_fine_steps(continuous(central(path, SIDE), noise))
    scene = unprocessed(path.stem, TO_LINEAR[smooth])
    for exposure in EXPOSURES:
        darker = replace(scene, rgb=scene.rgb / np.float32(exposure))
        for sensor in SENSORS:
            file = shoot(darker, sensor)
            profile, true = measure(file.frame), file.known
            if profile is None:
                found.append(Told(sensor.name, exposure, None, 0.0))
                continue
            level = np.quantile(file.truth, QUANTILES)
            variances = (profile.a[1] * level + profile.b[1]) / (true.a[1] * level + true.b[1])
            ratio = float(np.exp(np.log(variances).mean() / 2))
            found.append(Told(sensor.name, exposure, ratio, profile.confidence))
    return found


def bars(all_told: list[Told]) -> Iterator[report.Bar]:
    """The tails of what is trusted; what is not is held against the table of cameras, and says so."""
    trusted = [one.ratio for one in all_told if one.trusted and one.ratio is not None]
    for name, share in (
        (f"below {LOW}", np.mean([ratio < LOW for ratio in trusted])),
        (f"above {HIGH}", np.mean([ratio > HIGH for ratio in trusted])),
    ):
        text = f"trusted files told {name} x their sigma: ≤ {100 * ALLOWED:.0f} %"
        yield report.Bar(text, f"{100 * share:.2f} % of {len(trusted)}", bool(share <= ALLOWED))


def row(sensor: Defect, exposure: int, all_told: list[Told]) -> tuple[str, ...]:
    """One line of the table."""
    mine = [one for one in all_told if (one.sensor, one.exposure) == (sensor.name, exposure)]
    ratios = np.array([one.ratio for one in mine if one.ratio is not None])
    trusted = np.array([one.ratio for one in mine if one.trusted])
    low, middle, high = np.quantile(ratios, (0.05, 0.5, 0.95)) if len(ratios) else (np.nan,) * 3
    return (
        f"{sensor.name}, /{exposure}",
        str(len(mine)),
        str(len(mine) - len(ratios)),
        str(len(trusted)),
        f"{middle:.2f}",
        f"{low:.2f} to {high:.2f}",
        f"{trusted.min():.2f} to {trusted.max():.2f}" if len(trusted) else "",
        f"{np.count_nonzero(trusted < LOW)}, {np.count_nonzero(trusted > HIGH)}",
    )


def section() -> str:
    """The section's Markdown. Raises FileNotFoundError without the photographs."""
    folder = data_folder() / "photos"
    names, noise = photograph_names(folder, "train")[::EVERY], noise_of(folder)
    with ProcessPoolExecutor(report.core_count()) as pool:
        of_each = pool.map(told, [folder / name for name in names], [noise.get(name, 0.0) for name in names])
        all_told = [one for some in of_each for one in some]
    head = ("Sensor, exposure", "n", "shows none", f"trusted (≥ {TRUSTED})", "median", "90 % of files", "trusted, all",
            f"trusted < {LOW}, > {HIGH}")  # fmt: skip
    return "\n".join(
        [
            report.stamp("python -m benchmarks.run --only noise-scan", ("numpy",), NOTE),
            report.bar_table(bars(all_told)),
            report.table(head, (row(sensor, exposure, all_told) for sensor in SENSORS for exposure in EXPOSURES)),
        ]
    )


NOTE = (
    f"RGGB files of {SIDE} x {SIDE} photosites of every second photograph of the training list that shows no noise of "
    "its own, smoothed within a step of its 8 bits as in training; each through twelve sensors, exposed as it is, 8 "
    "and 64 times too short (/8, /64). The figure is sigma told over true sigma (without what smoothing or rounding "
    "hides), green, the mean over five levels of the picture. A measurement that is not trusted gives way to the "
    "table of cameras.\n"
)

if __name__ == "__main__":
    print(section())
