"""The operation's invariants on the shipped default model: phases, sizes, tiles, clipping, levels, cancelling."""

from dataclasses import replace

import numpy as np
import pytest

from plugin_core.engine.cancel import CancelToken
from plugin_core.engine.session import open_session
from plugin_core.errors import JobCancelledError, NoModelError, OptionError
from plugin_core.frame import BAYER_PATTERNS, XTRANS_PATTERN, CfaPattern, NoiseProfile, NoiseSource, RawFrame, Rect
from plugin_core.models import Registry
from plugin_core.ops.blend import BlendOptions, apply
from plugin_core.ops.denoise import cell_origin, cell_profile, restore
from plugin_core.ops.mosaic import shuffle, unshuffle
from simulation.cameras import XTRANS as SIMULATED_XTRANS
from tests.builders import PATTERNS, XTRANS, make_frame, make_linear

PROFILE = NoiseProfile((1e-3,) * 3, (1e-5,) * 3, NoiseSource.USER)
MONO_PROFILE = NoiseProfile((1e-3,), (1e-5,), NoiseSource.USER)
SESSION = open_session(Registry().get())
ANY_CFA = pytest.mark.parametrize("cfa", sorted(PATTERNS))


def profile_for(frame):
    return MONO_PROFILE if frame.cfa.plane_count == 1 else PROFILE


def residual_of(frame, inner=2048, session=SESSION):
    return restore(frame, profile_for(frame), session, inner, lambda share: None, CancelToken())


@pytest.mark.parametrize("shape", [(2, 2), (8, 6), (64, 130)])
def test_shuffle_undoes_unshuffle(shape):
    mosaic = np.random.default_rng(0).random(shape, dtype=np.float32)
    planes = unshuffle(mosaic)
    assert planes[3, 0, 0] == mosaic[1, 1]
    np.testing.assert_array_equal(shuffle(planes), mosaic)


@pytest.mark.parametrize("pattern", BAYER_PATTERNS.values())
def test_cells_of_every_bayer_phase_hold_rggb(pattern):
    rows, columns = cell_origin(pattern)
    assert pattern.shifted(-rows, -columns) == BAYER_PATTERNS["RGGB"]


def test_cells_start_alike_wherever_an_xtrans_file_starts():
    even = {XTRANS_PATTERN.shifted(rows, columns) for rows in (0, 2, 4) for columns in (0, 2, 4)}
    for rows in range(6):
        for columns in range(6):
            pattern = XTRANS_PATTERN.shifted(rows, columns)
            lead = cell_origin(pattern)
            assert pattern.shifted(-lead[0], -lead[1]) in even
    assert CfaPattern(SIMULATED_XTRANS) == XTRANS_PATTERN
    assert cell_origin(CfaPattern(((0,),))) == (0, 0)


@ANY_CFA
@pytest.mark.parametrize("size", [(97, 131), (64, 64), (1, 9), (2, 2)])
def test_every_cfa_and_odd_sizes_lose_noise(cfa, size):
    frame = make_frame(*size, cfa=cfa, noise=(1e-3, 1e-5), seed=3)
    clean = make_frame(*size, cfa=cfa, noise=None).signal()
    residual = residual_of(frame)
    assert residual.shape == size
    if size[0] > 50:
        still = ~frame.saturated() & (clean < 1.0)
        before = np.mean((frame.signal() - clean)[still] ** 2)
        after = np.mean((apply(frame, residual, BlendOptions()).signal() - clean)[still] ** 2)
        assert after < (0.6 if size[0] > 64 else 0.85) * before  # 64 photosites of this scene are nearly all edges


@ANY_CFA
def test_tiled_equals_whole(cfa):
    frame = make_frame(301, 423, cfa=cfa, noise=(1e-3, 1e-5), seed=4)
    span = frame.white_level[0] - frame.black_level[0][0]
    whole = residual_of(frame).astype(np.float32)
    for inner in (96, 160, 224):
        assert np.abs(residual_of(frame, inner).astype(np.float32) - whole).max() / span <= 1e-4


@pytest.mark.parametrize("name", sorted(BAYER_PATTERNS))
def test_phases_agree_after_shifting_the_crop(name):
    """The same photosites seen through another phase of the CFA are restored alike."""
    frame = make_frame(260, 260, cfa=name, noise=(1e-3, 1e-5), seed=5)
    moved = replace(frame, cfa=frame.cfa.shifted(1, 1), active_area=Rect(1, 1, 258, 258))
    first = apply(frame, residual_of(frame), BlendOptions()).mosaic[65:-65, 65:-65]
    second = apply(moved, residual_of(moved), BlendOptions()).mosaic[65:-65, 65:-65]
    noise = np.sqrt(1e-3 * 0.3 + 1e-5) * 15871
    assert np.sqrt(np.mean((first - second) ** 2)) < 0.35 * noise


