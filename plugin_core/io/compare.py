"""How far two renders of one picture are apart: for self-tests that must see what a host shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from plugin_core.errors import FileFormatError

__all__ = ["psnr"]


def psnr(one: Path, other: Path) -> float:
    """Peak signal-to-noise ratio of two 16-bit TIFF renders in dB, peak 65535; inf where they are equal.

    Raises FileFormatError where one can't be read, or their sizes differ: then they don't show the same picture.
    """
    first, second = _read(one), _read(other)
    if first.shape != second.shape:
        raise FileFormatError(f"renders are {first.shape} and {second.shape}, expected the same size", "RENDER_SIZE")
    error = float(np.mean((first.astype(np.float64) - second) ** 2))
    return float("inf") if error == 0 else float(10 * np.log10(65535.0**2 / error))


def _read(path: Path) -> NDArray[Any]:
    try:
        picture: NDArray[Any] = tifffile.imread(path)
    except (OSError, ValueError, tifffile.TiffFileError) as error:
        raise FileFormatError(f"{path.name}: no render ({error})", "NO_RENDER") from error
    return picture
