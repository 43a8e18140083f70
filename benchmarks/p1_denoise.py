"""Table P1: ours against nothing, BM3D and PMRID on the held-out photographs (protocols.md section 1c)."""

from __future__ import annotations

import json
import sys

import numpy as np

from benchmarks import baselines, p1_run, report
from benchmarks.metrics import bootstrap
from benchmarks.p1_bars import TAILED, bars
from benchmarks.p1_rows import NAMES, Row, collect, paired
from benchmarks.scenes import scene_paths

METRICS = {"raw": "Raw PSNR, dB", "srgb": "sRGB PSNR, dB", "ssim": "SSIM", "lpips": "LPIPS (AlexNet, lower is better)"}
DIGITS = {"raw": 2, "srgb": 2, "ssim": 4, "lpips": 4}
PACKAGES = ("numpy", "scipy", "scikit-image", "bm3d", "torch", "onnxruntime")


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
    ours += p1_run.wanted_jobs(models[:1], photos, set(TAILED), ("RGGB",), blind=(False,))
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
