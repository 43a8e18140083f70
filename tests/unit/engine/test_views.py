"""Views of a tile: what the network sees is the mosaic, turned; what comes back lies where it was."""

import json
import shutil

import numpy as np
import pytest

from plugin_core.engine.cancel import CancelToken
from plugin_core.engine.session import open_session
from plugin_core.engine.views import VIEWS, averaged, seen, unseen
from plugin_core.errors import ModelPackageError
from plugin_core.frame import XTRANS_PATTERN, NoiseProfile, NoiseSource
from plugin_core.models.package import VIEW_COUNTS, load_package
from plugin_core.models.registry import shipped_directory
from plugin_core.ops.denoise import restore
from plugin_core.ops.mosaic import shuffle, unshuffle
from tests.builders import make_frame

ALL = VIEWS[4]


@pytest.fixture
def mosaic():
    return np.random.default_rng(0).random((12, 20), dtype=np.float32)


def on_mosaic(view, mosaic):
    """What a view means, on the mosaic itself: turned, the last row and column leave, reflections come in."""
    if view[0]:
        mosaic = mosaic.T
    return np.pad(mosaic[:0:-1, :0:-1], ((1, 0), (1, 0)), mode="reflect") if view[1] else mosaic


@pytest.mark.parametrize("view", ALL)
def test_a_view_is_the_mosaic_transposed_and_turned(view, mosaic):
    planes = np.concatenate([unshuffle(mosaic), unshuffle(2 * mosaic)])[None]
    given = seen(planes, view)
    assert np.array_equal(shuffle(given[0, :4]), on_mosaic(view, mosaic))
    assert np.array_equal(shuffle(given[0, 4:]), on_mosaic(view, 2 * mosaic))
    inner = (..., slice(1, None), slice(1, None))
    assert np.array_equal(unseen(given, view)[inner], planes[inner])


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
    found = averaged(run, views, planes, colors, level, level)
    assert np.allclose(found[..., 1:, 1:], planes[..., 1:, 1:], rtol=1e-6)
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


def test_a_manifest_may_ask_for_these_numbers_of_views():
    assert set(VIEWS) == VIEW_COUNTS


@pytest.fixture
def in_views(tmp_path):
    """A shipped package that is to see X-Trans tiles in so many positions."""

    def make(views):
        folder = shutil.copytree(shipped_directory() / "fast", tmp_path / "copy", dirs_exist_ok=True)
        table = json.loads((folder / "manifest.json").read_text())
        table["views"] = views
        (folder / "manifest.json").write_text(json.dumps(table))
        return load_package(folder)

    return make


@pytest.mark.parametrize("views", [{"xtrans": 3}, 4, {"bayer": "4"}])
def test_other_numbers_are_refused(in_views, views):
    with pytest.raises(ModelPackageError, match=r"manifest\.json: views: .*\{1, 2, 4\} by CFA kind"):
        in_views(views)


@pytest.mark.parametrize("shift", [(0, 0), (1, 3)])
def test_views_go_over_tiles_without_a_seam(in_views, shift):
    frame = make_frame(500, 420, XTRANS_PATTERN.shifted(*shift), noise=(1e-3, 1e-4))
    profile = NoiseProfile((1e-3,) * 3, (1e-4,) * 3, NoiseSource.USER)

    def restored(views, inner):
        session = open_session(in_views({"xtrans": views}))
        return restore(frame, profile, session, inner, lambda _: None, CancelToken()).astype(np.float32)

    whole = restored(4, 1024)
    assert np.abs(restored(4, 160) - whole).max() <= 1e-4 * frame.white_level[0]
    single = restored(1, 1024)
    assert 0.001 < np.abs(whole - single).mean() / np.abs(single).mean() < 0.2
