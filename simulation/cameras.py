"""Colour matrices of real cameras and the CFA patterns that scenes are sampled with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]

# XYZ (D65) -> camera, x 10000, as DNG ColorMatrix holds them. The first four are the ones of Brooks et al. 2019
# ("Unprocessing Images for Learned Raw Denoising"), the others Adobe's published matrices for the named cameras.
XYZ_TO_CAMERA: dict[str, tuple[int, ...]] = {
    "unprocessing-1": (10234, -2969, -2266, -5625, 16328, -469, -703, 2188, 6406),
    "unprocessing-2": (4913, -541, -202, -6130, 13513, 2906, -1564, 2151, 7183),
    "unprocessing-3": (8380, -2630, -639, -2887, 10725, 2496, -627, 1427, 5438),
    "unprocessing-4": (6596, -2079, -562, -4782, 13016, 1933, -970, 1581, 5181),
    "Sony ILCE-7M3": (7374, -2389, -551, -5435, 13162, 2519, -1006, 1795, 6552),
    "Canon EOS 5D Mark IV": (6446, -366, -864, -4436, 12204, 2513, -952, 2496, 6348),
    "Canon EOS 30D": (6257, -303, -1000, -7880, 15621, 2396, -1714, 1904, 7046),
    "Nikon D850": (10405, -3755, -1270, -5461, 13787, 1793, -1040, 2015, 6785),
    "Fujifilm X-T2": (11434, -4948, -1210, -3746, 12042, 1903, -666, 1479, 5235),
}

# linear sRGB -> XYZ (D65), IEC 61966-2-1.
SRGB_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)

# Colour index of each CFA position: 0 R, 1 G, 2 B, as DNG CFAPattern writes them.
BAYER: dict[str, tuple[tuple[int, ...], ...]] = {
    "RGGB": ((0, 1), (1, 2)),
    "BGGR": ((2, 1), (1, 0)),
    "GRBG": ((1, 0), (2, 1)),
    "GBRG": ((1, 2), (0, 1)),
}
XTRANS: tuple[tuple[int, ...], ...] = (
    (1, 2, 1, 1, 0, 1),
    (0, 1, 0, 2, 1, 2),
    (1, 2, 1, 1, 0, 1),
    (1, 0, 1, 1, 2, 1),
    (2, 1, 2, 0, 1, 0),
    (1, 0, 1, 1, 2, 1),
)


def xyz_to_camera(name: str) -> FloatArray:
    """The camera's matrix, (3, 3) float32, XYZ (D65) to camera RGB, as DNG ColorMatrix."""
    return (np.array(XYZ_TO_CAMERA[name]) / 10000).reshape(3, 3).astype(np.float32)


def srgb_to_camera(xyz_to_cam: FloatArray) -> FloatArray:
    """Linear sRGB to white-balanced camera RGB, (3, 3) float32, rows summing to 1.

    Source: Brooks et al. 2019 §3.3; the row normalisation is dcraw's, so that white stays white.
    """
    matrix = xyz_to_cam.astype(np.float64) @ SRGB_TO_XYZ
    return np.asarray(matrix / matrix.sum(axis=1, keepdims=True), dtype=np.float32)


def random_xyz_to_camera(rng: np.random.Generator) -> FloatArray:
    """A random convex mix of the real cameras' matrices, (3, 3) float32."""
    weights = rng.dirichlet(np.ones(len(XYZ_TO_CAMERA)))
    matrices = np.array(list(XYZ_TO_CAMERA.values()), dtype=np.float64) / 10000
    return np.asarray(weights @ matrices, dtype=np.float32).reshape(3, 3)