def test_masked_borders_are_left_alone_and_saturation_stays():
    frame = make_frame(80, 90, border=(6, 4, 8, 2), noise=(1e-3, 1e-5))
    result = apply(frame, residual_of(frame), BlendOptions())
    outside = np.ones(frame.mosaic.shape, dtype=bool)
    outside[frame.active_area.slices] = False
    np.testing.assert_array_equal(result.mosaic[outside], frame.mosaic[outside])
    clipped = frame.saturated()
    assert clipped.any()
    np.testing.assert_array_equal(
        result.mosaic[frame.active_area.slices][clipped], frame.mosaic[frame.active_area.slices][clipped]
    )


@pytest.mark.parametrize("cfa", ["RGGB", "XTRANS"])
@pytest.mark.parametrize("level", [0.0, 0.001, 0.01, 0.18, 0.7])
def test_flat_fields_keep_their_mean(cfa, level):
    rng = np.random.default_rng(8)
    a, b = 1e-3, 1e-5
    noisy = level + np.sqrt(a * level + b) * rng.standard_normal((256, 256))
    frame = make_frame(256, 256, cfa=cfa, noise=None)
    frame = replace(frame, mosaic=(512 + 15871 * noisy).astype(np.float32))
    restored = apply(frame, residual_of(frame), BlendOptions()).signal()
    assert abs(float(restored.mean() - frame.signal().mean())) <= 1e-3
    assert restored.std() < 0.5 * noisy.std()


@ANY_CFA
def test_a_darker_exposure_gives_a_darker_result(cfa):
    """(x / r, a / r, b / r^2) is the same picture: a push of five stops costs nothing in the network."""
    frame = make_frame(120, 150, cfa=cfa, noise=None)
    rng = np.random.default_rng(9)
    signal = 0.7 * np.clip(frame.signal(), 0, 1)
    noisy = signal + np.sqrt(1e-3 * signal + 1e-5) * rng.standard_normal(signal.shape)
    planes = frame.cfa.plane_count

    def restored(ratio):
        dark = replace(frame, mosaic=(512 + 15871 * noisy / ratio).astype(np.float32))
        profile = NoiseProfile((1e-3 / ratio,) * planes, (1e-5 / ratio**2,) * planes, NoiseSource.USER)
        residual = restore(dark, profile, SESSION, 512, lambda share: None, CancelToken())
        return apply(dark, residual, BlendOptions()).signal() * ratio

    bright = noisy < 0.8  # above, the network knows where white is
    # 3 % of the noise: in int8 the last bit of a sum can turn a rounding over
    assert np.abs(restored(32.0) - restored(1.0))[bright].mean() < 5e-4


def test_per_plane_profiles_go_to_their_photosites():
    a, b = cell_profile(PATTERNS["GBRG"], NoiseProfile((1.0, 2.0, 3.0), (4.0, 5.0, 6.0), NoiseSource.USER))
    np.testing.assert_array_equal(a.ravel(), [2, 3, 1, 2])
    np.testing.assert_array_equal(b.ravel(), [5, 6, 4, 5])
    a, _ = cell_profile(XTRANS, NoiseProfile((1.0, 2.0, 3.0), (0.0,) * 3, NoiseSource.USER))
    np.testing.assert_allclose(a.ravel(), [(8 * 1 + 20 * 2 + 8 * 3) / 36] * 4)


def test_linear_images_are_restored_per_channel():
    image = make_linear(70, 90)
    residual = restore(image, PROFILE, SESSION, 512, lambda share: None, CancelToken())
    assert residual.shape == image.pixels.shape


def test_progress_rises_to_one_and_cancel_ends_it():
    frame = make_frame(200, 200)
    shares = []
    restore(frame, PROFILE, SESSION, 64, shares.append, CancelToken())
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    token = CancelToken()

    def stop_at_half(share):
        if share >= 0.5:
            token.cancel()

    with pytest.raises(JobCancelledError):
        restore(frame, PROFILE, SESSION, 64, stop_at_half, token)


def test_wrong_planes_and_foreign_cfa_are_refused():
    with pytest.raises(OptionError, match="1 planes"):
        restore(make_frame(), MONO_PROFILE, SESSION, 256, lambda share: None, CancelToken())

    class BayerOnly:
        manifest = replace(SESSION.manifest, cfa_kinds=("bayer",))
        device = "cpu"

    frame: RawFrame = make_frame(cfa="XTRANS")
    with pytest.raises(NoModelError, match="not for xtrans"):
        restore(frame, PROFILE, BayerOnly(), 256, lambda share: None, CancelToken())
