"""Views of a tile: what the network sees is the mosaic, turned; what comes back lies where it was."""

import numpy as np
import pytest

from plugin_core.engine.views import VIEWS, averaged, seen, unseen
from plugin_core.ops.denoise import shuffle, unshuffle

ALL = VIEWS[4]


@pytest.fixture
def mosaic():
    return np.random.default_rng(0).random((12, 20), dtype=np.float32)


def on_mosaic(view, mosaic):
    """What a view means, on the mosaic itself."""
    if view[0]:
        mosaic = mosaic.T
    return np.roll(mosaic[::-1, ::-1], (1, 1), (0, 1)) if view[1] else mosaic


@pytest.mark.parametrize("view", ALL)
def test_a_view_is_the_mosaic_transposed_and_turned(view, mosaic):
    planes = np.concatenate([unshuffle(mosaic), unshuffle(2 * mosaic)])[None]
    given = seen(planes, view)
    assert np.array_equal(shuffle(given[0, :4]), on_mosaic(view, mosaic))
    assert np.array_equal(shuffle(given[0, 4:]), on_mosaic(view, 2 * mosaic))
    assert np.array_equal(unseen(given, view), planes)


@pytest.mark.parametrize("view", ALL)
def test_rggb_cells_stay_rggb_cells(view):
    colours = np.zeros((1, 8, 6, 10), dtype=np.float32)
    colours[:, 0], colours[:, 7] = 1, 1
    given = seen(colours, view)
    assert np.array_equal(given, np.broadcast_to(colours[:, :, :1, :1], given.shape))


@pytest.mark.parametrize("view", ALL)
def test_noise_parameters_go_with_their_photosites(view):
    a = np.arange(4, dtype=np.float32).reshape(1, 4, 1, 1)
    assert seen(a, view).ravel().tolist() == ([0, 2, 1, 3] if view[0] else [0, 1, 2, 3])


@pytest.mark.parametrize("views", VIEWS)
def test_a_network_that_changes_nothing_gives_the_tile(views, mosaic):
    planes = unshuffle(mosaic)[None]
    level = np.ones((1, 4, 1, 1), dtype=np.float32)
    calls = []

    def run(planes, colors, a, b):
        calls.append(planes.shape)
        return planes

    colors = np.zeros((1, 8, *planes.shape[2:]), np.float32)
    assert np.allclose(averaged(run, views, planes, colors, level, level), planes, rtol=1e-6)
    assert len(calls) == views


def test_the_mean_over_views_is_taken(mosaic):
    planes = unshuffle(mosaic)[None]
    level = np.ones((1, 4, 1, 1), dtype=np.float32)
    answers = iter((1.0, 2.0, 3.0, 6.0))
    result = averaged(
        lambda planes, *_: np.full_like(planes, next(answers)),
        4,
        planes,
        np.concatenate([planes, planes], 1),
        level,
        level,
    )
    assert np.all(result == 3.0)
