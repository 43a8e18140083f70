"""Seconds, megapixels per second and memory of a warm server, and the network against PMRID's in the same runtime."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import peak, report
from benchmarks.scenes import BLACK, LEVELS, PATTERNS, data_folder, frame_of
from benchmarks.serving import PeakMemory, Server, serving
from plugin_core.client.values import DenoiseOptions, Stage
from plugin_core.engine.session import open_session
from plugin_core.engine.views import averaged
from plugin_core.frame import CfaKind, RawFrame
from plugin_core.models.registry import Registry
from plugin_core.ops.scales import SHIPPED
from simulation.cameras import FloatArray, xyz_to_camera
from simulation.scene import make_scene
from simulation.sensor import DN_RANGE, add_noise
from simulation.unprocess import SceneColour, camera_rgb, cfa_colours, mosaic

REPEATS = 5
BAR_S = {"standard": 12.0, "fast": 6.0}
MOVING = (Stage.RECEIVE, Stage.DECODE, Stage.WRITE, Stage.SEND)
GIB = 2**30


@dataclass(frozen=True)
class Run:
    """One request: seconds from call to renamed file, and per stage on the server."""

    seconds: float
    stages: Mapping[Stage, float]

    @property
    def moving(self) -> float:
        """Seconds of decode, write and transfer: everything but the network, its queue and the noise estimate."""
        working = sum(self.stages.get(stage, 0.0) for stage in (Stage.NOISE, Stage.RESTORE, Stage.QUEUE))
        return self.seconds - working


def large_frame(height: int, width: int) -> RawFrame:
    """A noisy Bayer frame of the demo's scene, repeated to size."""
    colour = SceneColour(xyz_to_camera("Sony ILCE-7M3"), (2.1, 1.0, 1.6))
    rgb = camera_rgb(make_scene(3, 1000, 1500), colour)
    piece = mosaic(rgb, cfa_colours(PATTERNS["RGGB"], 1000, 1500))
    clean = np.tile(piece, (-(-height // 1000), -(-width // 1500)))[:height, :width]
    digital = add_noise(np.random.default_rng(1), clean, LEVELS[1].draw) * np.float32(DN_RANGE) + np.float32(BLACK)
    return frame_of(digital, "RGGB", colour)


def source_file(folder: Path, server: Server, height: int, width: int) -> Path:
    """A DNG with lossless-JPEG tiles, as cameras pack them: the synthetic frame written once at strength 0."""
    from tests.builders import write_cfa_dng

    plain = write_cfa_dng(folder / "plain.dng", large_frame(height, width), metadata=True)
    packed = folder / f"source_{height}x{width}.dng"
    server.client.denoise(plain, packed, DenoiseOptions(strength=0.0, use_cache=False))
    plain.unlink()
    return packed


def request(server: Server, source: Path, model: str, target: Path) -> Run:
    """One denoise from call to renamed file."""
    began = time.monotonic()
    restored = server.client.denoise(source, target, DenoiseOptions(model=model, use_cache=False), overwrite=True)
    return Run(time.monotonic() - began, restored.seconds)


def frame_rows(size: str, model: str, runs: list[Run], memory: PeakMemory, megapixels: float) -> list[str]:
    """One table row: the median run's seconds, stages, rate and memory."""
    seconds = statistics.median(run.seconds for run in runs)
    spread = f"{min(r.seconds for r in runs):.2f}–{max(r.seconds for r in runs):.2f}"
    stages = [statistics.median(run.stages.get(stage, 0.0) for run in runs) for stage in Stage]
    moving = statistics.median(run.moving / run.seconds for run in runs)
    return [
        f"{size}, {model}", f"{seconds:.2f}", spread, *(f"{value:.2f}" for value in stages), f"{100 * moving:.0f} %",
        f"{megapixels / seconds:.2f}", f"{memory.pss / GIB:.2f}", f"{memory.rss / GIB:.2f}",
    ]  # fmt: skip


def whole_jobs(models: list[str]) -> str:
    """24 and 102 megapixels through a warm server."""
    rows, bars = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with serving() as server:
            source = source_file(folder, server, 4000, 6000)
            large = source_file(folder, server, 8736, 11648)
        with serving() as server:
            for model in models:
                request(server, source, model, folder / "out.dng")
                with PeakMemory(server.process.pid) as memory:
                    runs = [request(server, source, model, folder / "out.dng") for _ in range(REPEATS)]
                rows.append(frame_rows("24 MP", model, runs, memory, 24.0))
                bars += job_bars(model, runs, memory)
        with serving() as server, PeakMemory(server.process.pid) as memory:
            runs = [request(server, large, models[0], folder / "out.dng")]
        rows.append(frame_rows("102 MP", models[0], runs, memory, 8736 * 11648 / 1e6))
        bars.append(memory_bar(f"102 MP, {models[0]}: peak memory of all server processes < 2.5 GB", memory, 2.5e9))
    stages = (f"{stage.name.lower()}, s" for stage in Stage)
    head = ["Job", "s", "range", *stages, "moving", "MP/s", "PSS, GiB", "RSS, GiB"]
    return report.bar_table(bars) + "\n" + report.table(head, rows)


def job_bars(model: str, runs: list[Run], memory: PeakMemory) -> list[report.Bar]:
    """The bars for 24 megapixels."""
    bars = []
    seconds = statistics.median(run.seconds for run in runs)
    if model in BAR_S:
        text = f"24 MP, {model}: ≤ {BAR_S[model]:g} s from request to renamed file on 2 cores"
        bars.append(report.Bar(text, f"{seconds:.2f} s on {report.core_count()} cores", seconds <= BAR_S[model]))
    moving = statistics.median(run.moving / run.seconds for run in runs)
    text = f"24 MP, {model}: decode, write and transfer ≤ 30 % of it"
    bars.append(report.Bar(text, f"{100 * moving:.0f} %", moving <= 0.3))
    bars.append(memory_bar(f"24 MP, {model}: peak memory of all server processes ≤ 1.5 GB", memory, 1.5e9))
    return bars


def memory_bar(text: str, memory: PeakMemory, limit: float) -> report.Bar:
    """A bar on PSS where the system tells it, else on RSS."""
    found = memory.pss or memory.rss
    kind = "PSS" if memory.pss else "RSS"
    return report.Bar(text, f"{found / 1e9:.2f} GB {kind} (RSS summed {memory.rss / 1e9:.2f} GB)", found <= limit)


def pmrid_runner(side: int, threads: int) -> tuple[Callable[[], FloatArray], float, int]:
    """(one tile of side x side photosites through PMRID in ONNX Runtime, FLOPs per photosite, parameters).

    Raises FileNotFoundError without its weights.
    """
    import onnxruntime
    import torch

    from benchmarks import pmrid

    network, _ = pmrid.load(data_folder())
    tile = torch.rand(1, 4, side // 2, side // 2)
    total = 0

    def count(module: torch.nn.Module, _given: object, output: torch.Tensor) -> None:
        nonlocal total
        weight = module.weight
        assert isinstance(weight, torch.Tensor)
        places = output.shape[-1] * output.shape[-2]
        if isinstance(module, torch.nn.ConvTranspose2d):
            places //= 4  # each input place makes 2 x 2 outputs
        total += weight.numel() * places

    convolutions = (torch.nn.Conv2d, torch.nn.ConvTranspose2d)
    hooks = [module.register_forward_hook(count) for module in network.modules() if isinstance(module, convolutions)]
    with torch.inference_mode():
        network(tile)
    for hook in hooks:
        hook.remove()
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/pmrid.onnx"
        torch.onnx.export(network, (tile,), path, input_names=["planes"], opset_version=17, dynamo=False)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    feed = {"planes": tile.numpy()}
    parameters = sum(p.numel() for p in network.parameters())
    return lambda: session.run(None, feed)[0], 2 * total / side**2, parameters


def model_runner(model: str, side: int, threads: int) -> tuple[Callable[[], object], float, int]:
    """(one Bayer tile through a shipped model in all its views and scales, FLOPs per photosite, parameters)."""
    session = open_session(Registry(()).get(model), threads=threads)
    manifest = session.manifest
    views = manifest.views_of(CfaKind.BAYER)
    rng = np.random.default_rng(2)
    a, b = np.full((1, 4, 1, 1), 0.004, dtype=np.float32), np.full((1, 4, 1, 1), 2e-5, dtype=np.float32)
    sides = [side]
    for window in SHIPPED.sides[: manifest.coarser_scales]:
        sides.append(-(-2 * sides[-1] // (window * manifest.alignment)) * manifest.alignment)
    tiles = []
    for each in sides:
        colours = np.zeros((1, 8, each // 2, each // 2), dtype=np.float32)
        colours[:, 0], colours[:, 7] = 1, 1
        tiles.append((rng.random((1, 4, each // 2, each // 2), dtype=np.float32), colours, a, b))
    work = manifest.flops_per_photosite * views * sum((each / side) ** 2 for each in sides)
    return lambda: [averaged(session.run, views, *tile) for tile in tiles], work, manifest.parameters


def timed(runners: Mapping[str, Callable[[], object]]) -> dict[str, list[float]]:
    """Seconds of REPEATS runs of each, in turn, after one that warms up."""
    times: dict[str, list[float]] = {name: [] for name in runners}
    for repeat in range(REPEATS + 1):
        for name, run in runners.items():
            began = time.perf_counter()
            run()
            if repeat:
                times[name].append(time.perf_counter() - began)
    return times


def networks(models: list[str], side: int = 1152) -> str:
    """The networks alone, in turn, one tile of the server's size each; against PMRID and the machine's peak."""
    threads = report.core_count()
    runners = {model: model_runner(model, side, threads) for model in models}
    try:
        runners["PMRID"] = pmrid_runner(side, threads)
    except FileNotFoundError as error:
        print(f"PMRID is not compared with: {error}")
    products = {kind: peak.product(kind, threads) for kind in ("float32", "int8")}
    times = timed({**{name: run for name, (run, _, _) in runners.items()}, **products})
    peaks = {kind: 2 * peak.SIDE**3 / min(times[kind]) for kind in products}
    area = side * side / 1e6
    base = statistics.median(times["PMRID"]) if "PMRID" in times else float("nan")
    precisions = {package.manifest.id: package.manifest.precision for package in Registry(()).list()}
    rows = []
    for name, (_, flops, parameters) in runners.items():
        middle = statistics.median(times[name])
        rate = flops * side**2 / middle
        rows.append([
            name, precisions.get(name, "float32"), f"{parameters / 1e6:.2f} M", f"{flops / 1e3:.1f}",
            f"{middle / area:.3f}", f"{min(times[name]) / area:.3f}–{max(times[name]) / area:.3f}",
            f"{area / middle:.1f}", f"{middle / base:.2f}", f"{rate / 1e9:.0f}",
            *(f"{100 * rate / peaks[kind]:.0f} %" for kind in products),
        ])  # fmt: skip
    head = ("Network alone", "precision", "parameters", "GFLOP per MP", "s per MP", "range", "MP/s",
            "time against PMRID", "GFLOP/s", "of the float32 peak", "of the int8 peak")  # fmt: skip
    measured = ", ".join(f"{kind} {value / 1e9:.0f} GFLOP/s" for kind, value in peaks.items())
    return f"{PEAK.format(measured)}\n{report.table(head, rows)}"


def section() -> str:
    """The section's Markdown."""
    models = [package.manifest.id for package in Registry(()).list() if package.manifest.op == "denoise"]
    busy = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    packages = ("onnxruntime", "numpy", "torch")
    stamp = report.stamp("python -m benchmarks.run --only speed", packages, NOTE + LOAD.format(busy))
    alone = networks(models)
    return "\n".join([stamp, whole_jobs(models), ALONE, alone])


NOTE = (
    f"A warm server in its own process on a Unix socket, cache off; median of {REPEATS} requests, from the call to the "
    "renamed file. The source is a noisy synthetic Bayer DNG in lossless-JPEG tiles without a NoiseProfile, so noise "
    "is measured too. Memory is the peak over the server's process tree, sampled every 50 ms: PSS counts shared pages "
    "once, RSS in every process. `moving` is everything but queue, noise and network. "
)
ALONE = "Through ONNX Runtime in one process, in turn, one tile of 1152 x 1152 photosites and its coarser scales."
PEAK = (
    f"The machine's matrix-product peak, the best of {REPEATS} products of {peak.SIDE} x {peak.SIDE} in the same run "
    "and runtime: {}. Every multiply-add counts as two operations, in int8 too:\n"
)
LOAD = "Load average when it began: {} (0 is an idle machine).\n"

if __name__ == "__main__":
    print(section())
