"""Table P1: ours against nothing, BM3D and PMRID on the held-out photographs (protocols.md section 1c)."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from benchmarks import baselines, p1_run, report
from benchmarks.metrics import Mean, bootstrap
from benchmarks.p1_run import Job, Result
from benchmarks.scenes import LEVELS, scene_paths

NAMES = tuple(level.name for level in LEVELS)
DARK = ("E x100", "E x200", "E x300")
METRICS = {"raw": "Raw PSNR, dB", "srgb": "sRGB PSNR, dB", "ssim": "SSIM", "lpips": "LPIPS (AlexNet, lower is better)"}
DIGITS = {"raw": 2, "srgb": 2, "ssim": 4, "lpips": 4}
PACKAGES = ("numpy", "scipy", "scikit-image", "bm3d", "torch", "onnxruntime")


@dataclass(frozen=True)
class Row:
    """One method, known or blind, on one CFA: its results by level and photograph."""

    method: str
    blind: bool
    cfa: str
    results: dict[str, dict[str, Result]]

    @property
    def label(self) -> str:
        """As the table shows it."""
        if self.method in baselines.VERSIONS:
            return self.method
        return f"**{self.method}**, {'blind' if self.blind else 'known'}"

    def photos(self, levels: Iterable[str]) -> set[str]:
        """Photographs measured at all of these levels."""
        return set.intersection(*(set(self.results.get(level, {})) for level in levels))

    def values(self, metric: str, levels: Iterable[str], photos: Iterable[str]) -> list[float]:
        """One value per photograph: the mean over levels."""
        chosen = list(levels)
        return [float(np.mean([getattr(self.results[level][p], metric) for level in chosen])) for p in sorted(photos)]


def collect(jobs: Iterable[Job]) -> list[Row]:
    """Rows of everything that is kept for these jobs."""
    kept = p1_run.read_store()
    rows: dict[tuple[str, bool, str], Row] = {}
    for job in jobs:
        if job in kept:
            row = rows.setdefault((job.method, job.blind, job.cfa), Row(job.method, job.blind, job.cfa, {}))
            row.results.setdefault(job.level, {})[job.photo] = kept[job]
    return list(rows.values())


def metric_table(rows: list[Row], metric: str) -> str:
    """Every level and their mean, each with its 95 % interval."""
    lines = []
    for row in rows:
        cells = [row.label]
        for levels in [*((name,) for name in NAMES), NAMES]:
            photos = row.photos(levels)
            cells.append(bootstrap(row.values(metric, levels, photos)).text(DIGITS[metric]) if photos else "")
        lines.append([*cells, str(len(row.photos(NAMES)))])
    return report.table((METRICS[metric], *NAMES, "mean", "n"), lines)


def paired(one: Row, other: Row, metric: str, levels: Iterable[str]) -> Mean | None:
    """The mean difference over the photographs that both have, with its interval; None without any."""
    chosen = tuple(levels)
    photos = one.photos(chosen) & other.photos(chosen)
    if not photos:
        return None
    difference = np.subtract(one.values(metric, chosen, photos), other.values(metric, chosen, photos))
    return bootstrap(difference)


def difference_table(pairs: list[tuple[Row, Row]], metric: str) -> str:
    """Paired differences per level and on the mean."""
    lines = []
    for one, other in pairs:
        cells = [f"{one.label} − {other.label}"]
        count = 0
        for levels in [*((name,) for name in NAMES), NAMES]:
            mean = paired(one, other, metric, levels)
            cells.append(mean.text(DIGITS[metric], sign=True) if mean else "")
            count = mean.count if mean else 0
        lines.append([*cells, str(count)])
    return report.table((f"{METRICS[metric]}, paired", *NAMES, "mean", "n"), lines)


def losses(one: Row, other: Row, metric: str) -> list[tuple[float, str, str]]:
    """(difference, level, photograph) wherever the one is below the other, the worst first."""
    found = []
    for level in NAMES:
        for photo in one.photos((level,)) & other.photos((level,)):
            value = getattr(one.results[level][photo], metric) - getattr(other.results[level][photo], metric)
            if (value > 0) if metric == "lpips" else (value < 0):
                found.append((value, level, photo))
    return sorted(found, key=lambda item: -abs(item[0]))


def worse_lines(pairs: list[tuple[Row, Row]]) -> str:
    """Where ours loses, per metric, in one line each."""
    lines = []
    for one, other in pairs:
        for metric in METRICS:
            count = sum(len(one.photos((level,)) & other.photos((level,))) for level in NAMES)
            lost = losses(one, other, metric)
            if not lost:
                continue
            levels = ", ".join(f"{n} at {name}" for name in NAMES if (n := sum(item[1] == name for item in lost)))
            value, level, photo = lost[0]
            lines.append(
                f"- {one.label} is worse than {other.label} in {METRICS[metric].split(',')[0]} on {len(lost)} of"
                f" {count} files ({levels}); most by {abs(value):.{DIGITS[metric]}f} ({photo}, {level})."
            )
    return "\n".join(lines) + "\n" if lines else "Nowhere.\n"


def least(one: Row, other: Row) -> tuple[float, str]:
    """The smallest raw gain of the one over the other on any file, and where."""
    gains = [
        (one.results[level][photo].raw - other.results[level][photo].raw, f"{photo}, {level}")
        for level in NAMES
        for photo in one.photos((level,)) & other.photos((level,))
    ]
    return min(gains) if gains else (float("nan"), "")


def bars(rows: list[Row], default: str) -> list[report.Bar]:
    """The issue's bars for table P1."""

    def row(method: str, cfa: str, blind: bool = False) -> Row | None:
        return next((r for r in rows if (r.method, r.cfa, r.blind) == (method, cfa, blind)), None)

    def compare(
        text: str, one: Row | None, other: Row | None, metric: str, levels: Iterable[str], bar: float
    ) -> report.Bar:
        mean = paired(one, other, metric, levels) if one and other else None
        if mean is None:
            return report.Bar(text, "", None)
        return report.Bar(text, f"{mean.text(sign=True)} dB, n = {mean.count}", mean.value >= bar)

    found = []
    for cfa in p1_run.CFAS:
        noisy = row("noisy", cfa)
        for mine in [r for r in rows if r.method not in baselines.VERSIONS and r.cfa == cfa]:
            if noisy is None:
                continue
            gain, where = least(mine, noisy)
            text = f"{cfa}: {mine.label} never below the input on any file (raw)"
            found.append(report.Bar(text, f"least gain {gain:+.2f} dB ({where})", gain >= 0))
    for metric, least_gain in (("raw", 0.45), ("srgb", 0.3)):
        for method in ("PMRID", "PMRID clipped"):
            text = f"{default} ≥ {least_gain:g} dB above {method}, {metric}, mean of seven levels, RGGB, known"
            found.append(compare(text, row(default, "RGGB"), row(method, "RGGB"), metric, NAMES, least_gain))
    for cfa in p1_run.CFAS:
        for method in ("BM3D", "BM3D mosaic") if cfa == "RGGB" else ("BM3D",):
            text = f"{default} ≥ 1 dB above {method} in the dark (E ×100, ×200, ×300), raw, {cfa}"
            found.append(compare(text, row(default, cfa), row(method, cfa), "raw", DARK, 1.0))
        for metric in ("raw", "srgb"):
            text = f"{default}: blind costs ≤ .4 dB against known, {metric}, mean of seven levels, {cfa}"
            found.append(compare(text, row(default, cfa, True), row(default, cfa), metric, NAMES, -0.4))
    return found


