"""What a package says of its network that only the network tells: halo, cost, golden tile, the noise it leaves."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from plugin_core.engine.cancel import CancelToken
from plugin_core.engine.session import open_session
from plugin_core.frame import BAYER_PATTERNS, NoiseProfile, NoiseSource, RawFrame, Rect
from plugin_core.models.package import ModelPackage
from plugin_core.ops.denoise import restore
from plugin_core.ops.mosaic import unshuffle
from simulation.cameras import BAYER
from simulation.scene import make_scene
from simulation.sensor import NoiseDraw, add_noise, extreme_noise
from simulation.unprocess import camera_rgb, cfa_colours, mosaic, random_colour
from training.network import RawUNet
from training.precision import Variant, graph_session

GOLDEN_SIDE = 64
GOLDEN_TOLERANCE = 1e-4  # signal units; runtimes and processors differ in the order of their sums
HALO_BOUND = 4e-5  # of white; the tile test allows 1e-4


@dataclass(frozen=True)
class Example:
    """One noisy mosaic as the network takes it, each with a leading axis of 1."""

    planes: torch.Tensor
    colours: torch.Tensor
    a: torch.Tensor
    b: torch.Tensor

    @property
    def feed(self) -> dict[str, NDArray[np.float32]]:
        """As the graph's inputs."""
        return {"planes": self.planes.numpy(), "colors": self.colours.numpy(), "a": self.a.numpy(), "b": self.b.numpy()}


def example(noisy: NDArray[np.float32], colours: NDArray[np.uint8], draw: NoiseDraw) -> Example:
    """The network's inputs for a mosaic (H, W) with known noise."""
    red, blue = (colours == 0).astype(np.float32), (colours == 2).astype(np.float32)
    planes = np.concatenate([unshuffle(red), unshuffle(blue)])
    a, b = (torch.full((1, 4, 1, 1), float(v)) for v in (draw.a, draw.b))
    return Example(torch.from_numpy(unshuffle(noisy))[None], torch.from_numpy(planes)[None], a, b)


def scene_example(seed: int, side: int, draw: NoiseDraw) -> Example:
    """A noisy piece of a synthetic scene under RGGB."""
    rng = np.random.default_rng(seed)
    rgb = camera_rgb(make_scene(seed, side, side), random_colour(rng))
    colours = cfa_colours(BAYER["RGGB"], side, side)
    return example(add_noise(rng, mosaic(rgb, colours), draw), colours, draw)


def remaining_noise(package: ModelPackage) -> float:
    """The share of sigma that the package leaves on a flat grey field, mean over three noise levels."""
    session, side, shares = open_session(package), 512, []
    for seed, ratio in enumerate((10, 100, 300)):
        draw = extreme_noise(ratio)
        noisy = add_noise(np.random.default_rng(seed), np.full((side, side), 0.18, dtype=np.float32), draw)
        area = Rect(0, 0, side, side)
        frame = RawFrame(noisy, BAYER_PATTERNS["RGGB"], ((0.0,),), (1.0,) * 3, area, area)
        profile = NoiseProfile((draw.a,) * 3, (draw.b,) * 3, NoiseSource.USER)
        residual = restore(frame, profile, session, side, lambda _: None, CancelToken())
        middle = (noisy - residual)[16:-16, 16:-16]
        shares.append(float(middle.std()) / (draw.a * 0.18 + draw.b) ** 0.5)
    return float(np.mean(shares))


