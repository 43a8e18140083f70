from __future__ import annotations

import imagecodecs
import numpy as np
import pytest

from plugin_core.frame import UInt16Array
from plugin_core.io.encode import encode_tiles, tile_side


@pytest.mark.parametrize(
    ("size", "side"), [((4000, 6000), 256), ((255, 300), 128), ((300, 17), 16), ((16, 16), 16), ((15, 900), 0)]
)
def test_tiles_are_never_longer_than_the_image(size: tuple[int, int], side: int) -> None:
    assert tile_side(*size) == side


@pytest.mark.parametrize("shape", [(37, 53), (32, 48), (33, 17), (40, 50, 3)], ids=str)
def test_tiles_decode_to_the_image(shape: tuple[int, ...]) -> None:
    image: UInt16Array = np.random.default_rng(3).integers(0, 65536, shape).astype(np.uint16)
    side = 16
    tiles = encode_tiles(lambda top, left, h, w: image[top : top + h, left : left + w], *shape[:2], side)
    rows, columns = -(-shape[0] // side), -(-shape[1] // side)
    assert len(tiles) == rows * columns
    whole = np.zeros((rows * side, columns * side, *shape[2:]), np.uint16)
    for i, tile in enumerate(tiles):
        top, left = i // columns * side, i % columns * side
        whole[top : top + side, left : left + side] = imagecodecs.jpeg8_decode(tile).reshape(side, side, *shape[2:])
    np.testing.assert_array_equal(whole[: shape[0], : shape[1]], image)


def test_padding_repeats_the_last_two_columns() -> None:
    image = np.arange(18 * 18, dtype=np.uint16).reshape(18, 18)
    last = encode_tiles(lambda top, left, h, w: image[top : top + h, left : left + w], 18, 18, 16)[1]
    tile = imagecodecs.jpeg8_decode(last).reshape(16, 16)
    np.testing.assert_array_equal(tile[:, 0::2], np.repeat(tile[:, :1], 8, axis=1))
    np.testing.assert_array_equal(tile[:, 1::2], np.repeat(tile[:, 1:2], 8, axis=1))
