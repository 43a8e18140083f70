"""Runs table P1's methods over photographs, levels and CFAs, and keeps every figure in a JSON-lines file as it comes.

What is in the file already, by method version, is not computed again. `python -m benchmarks.p1_run --help`.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks import baselines, metrics
from benchmarks.scenes import HEAVY_TAILED, LEVELS, PATTERNS, Shot, data_folder, finished, read_scene, scene_paths, take
from simulation.cameras import FloatArray
from simulation.isp import render
from simulation.unprocess import cfa_colours

if TYPE_CHECKING:
    from plugin_core.engine.session import Session

ROOT = Path(__file__).resolve().parents[1]
STORE = ROOT / "runs" / "p1.jsonl"
CFAS = ("RGGB", "XTRANS")
FIGURES = ("raw", "srgb", "ssim", "lpips", "cpu_s")
PROTOCOL = "1"  # raise it when scenes, ISP or metrics change
OURS = (
    "plugin_core/ops/denoise.py",
    "plugin_core/ops/mosaic.py",
    "plugin_core/ops/scales.py",
    "plugin_core/noise/*.py",
    "plugin_core/engine/tiles.py",
    "plugin_core/engine/views.py",
)  # what figures depend on
BASELINES = ROOT / "benchmarks" / "p1_baselines.csv"  # an hour of processor time; --keep-baselines writes it


@dataclass(frozen=True)
class Job:
    """One method on one file. method: a baseline or a model's id; blind: the noise is read from the file."""

    method: str
    version: str
    photo: str
    level: str
    cfa: str
    blind: bool


@dataclass(frozen=True)
class Result:
    """Its figures: raw and sRGB PSNR in dB, SSIM, LPIPS; CPU seconds of the method alone, and photosites."""

    job: Job
    raw: float
    srgb: float
    ssim: float
    lpips: float
    cpu_s: float
    photosites: int


def read_baselines(path: Path = BASELINES) -> dict[Job, Result]:
    """The results of baselines that came with the code."""
    with open(path, newline="") as stream:
        results = [
            Result(
                Job(row["method"], row["version"], row["photo"], row["level"], row["cfa"], False),
                *(float(row[name]) for name in FIGURES),
                photosites=int(row["photosites"]),
            )
            for row in csv.DictReader(stream)
        ]
    return {result.job: result for result in results}


def keep_baselines(path: Path = BASELINES) -> int:
    """Writes what is known of the baselines' present versions; returns how many results."""
    known = known_results()
    mine = [
        r
        for job, r in known.items()
        if baselines.VERSIONS.get(job.method) and job.version == method_version(job.method)
    ]
    order = {level.name: place for place, level in enumerate((*LEVELS, *HEAVY_TAILED))}
    mine.sort(key=lambda r: (r.job.method, r.job.cfa, order[r.job.level], r.job.photo))
    with open(path, "w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["method", "version", "cfa", "level", "photo", *FIGURES, "photosites"])
        for r in mine:
            job = r.job
            figures = f"{r.raw:.4f}", f"{r.srgb:.4f}", f"{r.ssim:.5f}", f"{r.lpips:.5f}", f"{r.cpu_s:.3f}"
            writer.writerow([job.method, job.version, job.cfa, job.level, job.photo, *figures, r.photosites])
    return len(mine)


def read_store(path: Path = STORE) -> dict[Job, Result]:
    """Every result that was kept on this machine, the latest of each job."""
    if not path.exists():
        return {}
    lines = (json.loads(line) for line in path.read_text().splitlines() if line.endswith("}"))
    results = (Result(Job(**line.pop("job")), **line) for line in lines)
    return {result.job: result for result in results}


def known_results(store: Path = STORE) -> dict[Job, Result]:
    """The baselines' results that came with the code, and those kept on this machine, which go before."""
    return read_baselines() | read_store(store)


def code_version() -> str:
    """A digest of the code that our figures depend on besides the weights."""
    digest = hashlib.sha256(PROTOCOL.encode())
    for pattern in OURS:
        for path in sorted(ROOT.glob(pattern)):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:8]


def method_version(method: str) -> str:
    """What a method's results are kept under."""
    if method in baselines.VERSIONS:
        return f"{PROTOCOL}.{baselines.VERSIONS[method]}"
    from plugin_core.models.registry import Registry

    manifest = Registry(()).get(method).manifest
    views = "".join(f"{kind[0]}{views}" for kind, views in sorted(manifest.views.items()))
    return f"{manifest.weights_sha256[:8]}-{views}-s{manifest.coarser_scales}-{code_version()}"


@lru_cache(maxsize=4)
def session_of(method: str) -> Session:
    """A one-thread session of a shipped model; the work is spread over processes."""
    from plugin_core.engine.session import open_session
    from plugin_core.models.registry import Registry

    return open_session(Registry(()).get(method), device="cpu", threads=1)


def restore(job: Job, shot: Shot) -> FloatArray:
    """The file's restored signal in its own scale, (H, W) float32."""
    signal = shot.frame.signal()
    if job.method in baselines.VERSIONS:
        return baselines.restore(
            job.method, signal, cfa_colours(PATTERNS[job.cfa], *signal.shape), shot.known, data_folder()
        )
    from plugin_core.engine.cancel import CancelToken
    from plugin_core.noise.from_file import choose
    from plugin_core.ops.blend import BlendOptions, apply
    from plugin_core.ops.denoise import restore as run

    profile = choose(shot.frame, None) if job.blind else shot.known
    residual = run(shot.frame, profile, session_of(job.method), 1024, lambda _: None, CancelToken())
    return apply(shot.frame, residual, BlendOptions(), None).signal()