@torch.no_grad()
def smallest_halo(network: RawUNet, alignment: int) -> int:
    """Photosites of context after which the result changes by less than HALO_BOUND of white, worst over noise levels.

    The right part of a noisy frame is replaced by another scene; the halo is the distance at which the left part no
    longer notices. The frame is large enough to hold the whole receptive field.
    """
    side, edge = 768, 384
    worst = 0
    for seed, ratio in ((3, 10), (4, 100), (5, 300), (6, 300)):
        draw = extreme_noise(ratio)
        first, second = scene_example(seed, side, draw), scene_example(seed + 50, side, draw)
        mixed = first.planes.clone()
        mixed[..., edge // 2 :] = second.planes[..., edge // 2 :]
        difference = network(first.planes, first.colours, first.a, first.b)
        difference = (difference - network(mixed, first.colours, first.a, first.b)).abs().amax((0, 1, 2))
        noticed = torch.nonzero(difference[: edge // 2] > HALO_BOUND)
        worst = max(worst, edge - 2 * int(noticed.min()) if len(noticed) else 0)
    return -(-worst // alignment) * alignment


def whole_halo(network: RawUNet, alignment: int) -> int:
    """Photosites of context that the result can depend on at all: beyond them its gradient is exactly 0.

    int8 needs all of it. A difference however small can turn a rounding over, and that is seen: a halo that float32
    calls sufficient left differences of 1e-2 of white at E x300, the whole one leaves none.
    """
    exact = copy.deepcopy(network).double()
    reach = alignment * 48
    planes = torch.rand(1, 4, alignment // 2, reach, dtype=torch.float64, requires_grad=True)
    colours = torch.zeros(1, 8, alignment // 2, reach, dtype=torch.float64)
    a, b = (torch.full((1, 4, 1, 1), value, dtype=torch.float64) for value in (1e-3, 1e-5))
    inner = slice(reach // 2, reach // 2 + alignment // 2)  # the planes of one aligned piece
    (gradient,) = torch.autograd.grad(exact(planes, colours, a, b)[..., inner].sum(), planes)
    noticed = torch.nonzero(gradient.abs().amax((0, 1, 2)))
    halo = 2 * max(inner.start - int(noticed.min()), int(noticed.max()) + 1 - inner.stop)
    assert halo < reach - alignment, "the network sees more than was looked at"
    return -(-halo // alignment) * alignment


def macs_per_photosite(network: RawUNet) -> int:
    """Multiply-adds of all convolutions, per photosite of the mosaic."""
    total = 0.0

    def count(module: torch.nn.Module, _inputs: object, output: torch.Tensor) -> None:
        nonlocal total
        assert isinstance(module, torch.nn.Conv2d)
        total += module.weight.numel() * output.shape[-1] * output.shape[-2]

    hooks = [m.register_forward_hook(count) for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
    with torch.no_grad():
        network(torch.zeros(1, 4, 64, 64), torch.zeros(1, 8, 64, 64), torch.ones(1, 4, 1, 1), torch.ones(1, 4, 1, 1))
    for hook in hooks:
        hook.remove()
    return round(total / (128 * 128))


def golden_tolerance(variant: Variant, tile: Example, expected: NDArray[np.float32]) -> float:
    """How far another runtime's or processor's result may be from `expected`, signal units.

    In int8 the last bit of a sum can turn a rounding over. How much that does is seen by computing the graph node by
    node, and with the last bits of its input changed; twice the most is allowed.
    """
    if variant.precision == "float32":
        return GOLDEN_TOLERANCE
    others = [graph_session(variant.graph, optimised=False).run(["restored"], tile.feed)[0]]
    session, rng = graph_session(variant.graph), np.random.default_rng(0)
    for _ in range(20):
        last_bits = (1 + 2e-6 * rng.uniform(-1, 1, tile.planes.shape)).astype(np.float32)
        feed = {**tile.feed, "planes": tile.feed["planes"] * last_bits}
        others.append(session.run(["restored"], feed)[0])
    return max(GOLDEN_TOLERANCE, 2 * max(float(np.abs(other - expected).max()) for other in others))


def write_golden(variant: Variant, path: Path) -> None:
    """The golden tile: seeded inputs, and what the graph itself makes of them."""
    tile = scene_example(77, GOLDEN_SIDE, extreme_noise(100))
    (expected,) = graph_session(variant.graph).run(["restored"], tile.feed)
    tolerance = golden_tolerance(variant, tile, expected)
    np.savez_compressed(path, **tile.feed, expected=expected, tolerance=np.float64(tolerance))
