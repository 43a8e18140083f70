"""Quality against speed: every shipped model, PMRID and BM3D on the same axes, docs/curve.svg."""

from __future__ import annotations

import io
import time
from dataclasses import dataclass

from benchmarks import baselines, p1_run, report
from benchmarks.metrics import Mean, bootstrap
from benchmarks.p1_rows import NAMES, Row, collect
from benchmarks.scenes import scene_paths

TARGET = report.ROOT / "docs" / "curve.svg"
REPEATS = 5
SIDE = 1152


@dataclass(frozen=True)
class Point:
    """One method: megapixels per second on all cores, raw PSNR in dB as the mean of the seven levels."""

    method: str
    rate: float
    quality: Mean


def rates(models: list[str]) -> dict[str, float]:
    """MP/s of each network alone through ONNX Runtime on all cores, in turn; the best of REPEATS."""
    from benchmarks.speed import model_runner, pmrid_runner

    threads = report.core_count()
    runners = {model: model_runner(model, SIDE, threads)[0] for model in models}
    runners["PMRID"] = pmrid_runner(SIDE, threads)[0]
    best = dict.fromkeys(runners, float("inf"))
    for _ in range(REPEATS):
        for name, run in runners.items():
            began = time.perf_counter()
            run()
            best[name] = min(best[name], time.perf_counter() - began)
    return {name: SIDE * SIDE / 1e6 / seconds for name, seconds in best.items()}


def bm3d_rate(row: Row) -> float:
    """MP/s from the one-thread CPU time that table P1 kept, on as many cores as are here."""
    results = [r for level in row.results.values() for r in level.values()]
    return report.core_count() * sum(r.photosites for r in results) / 1e6 / sum(r.cpu_s for r in results)


def points(models: list[str]) -> list[Point]:
    """Every method that was measured at all seven levels on RGGB with known noise."""
    methods = [*models, "PMRID", "BM3D"]
    rows = collect(p1_run.wanted_jobs(methods, scene_paths(), set(), ("RGGB",), blind=(False,)))
    speed = rates(models)
    found = []
    for row in rows:
        photos = row.photos(NAMES)
        if photos:
            rate = speed[row.method] if row.method in speed else bm3d_rate(row)
            found.append(Point(row.method, rate, bootstrap(row.values("raw", NAMES, photos))))
    return found


def draw(found: list[Point]) -> str:
    """The curve as SVG text."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "neural-isp"
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 3.6), layout="constrained")
    ours = sorted((p for p in found if p.method not in baselines.VERSIONS), key=lambda p: p.rate)
    axes.plot([p.rate for p in ours], [p.quality.value for p in ours], "o-")
    others = [p for p in found if p.method in baselines.VERSIONS]
    axes.plot([p.rate for p in others], [p.quality.value for p in others], "s", color="grey")
    for p in found:
        axes.annotate(p.method, (p.rate, p.quality.value), textcoords="offset points", xytext=(6, 5))
    axes.set_xscale("log")
    axes.margins(0.2)
    axes.set_xlabel(f"megapixels per second, {report.core_count()} cores")
    axes.set_ylabel("raw PSNR, dB, mean of seven levels")
    axes.grid(alpha=0.3)
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None})
    plt.close(figure)
    return stream.getvalue()


def section() -> str:
    """The section's Markdown. Raises FileNotFoundError without photographs or baselines' weights."""
    found = points(p1_run.shipped_models())
    TARGET.write_text(draw(found), encoding="utf-8")
    rows = [(p.method, f"{p.rate:.2f}", p.quality.text(), str(p.quality.count)) for p in found]
    stamp = report.stamp("python -m benchmarks.run --only curve", ("onnxruntime", "torch", "bm3d"), NOTE)
    table = report.table(("RGGB", "MP/s", "raw PSNR, dB", "n"), rows)
    return "\n".join([stamp, f"![quality against speed]({TARGET.name})\n", table])


NOTE = (
    f"Raw PSNR is table P1's mean of seven levels, noise known. Speed: the network alone, one tile of {SIDE} x {SIDE} "
    "photosites with its views and coarser scales, through ONNX Runtime on all cores, in turn, best of 5; BM3D from "
    "its CPU time in table P1, divided by the cores (it would have to be spread over them perfectly).\n"
)

if __name__ == "__main__":
    print(section())