def measure(photo: Path, jobs: list[Job]) -> Iterator[Result]:
    """The results of jobs on one photograph; what the truth needs is computed once per CFA."""
    scene = read_scene(photo)
    lpips = metrics.Lpips(data_folder() / "weights/lpips_alex_v0.1_fp16.npz")
    for cfa in CFAS:
        mine = [job for job in jobs if job.cfa == cfa]
        if not mine:
            continue
        truth = render(take(scene, LEVELS[0], cfa).truth, PATTERNS[cfa], scene.colour)
        truth_features = lpips.features(truth)
        for level in (*LEVELS, *HEAVY_TAILED):
            here = [job for job in mine if job.level == level.name]
            shot = take(scene, level, cfa) if here else None
            for job in here:
                assert shot is not None
                began = time.process_time()
                signal = restore(job, shot)
                cpu_s = time.process_time() - began
                answer = finished(shot, signal)
                picture = render(answer, PATTERNS[cfa], scene.colour)
                yield Result(
                    job, metrics.psnr(answer, shot.truth), metrics.psnr(picture, truth), metrics.ssim(picture, truth),
                    lpips.distance(lpips.features(picture), truth_features), cpu_s, answer.size,
                )  # fmt: skip


def work(photo: Path, jobs: list[Job], store: Path) -> int:
    """Measures and appends to the store, one line each; returns how many. Runs in a worker process."""
    import torch

    torch.set_num_threads(1)
    count = 0
    for result in measure(photo, jobs):
        with open(store, "a") as stream:
            stream.write(json.dumps(asdict(result)) + "\n")
        count += 1
    return count


def wanted_jobs(
    methods: Iterable[str],
    photos: list[Path],
    levels: set[str],
    cfas: Iterable[str],
    blind: Iterable[bool] = (False, True),
) -> list[Job]:
    """Every job of a table: ours known and blind, PMRID and the second BM3D on Bayer only. No levels: all seven."""
    wanted = levels or {level.name for level in LEVELS}
    jobs = []
    for method in methods:
        version = method_version(method)
        baseline = method in baselines.VERSIONS
        for cfa in cfas:
            if cfa != "RGGB" and method in baselines.BAYER_ONLY:
                continue
            for unknown in (False,) if baseline else blind:
                names = (level.name for level in (*LEVELS, *HEAVY_TAILED) if level.name in wanted)
                jobs += [Job(method, version, photo.stem, name, cfa, unknown) for name in names for photo in photos]
    return jobs


def compute(jobs: list[Job], processes: int, store: Path = STORE) -> int:
    """Computes what the store lacks; returns how many results came."""
    store.parent.mkdir(exist_ok=True)
    done = known_results(store)
    paths = {path.stem: path for path in scene_paths()}
    todo: dict[str, list[Job]] = {}
    for job in jobs:
        if job not in done:
            todo.setdefault(job.photo, []).append(job)
    if processes <= 1:
        return sum(work(paths[photo], mine, store) for photo, mine in todo.items())
    count = 0
    with ProcessPoolExecutor(processes) as pool:
        largest_first = sorted(todo.items(), key=lambda item: -paths[item[0]].stat().st_size)
        for future in as_completed([pool.submit(work, paths[photo], mine, store) for photo, mine in largest_first]):
            count += future.result()
    return count


def shipped_models() -> list[str]:
    """Ids of the denoisers that ship, the default first."""
    from plugin_core.models.registry import Registry

    return [package.manifest.id for package in Registry(()).list() if package.manifest.op == "denoise"]


def main() -> None:
    """The command line."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--methods", default="", help="comma-separated; default: the baselines and every shipped model")
    parser.add_argument("--levels", default="", help='comma-separated, e.g. "U .001,E x300"; default: all seven')
    parser.add_argument("--cfa", default=",".join(CFAS))
    parser.add_argument("--every", type=int, default=1, help="only every n-th photograph")
    parser.add_argument("--limit", type=int, default=0, help="at most so many photographs")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="worker processes")
    parser.add_argument("--keep-baselines", action="store_true", help=f"only write {BASELINES.name} from what is known")
    given = parser.parse_args()
    if given.keep_baselines:
        print(f"{keep_baselines()} results in {BASELINES}")
        return
    methods = given.methods.split(",") if given.methods else [*baselines.VERSIONS, *shipped_models()]
    photos = scene_paths()[:: given.every][: given.limit or None]
    jobs = wanted_jobs(methods, photos, {v for v in given.levels.split(",") if v}, given.cfa.split(","))
    began = time.monotonic()
    count = compute(jobs, given.jobs)
    print(f"{count} new results of {len(jobs)} in {time.monotonic() - began:.0f} s, kept in {STORE}")
    groups: dict[tuple[str, str, str], list[Result]] = {}
    wanted = set(jobs)
    for job, result in known_results().items():
        if job in wanted:
            groups.setdefault((job.method, job.cfa, "blind" if job.blind else "known"), []).append(result)
    for key, mine in groups.items():
        raw, srgb, structure, perceived = np.mean([(r.raw, r.srgb, r.ssim, r.lpips) for r in mine], axis=0)
        label = "{:12} {:6} {} ".format(*key)
        print(f"{label} n={len(mine)} raw {raw:.2f} sRGB {srgb:.2f} SSIM {structure:.4f} LPIPS {perceived:.4f}")


if __name__ == "__main__":
    main()
