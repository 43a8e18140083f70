"""The baselines are what they claim: a stabiliser of unit variance, an unbiased inverse, PMRID's own anchor line."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import baselines
from plugin_core.frame import NoiseProfile, NoiseSource
from simulation.cameras import BAYER, XTRANS
from simulation.unprocess import cfa_colours


def noisy_level(level: float, a: float, b: float) -> np.ndarray:
    rng = np.random.default_rng(1)
    return (rng.poisson(level / a, (300, 400)) * a + rng.normal(0, b**0.5, (300, 400))).astype(np.float32)


@pytest.mark.parametrize("level", [0.02, 0.1, 0.6])
def test_anscombe_gives_unit_variance(level: float) -> None:
    assert baselines.anscombe(noisy_level(level, 0.002, 1e-5), 0.002, 1e-5).std() == pytest.approx(1, rel=0.04)


@pytest.mark.parametrize("level", [0.002, 0.01, 0.1, 0.6])
def test_exact_inverse_is_unbiased(level: float) -> None:
    a, b = 0.004, 4e-5
    mean = baselines.anscombe(noisy_level(level, a, b), a, b).mean()
    restored = float(baselines.exact_inverse(np.array([mean]), a, b)[0])
    assert restored == pytest.approx(level, abs=0.03 * (a * level + b) ** 0.5)


@pytest.mark.parametrize("pattern", [BAYER["RGGB"], XTRANS])
def test_bm3d_removes_noise_and_keeps_colour(pattern: tuple[tuple[int, ...], ...]) -> None:
    pytest.importorskip("bm3d", reason="bm3d (extra: benchmarks) is missing")
    colours = cfa_colours(pattern, 64, 72)
    clean = np.array([0.1, 0.4, 0.2], dtype=np.float32)[colours]
    a, b = 0.002, 1e-5
    rng = np.random.default_rng(2)
    noisy = (clean + np.sqrt(a * clean + b) * rng.normal(size=clean.shape)).astype(np.float32)
    profile = NoiseProfile((a,) * 3, (b,) * 3, NoiseSource.USER)
    restored = baselines.restore("BM3D", noisy, colours, profile, None)  # type: ignore[arg-type]
    assert np.std(restored - clean) < 0.3 * np.std(noisy - clean)
    for colour in range(3):
        assert restored[colours == colour].mean() == pytest.approx(clean[colours == colour].mean(), rel=0.02)


def test_pmrid_line_maps_our_noise_to_the_anchors() -> None:
    pmrid = pytest.importorskip("benchmarks.pmrid", reason="torch (extra: train) is missing")
    anchor = pmrid.Anchor(k=0.97, s=2.98, v=959.0, scale=256.0)
    a, b = 0.0189, 3.3e-3
    gain, offset = anchor.line(a, b)
    for signal in (0.0, 0.1, 0.7):
        mapped_variance = gain**2 * (a * signal + b)
        anchor_variance = (anchor.k * (gain * signal + offset) * anchor.v + anchor.s) / anchor.v**2
        assert mapped_variance == pytest.approx(anchor_variance, rel=1e-6)


def test_pmrid_has_its_published_size() -> None:
    pmrid = pytest.importorskip("benchmarks.pmrid", reason="torch (extra: train) is missing")
    assert sum(p.numel() for p in pmrid.Network().parameters()) == 1_031_908
