"""A model package: a folder of manifest.json, model.onnx, golden.npz, card.md, weights.safetensors, checksummed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import MISSING, dataclass, field, fields
from functools import cached_property
from pathlib import Path

import numpy as np

from plugin_core.errors import ModelPackageError
from plugin_core.frame import CfaKind, FloatArray

__all__ = ["GoldenTile", "Manifest", "ModelPackage", "load_package"]

MODEL_FILE = "model.onnx"
GOLDEN_FILE = "golden.npz"
CARD_FILE = "card.md"
WEIGHTS_FILE = "weights.safetensors"
VIEW_COUNTS = {1, 2, 4}
MOST_SCALES = 4


@dataclass(frozen=True)
class Manifest:
    """What manifest.json says.

    halo: photosites around a tile that the graph's result depends on, to within the tile test's 1e-4 of white.
    alignment: tile sides and origins are multiples of this many photosites.
    remaining_noise: sigma left on a flat field at strength 1, as a share of the sigma that was there.
    precision: what the graph computes in. precision_cost_db: raw PSNR that float32 would have more, dB.
    tile_ratio: sides of this model's tiles against the server's, for much the same memory.
    flops_per_photosite: of one pass through the graph.
    views: by CFA kind, in how many positions each tile goes through the graph and is averaged, see engine.views.
    coarser_scales: at how many coarser scales a frame is restored besides its own, see ops.scales.
    sha256: lower-case hex of each file of the package but the manifest.
    measured: figures by name, each with the command that makes them under "command".
    """

    id: str
    version: str
    op: str
    description: str
    licence: str
    cfa_kinds: tuple[str, ...]
    halo: int
    alignment: int
    parameters: int
    flops_per_photosite: int
    remaining_noise: float
    sha256: dict[str, str]
    data: str
    recipe: str
    measured: dict[str, object]
    precision: str = "float32"
    precision_cost_db: float = 0.0
    tile_ratio: float = 1.0
    views: dict[str, int] = field(default_factory=dict)
    coarser_scales: int = 0
    default: bool = False
    format: int = 1

    @property
    def weights_sha256(self) -> str:
        """Digest of the file that is run: it names the weights in provenance and cache keys."""
        return self.sha256[MODEL_FILE]

    def handles(self, kind: CfaKind) -> bool:
        """True if the model restores mosaics of this kind."""
        return kind.value in self.cfa_kinds

    def views_of(self, kind: CfaKind) -> int:
        """In how many positions the model sees each tile of a mosaic of this kind: 1, 2 or 4."""
        return self.views.get(kind.value, 1)

    def halo_of(self, kind: CfaKind) -> int:
        """Photosites of context that tiles of such a mosaic need: turned views reach one photosite further."""
        return self.halo + (self.alignment if self.views_of(kind) > 1 else 0)


@dataclass(frozen=True)
class GoldenTile:
    """Seeded inputs and the recorded output of one tile; shapes as in engine.session.Session.run."""

    planes: FloatArray
    colors: FloatArray
    a: FloatArray
    b: FloatArray
    expected: FloatArray
    tolerance: float


@dataclass(frozen=True)
class ModelPackage:
    """A folder whose manifest has been read; its files are checked by `verify`."""

    directory: Path
    manifest: Manifest

    @property
    def model_path(self) -> Path:
        """The ONNX graph."""
        return self.directory / MODEL_FILE

    @cached_property
    def card(self) -> str:
        """The model card, Markdown."""
        try:
            return (self.directory / CARD_FILE).read_text(encoding="utf-8")
        except OSError as error:
            raise ModelPackageError(
                f"{self.directory}: no model card: {error.strerror}", "MODEL_FILE_MISSING"
            ) from error

    def verify(self) -> None:
        """Checks every file's checksum. Raises ModelPackageError naming the first that differs."""
        for name, expected in self.manifest.sha256.items():
            path = self.directory / name
            try:
                with open(path, "rb") as stream:
                    found = hashlib.file_digest(stream, "sha256").hexdigest()
            except OSError as error:
                raise ModelPackageError(f"{path}: {error.strerror}", "MODEL_FILE_MISSING") from error
            if found != expected:
                raise ModelPackageError(
                    f"{path}: sha256 is {found[:12]}..., the manifest says {expected[:12]}...",
                    "MODEL_CHECKSUM",
                    {"found": found, "expected": expected},
                )

    def golden_tile(self) -> GoldenTile:
        """The recorded tile. Raises ModelPackageError if it can't be read."""
        try:
            with np.load(self.directory / GOLDEN_FILE, allow_pickle=False) as arrays:
                planes, colors, a, b, expected = (arrays[k] for k in ("planes", "colors", "a", "b", "expected"))
                return GoldenTile(planes, colors, a, b, expected, float(arrays["tolerance"]))
        except (OSError, KeyError, ValueError) as error:
            raise ModelPackageError(f"{self.directory}: golden tile unreadable: {error}", "MODEL_GOLDEN") from error


def load_package(directory: Path) -> ModelPackage:
    """The package in a folder, manifest read and checked for completeness, files not yet checked.

    Raises ModelPackageError if the manifest is missing, is no JSON, lacks a field or has an unknown one.
    """
    path = directory / "manifest.json"
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelPackageError(f"{path}: {error.strerror}", "MODEL_FILE_MISSING") from error
    except ValueError as error:
        raise ModelPackageError(f"{path}: not valid JSON: {error}", "MODEL_MANIFEST") from error
    if not isinstance(table, dict):
        raise ModelPackageError(f"{path}: expected a JSON object", "MODEL_MANIFEST")
    known = {each.name for each in fields(Manifest)}
    needed = {f.name for f in fields(Manifest) if f.default is MISSING and f.default_factory is MISSING}
    if missing := needed - table.keys():
        raise ModelPackageError(f"{path}: lacks {', '.join(sorted(missing))}", "MODEL_MANIFEST")
    if unknown := table.keys() - known:
        raise ModelPackageError(f"{path}: unknown {', '.join(sorted(unknown))}", "MODEL_MANIFEST")
    if table.get("format", 1) != 1:
        raise ModelPackageError(f"{path}: format {table['format']}, this version reads format 1", "MODEL_MANIFEST")
    views = table.get("views", {})
    if not isinstance(views, dict) or not set(views.values()) <= VIEW_COUNTS:
        raise ModelPackageError(f"{path}: views: {views}; a number of {VIEW_COUNTS} by CFA kind", "MODEL_MANIFEST")
    if table.get("coarser_scales", 0) not in range(MOST_SCALES + 1):
        raise ModelPackageError(
            f"{path}: coarser_scales: {table['coarser_scales']}; 0 to {MOST_SCALES}", "MODEL_MANIFEST"
        )
    table["cfa_kinds"] = tuple(table["cfa_kinds"])
    manifest = Manifest(**table)
    if MODEL_FILE not in manifest.sha256:
        raise ModelPackageError(f"{path}: no checksum for {MODEL_FILE}", "MODEL_MANIFEST")
    return ModelPackage(directory, manifest)
