"""Turns trained weights into a model package: `python -m training.export training/configs/denoise-standard.toml`."""

from __future__ import annotations

import argparse
import copy
import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from plugin_core.engine.cancel import CancelToken
from plugin_core.engine.session import open_session
from plugin_core.frame import BAYER_PATTERNS, CfaKind, NoiseProfile, NoiseSource, RawFrame, Rect
from plugin_core.models.package import ModelPackage, load_package
from plugin_core.models.registry import shipped_directory
from plugin_core.ops.denoise import restore
from plugin_core.ops.mosaic import unshuffle
from simulation.cameras import BAYER
from simulation.scene import make_scene
from simulation.sensor import NoiseDraw, add_noise, extreme_noise
from simulation.unprocess import camera_rgb, cfa_colours, mosaic, random_colour
from training.coding import read_ranges, write_weights
from training.config import Config, read_config
from training.graph import float_graph
from training.network import RawUNet
from training.precision import Variant, best_variant, graph_session

CARDS = Path("training/cards")
FILES = ("model.onnx", "golden.npz", "card.md", "failures.jpg", "weights.safetensors")
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


def write_manifest(manifest: dict[str, object], folder: Path) -> None:
    """Writes manifest.json with the checksums of the package's files as they are now."""
    files = [name for name in FILES if (folder / name).exists()]
    manifest["sha256"] = {f: hashlib.sha256((folder / f).read_bytes()).hexdigest() for f in files}
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def figures_table(measured: dict[str, object]) -> str:
    """The card's table of measured figures, Markdown; a sentence where nothing has been measured yet."""
    rows = measured.get("rows")
    if not isinstance(rows, list):
        return "Not measured yet for these weights."
    columns = list(rows[0])
    lines = ["| " + " | ".join(columns) + " |", "| " + " | ".join("---" for _ in columns) + " |"]
    lines += ["| " + " | ".join(str(row[c]) for c in columns) + " |" for row in rows]
    return "\n".join(lines) + f"\n\nMade by `{measured['command']}`; {measured['note']}"


@dataclass(frozen=True)
class Card:
    """The card's text, in which {figures} is filled in, and pictures of where the model fails, if there are any."""

    text: str
    pictures: Path | None = None

    def write(self, folder: Path, measured: dict[str, object]) -> None:
        """Puts both into the package."""
        (folder / "card.md").write_text(self.text.replace("{figures}", figures_table(measured)), encoding="utf-8")
        if self.pictures:
            shutil.copyfile(self.pictures, folder / "failures.jpg")


def read_card(name: str) -> Card:
    """The card of training/cards by its config's name."""
    pictures = CARDS / f"{name}.jpg"
    return Card((CARDS / f"{name}.md").read_text(encoding="utf-8"), pictures if pictures.exists() else None)


def used(config: Config) -> dict[str, object]:
    """The manifest's fields that say how a graph is used, none of which changes it."""
    return {"tile_ratio": config.tile_ratio, "views": config.views, "coarser_scales": config.coarser_scales}


def seal(manifest: dict[str, object], folder: Path) -> None:
    """Writes the manifest with the noise that the package leaves, which only the package itself can say."""
    write_manifest({**manifest, "remaining_noise": 0.0}, folder)
    manifest["remaining_noise"] = round(remaining_noise(load_package(folder)), 4)
    write_manifest(manifest, folder)


def refresh(config: Config, folder: Path, card: Card, measured: dict[str, object], version: str) -> None:
    """Renews card, figures and use of a package whose weights stay as they are; and its version, if one is given."""
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    manifest |= {**used(config), "measured": measured, "version": version or manifest["version"]}
    card.write(folder, measured)
    seal(manifest, folder)


def export(
    config: Config,
    weights: Path,
    folder: Path,
    card: Card,
    measured: dict[str, object],
    version: str,
    photos: Path | None = None,
    first_level: int = 0,
) -> None:
    """Writes the package. `measured` holds figures made by benchmarks/ with these very weights.

    photos: pictures with split.csv to find ranges for int8 on and to measure its cost; None ships float32.
    first_level: int8 from this level down only; 0 lets the cost decide.
    """
    network = RawUNet(config.shape).eval()
    network.load_state_dict(load_file(weights))
    ranges = read_ranges(weights)
    variant = best_variant(network, config, photos, first_level, ranges) if photos else Variant(float_graph(network))
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(variant.graph, folder / "model.onnx")
    write_golden(variant, folder / "golden.npz")
    halves = {name: tensor.half().contiguous() for name, tensor in network.state_dict().items()}
    write_weights(halves, ranges, folder / "weights.safetensors")  # enough to train on from
    (folder / "weights.safetensors").chmod(0o644)  # safetensors writes it for its owner only
    card.write(folder, measured)
    name, alignment = config.name.removeprefix("denoise-"), config.shape.alignment
    halo = smallest_halo(network, alignment) if variant.precision == "float32" else whole_halo(network, alignment)
    manifest: dict[str, object] = {
        "format": 1,
        "id": name,
        "version": version,
        "op": "denoise",
        "default": name == "standard",
        "description": f"{name}: mosaic denoiser for Bayer, X-Trans and monochrome, one weight set",
        "licence": "Apache-2.0",
        "cfa_kinds": [kind.value for kind in CfaKind],
        "halo": halo,
        "alignment": alignment,
        "parameters": sum(p.numel() for p in network.parameters()),
        "flops_per_photosite": 2 * macs_per_photosite(network),
        "precision": variant.precision,
        "precision_cost_db": variant.cost_db,
        **used(config),
        "data": "234 photographs (CID22-512 CC BY-SA 4.0, CLIC 2025 Unsplash License, desktop wallpapers CC0, CC BY, "
        "CC BY-SA, Unsplash, LGPL-3), unprocessed to camera RGB, and synthetic scenes; see card.md",
        "recipe": f"python -m training.denoise training/configs/{config.name}.toml && "
        f"python -m training.export training/configs/{config.name}.toml",
        "measured": measured,
    }
    seal(manifest, folder)
    print(json.dumps({k: manifest[k] for k in ("id", "version", "precision", "halo", "parameters", "remaining_noise")}))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("--weights", type=Path, help="default runs/<name>.safetensors")
    parser.add_argument("--out", type=Path, help="default plugin_core/models/store/<id>")
    parser.add_argument("--version", default="", help="default 1.0.0, or with --figures-only the one it has")
    parser.add_argument("--photos", type=Path, default=Path("../shared/data/photos"), help="to find int8 ranges on")
    parser.add_argument("--float32", action="store_true", help="ship no int8")
    parser.add_argument("--int8-from", type=int, default=0, help="level; default: as many as cost little enough")
    parser.add_argument("--figures-only", action="store_true", help="renew card, figures and use, keep the weights")
    arguments = parser.parse_args()
    config = read_config(arguments.config)
    name = config.name.removeprefix("denoise-")
    folder = arguments.out or shipped_directory() / name
    card = read_card(config.name)
    figures = CARDS / f"{config.name}.json"
    measured = json.loads(figures.read_text()) if figures.exists() else {}
    weights = arguments.weights or Path("runs") / f"{config.name}.safetensors"
    if arguments.figures_only:
        refresh(config, folder, card, measured, arguments.version)
        return
    photos = None if arguments.float32 else arguments.photos
    first_level = arguments.int8_from or config.coded_level
    export(config, weights, folder, card, measured, arguments.version or "1.0.0", photos, first_level)


if __name__ == "__main__":
    main()
