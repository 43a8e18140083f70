"""Turns trained weights into a model package: `python -m training.export training/configs/denoise-standard.toml`."""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
from safetensors.torch import load_file

from plugin_core.frame import CfaKind
from plugin_core.models.package import load_package
from plugin_core.models.registry import shipped_directory
from training.coding import read_ranges, write_weights
from training.config import Config, read_config
from training.facts import macs_per_photosite, remaining_noise, smallest_halo, whole_halo, write_golden
from training.graph import float_graph
from training.network import RawUNet
from training.precision import Variant, best_variant

CARDS = Path("training/cards")
FILES = ("model.onnx", "golden.npz", "card.md", "failures.jpg", "weights.safetensors")


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


@contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """A copy of the package to work on, or an empty folder: takes the package's place once the block ends well.

    So nobody reads a package of which half is new, and a failure leaves the one that was there.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder.parent, prefix=".") as beside:
        new = Path(beside) / folder.name
        if folder.exists():
            shutil.copytree(folder, new)
        else:
            new.mkdir()
        yield new
        if folder.exists():
            folder.rename(Path(beside) / "before")
        new.rename(folder)


def refresh(config: Config, folder: Path, card: Card, measured: dict[str, object], version: str) -> None:
    """Renews card, figures and use of a package whose weights stay as they are; and its version, if one is given."""
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    manifest |= {**used(config), "measured": measured, "version": version or manifest["version"]}
    with staged(folder) as new:
        card.write(new, measured)
        seal(manifest, new)


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
    with staged(folder) as new:
        onnx.save(variant.graph, new / "model.onnx")
        write_golden(variant, new / "golden.npz")
        halves = {name: tensor.half().contiguous() for name, tensor in network.state_dict().items()}
        write_weights(halves, ranges, new / "weights.safetensors")  # enough to train on from
        (new / "weights.safetensors").chmod(0o644)  # safetensors writes it for its owner only
        card.write(new, measured)
        seal(manifest, new)
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
