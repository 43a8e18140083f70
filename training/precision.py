"""Which parts of a model ship in int8: as many levels as cost no more than allowed, and only where it pays."""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import onnxruntime
import torch
from onnx import ModelProto

from training.config import Config
from training.equalise import equalise
from training.graph import float_graph
from training.network import RawUNet
from training.quantise import Feed, Ranges, quantised
from training.scenes import CleanScenes, draw_sample
from training.validation import Levels, validation_set

__all__ = ["Variant", "as_tensors", "best_variant", "calibration_samples"]

LARGEST_COST_DB = 0.05  # at any noise level and CFA of the validation set
SMALLEST_GAIN = 1.4
SAMPLES, SAMPLE_SIDE = 40, 256
SYNTHETIC = 4  # scenes beside the photographs
SPEED_SIDE = 768  # photosites of the tile that is timed


@dataclass(frozen=True)
class Variant:
    """A graph to ship. precision: for the manifest. cost_db: mean over levels; gain: in speed; both against float32."""

    graph: ModelProto
    precision: str = "float32"
    cost_db: float = 0.0
    gain: float = 1.0


def calibration_samples(photos: Path, config: Config) -> list[Feed]:
    """Inputs drawn as in training, from training photographs: every CFA, noise over the whole range."""
    scenes = CleanScenes(photos, synthetic=SYNTHETIC)
    rng = np.random.default_rng(config.seed + 7)
    samples = []
    for _ in range(SAMPLES):
        noisy, _clean, colours, told = draw_sample(rng, scenes, SAMPLE_SIDE, config.mix)
        a, b = (np.full((1, 4, 1, 1), value, dtype=np.float32) for value in told)
        samples.append({"planes": noisy[None], "colors": np.asarray(colours[None], np.float32), "a": a, "b": b})
    return samples


def as_tensors(feed: Feed) -> tuple[torch.Tensor, ...]:
    """A graph's inputs as RawUNet takes them."""
    return tuple(torch.from_numpy(feed[name]) for name in ("planes", "colors", "a", "b"))


def graph_session(graph: ModelProto, threads: int = 0, optimised: bool = True) -> onnxruntime.InferenceSession:
    """The graph, loaded. optimised=False computes it node by node, as a runtime without fused kernels would."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    if not optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])


def graph_psnr(graph: ModelProto, levels: Levels) -> dict[str, float]:
    """Mean raw PSNR in dB per level of the validation set."""
    session = graph_session(graph)
    result = {}
    for label, (noisy, clean, colours, told) in levels:
        figures = []
        for index in range(len(noisy)):
            a, b = (np.full((1, 4, 1, 1), float(value), dtype=np.float32) for value in told[index])
            feed = {"planes": noisy[index, None].numpy(), "colors": colours[index, None].numpy(), "a": a, "b": b}
            (restored,) = session.run(["restored"], feed)
            figures.append(-10 * np.log10(np.mean((restored.clip(0, 1) - clean[index].numpy()) ** 2)))
        result[label] = float(np.mean(figures))
    return result


def graph_seconds(graphs: list[ModelProto], repeats: int = 4) -> list[float]:
    """Processor seconds of one thread on one tile, the least of some repeats: a loaded machine hardly shows."""
    side = SPEED_SIDE // 2
    planes = np.random.default_rng(2).random((1, 4, side, side), dtype=np.float32)
    a, b = np.full((1, 4, 1, 1), 0.004, np.float32), np.full((1, 4, 1, 1), 2e-5, np.float32)
    feed = {"planes": planes, "colors": np.zeros((1, 8, side, side), np.float32), "a": a, "b": b}
    sessions = [graph_session(graph, threads=1) for graph in graphs]
    least = [float("inf")] * len(graphs)
    for _ in range(repeats + 1):
        for index, session in enumerate(sessions):
            began = time.thread_time()
            session.run(None, feed)
            least[index] = min(least[index], time.thread_time() - began)
    return least


def best_variant(
    network: RawUNet, config: Config, photos: Path, first_level: int = 0, ranges: Ranges = MappingProxyType({})
) -> Variant:
    """The fastest graph whose cost is allowed; float32 if none is, or none gains enough. Prints what it measured.

    first_level: the only one to try; 0 tries 1 and then each deeper one. ranges: learnt ones, see training.quantise.
    """
    samples, levels = calibration_samples(photos, config), validation_set(photos)
    depth = len(config.shape.widths)
    plain = Variant(float_graph(network))
    exact = graph_psnr(plain.graph, levels)
    evened = copy.deepcopy(network)
    tensors = [as_tensors(feed) for feed in samples]
    equalise(evened, [level for level in range(1, depth) if level != config.coded_level], tensors)
    even_graph = float_graph(evened)
    for level in [first_level] if first_level else range(1, depth):
        decoder_only = level == config.coded_level
        graph = quantised(even_graph, level, samples, decoder_only, ranges)
        cost = {label: exact[label] - value for label, value in graph_psnr(graph, levels).items()}
        slow, fast = graph_seconds([plain.graph, graph])
        listed = ", ".join(str(number) for number in range(level + decoder_only, depth))
        also = f" and in the decoder at level {level}" if decoder_only else ""
        variant = Variant(
            graph,
            f"int8 at levels {listed}{also}; float32 else",
            round(float(np.mean(list(cost.values()))), 4),
            slow / fast,
        )
        figures = ", ".join(f"{label} {-value:+.3f}" for label, value in cost.items())
        print(f"{variant.precision}: {figures} dB against float32; {variant.gain:.2f} times as fast")
        if max(cost.values()) <= LARGEST_COST_DB and variant.gain >= SMALLEST_GAIN:
            return variant
    print(f"float32 ships: int8 costs more than {LARGEST_COST_DB} dB or gains less than {SMALLEST_GAIN}")
    return plain