def cost_table(rows: list[Row]) -> str:
    """CPU time of each method per megapixel, one thread."""
    lines = []
    for row in rows:
        results = [r for level in row.results.values() for r in level.values()]
        seconds = sum(r.cpu_s for r in results) / sum(r.photosites for r in results) * 1e6
        lines.append((row.label, row.cfa, f"{seconds:.2f}"))
    return report.table(("Method", "CFA", "CPU s per megapixel"), lines)


def pairs_of(rows: list[Row]) -> list[tuple[Row, Row]]:
    """Ours against each baseline, and blind against known, on one CFA."""
    ours = [r for r in rows if r.method not in baselines.VERSIONS]
    known = [r for r in ours if not r.blind]
    against: list[tuple[Row, Row]] = []
    for mine in known:
        against += [(mine, other) for other in rows if other.method in baselines.VERSIONS and other.method != "noisy"]
    twins = {r.method: r for r in known}
    return against + [(r, twins[r.method]) for r in ours if r.blind and r.method in twins]


def section(quick: bool = False) -> str:
    """The section's Markdown; computes what is missing first. Raises FileNotFoundError without the photographs.

    quick: baselines are taken as far as they are kept; only ours are computed.
    """
    photos = scene_paths()
    models = p1_run.shipped_models()
    ours = p1_run.wanted_jobs(models, photos, set(), p1_run.CFAS)
    reference = p1_run.wanted_jobs(baselines.VERSIONS, photos, set(), p1_run.CFAS)
    p1_run.compute(ours if quick else reference + ours, report.core_count())
    rows = collect([*reference, *ours])
    text = [report.stamp("python -m benchmarks.run --only p1", PACKAGES, NOTE.format(n=len(photos)))]
    text.append(report.bar_table(bars(rows, models[0] if models else "")))
    for cfa in p1_run.CFAS:
        here = [r for r in rows if r.cfa == cfa]
        text.append(f"### {cfa}\n")
        text += [metric_table(here, metric) for metric in METRICS]
        pairs = pairs_of(here)
        text += [difference_table(pairs, metric) for metric in METRICS]
        noisy = [r for r in here if r.method == "noisy"]
        every = pairs + [(r, n) for n in noisy for r in here if r.method not in baselines.VERSIONS]
        against = [pair for pair in every if pair[0].method != pair[1].method]
        text.append(f"What is worse, {cfa}:\n\n{worse_lines(against)}")
    text.append("### Cost\n\nThe method alone, one thread, beside other work.\n\n" + cost_table(rows))
    return "\n".join(text)


