"""A loaded model: planes in, planes out. ONNX Runtime lives here and nowhere else."""

from __future__ import annotations

import os
from typing import Any, Protocol

import numpy as np

from plugin_core.errors import LimitError, ModelPackageError, OptionError
from plugin_core.frame import FloatArray
from plugin_core.models.package import Manifest, ModelPackage

__all__ = ["OnnxSession", "Session", "open_session"]

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class Session(Protocol):
    """What ops need of a runtime."""

    @property
    def manifest(self) -> Manifest:
        """The manifest of the loaded package."""

    @property
    def device(self) -> str:
        """Where it runs: "cpu" or "cuda"."""

    def run(self, planes: FloatArray, colors: FloatArray, a: FloatArray, b: FloatArray) -> FloatArray:
        """Restored planes of one tile, (1, 4, h, w) float32 in signal units.

        planes (1, 4, h, w): the mosaic pixel-unshuffled by 2, channel 2 * row + column; 0 black, 1 white.
        colors (1, 8, h, w): 1 where red (channels 0..3) or blue (4..7); monochrome 1/3 everywhere.
        a, b (1, 4, 1, 1): variance = a * signal + b, per position of the 2x2 cell; b > 0.
        """

    def rest(self) -> None:
        """Gives back the memory that runs have taken; the next run takes it again."""


class OnnxSession:
    """A Session on ONNX Runtime."""

    def __init__(self, package: ModelPackage, device: str, threads: int) -> None:
        """Loads the graph. Raises OptionError for a device that is not there, ModelPackageError for a broken graph."""
        # From 1.29 on ONNX Runtime reports its use to its maker unless this is set before it is loaded
        # (microsoft/onnxruntime pull request 27379); photographs' machines call nobody.
        os.environ["ORT_DISABLE_TELEMETRY"] = "1"
        import onnxruntime

        provider = PROVIDERS.get(device)
        if provider is None or provider not in onnxruntime.get_available_providers():
            raise OptionError(
                f'device "{device}" is not available here; ONNX Runtime offers '
                + ", ".join(name for name, p in PROVIDERS.items() if p in onnxruntime.get_available_providers()),
                "NO_SUCH_DEVICE",
            )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = (
            threads or len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else threads
        )
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.manifest = package.manifest
        self.device = device
        try:
            self._session: Any = onnxruntime.InferenceSession(str(package.model_path), options, providers=[provider])
        except Exception as error:  # onnxruntime raises many unrelated classes here
            raise ModelPackageError(f"{package.model_path}: cannot be loaded: {error}", "MODEL_GRAPH") from error

    def run(self, planes: FloatArray, colors: FloatArray, a: FloatArray, b: FloatArray) -> FloatArray:
        """See Session.run. Raises LimitError when memory runs out."""
        feed = {"planes": planes, "colors": colors, "a": a, "b": b}
        try:
            (restored,) = self._session.run(["restored"], feed)
        except Exception as error:
            if "alloc" in str(error).lower() or isinstance(error, MemoryError):
                size = f"{planes.shape[-1] * 2} x {planes.shape[-2] * 2}"
                raise LimitError(f"not enough memory for a tile of {size} photosites", "TILE_MEMORY") from error
            raise
        return np.asarray(restored, dtype=np.float32)

    def rest(self) -> None:
        """See Session.rest: ONNX Runtime shrinks its arena at the end of a run that says so."""
        import onnxruntime

        if self.device != "cpu":
            return
        side = self.manifest.alignment // 2
        feed = {"planes": np.zeros((1, 4, side, side), np.float32), "colors": np.zeros((1, 8, side, side), np.float32)}
        options = onnxruntime.RunOptions()
        options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        self._session.run(["restored"], feed | dict.fromkeys("ab", np.ones((1, 4, 1, 1), np.float32)), options)


def check_golden_tile(session: Session, package: ModelPackage) -> float:
    """The largest difference of the golden tile from its record, in signal units.

    Raises ModelPackageError if it is above the package's tolerance.
    """
    tile = package.golden_tile()
    difference = float(np.abs(session.run(tile.planes, tile.colors, tile.a, tile.b) - tile.expected).max())
    if not difference <= tile.tolerance:
        raise ModelPackageError(
            f"model {package.manifest.id}: golden tile differs by {difference:.2e}, allowed {tile.tolerance:.2e}",
            "MODEL_GOLDEN",
        )
    return difference


def open_session(package: ModelPackage, device: str = "cpu", threads: int = 0) -> Session:
    """A ready session: checksums and golden tile have passed. threads 0 uses every core.

    Raises ModelPackageError, OptionError.
    """
    package.verify()
    session = OnnxSession(package, device, threads)
    check_golden_tile(session, package)
    return session