NOTE = (
    "{n} photographs marked `val`, none of which trained a model; central 768 x 768 or all of a smaller one. Seven "
    "noise levels, one fixed draw per photograph, level and CFA. `U` is bright with much noise, `E xr` a file of dark "
    "integers (1 DN per electron, read noise 3 DN), restored as it is and amplified r times afterwards. Every mosaic "
    "is clipped to [0, 1] before a figure. Known: the true noise is given. Blind: a file without NoiseProfile from an "
    "unknown camera. In brackets the 95 % bootstrap interval over photographs, n how many; differences are paired by "
    "photograph.\n\nBM3D: generalised Anscombe transform, each Bayer phase a picture (X-Trans: the mosaic after its "
    "smooth local colour is subtracted), exact unbiased inverse, true noise; `BM3D mosaic` is that second way on "
    "Bayer. PMRID: its published weights, through its k-sigma transform with the true noise; `clipped` cuts what is "
    "below black first, as its authors' script does. LPIPS v0.1, AlexNet.\n"
)


def card_figures(model: str) -> dict[str, object]:
    """What a model card's table holds: raw / sRGB PSNR per level and their mean, from kept results."""
    photos = scene_paths()
    reference = p1_run.wanted_jobs(("noisy", "BM3D", "PMRID"), photos, set(), p1_run.CFAS)
    lines = []
    for row in collect([*reference, *p1_run.wanted_jobs([model], photos, set(), p1_run.CFAS)]):
        if row.photos(NAMES) != {photo.stem for photo in photos}:
            continue  # never a mean over some of the photographs beside one over all
        line = {"": row.label.replace("*", ""), "CFA": row.cfa}
        for levels in [*((name,) for name in NAMES), NAMES]:
            raw, srgb = (float(np.mean(row.values(m, levels, row.photos(NAMES)))) for m in ("raw", "srgb"))
            line["mean" if len(levels) > 1 else levels[0]] = f"{raw:.2f} / {srgb:.2f}"
        lines.append(line)
    return {
        "command": "python -m benchmarks.run --only p1",
        "note": f"raw / sRGB PSNR in dB, means over {len(photos)} photographs that trained nothing; docs/benchmarks.md "
        "has intervals, SSIM, LPIPS and what is worse.",
        "rows": lines,
    }


def main() -> None:
    """Prints a model card's figures as JSON: `python -m benchmarks.p1_denoise standard > training/cards/...json`."""
    print(json.dumps(card_figures(sys.argv[1]), indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main()
