"""The sensor model: its noise is what it says, and the benchmark levels are the protocol's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from simulation.sensor import (
    DN_RANGE,
    NEF_STAIRCASE,
    STAIRCASE_WHITE,
    NoiseDraw,
    add_noise,
    extreme_noise,
    random_noise,
    staircase_levels,
    unprocessing_noise,
)


@pytest.mark.parametrize("poisson", [False, True])
@pytest.mark.parametrize("tukey_lambda", [None, -0.1, 0.1])
@pytest.mark.parametrize("level", [0.0, 0.05, 0.5])
def test_variance_is_a_signal_plus_b(poisson: bool, tukey_lambda: float | None, level: float) -> None:
    draw = NoiseDraw(a=0.004, read_sigma=0.01, tukey_lambda=tukey_lambda, poisson=poisson, clip_white=False)
    noisy = add_noise(np.random.default_rng(3), np.full((400, 500), level, dtype=np.float32), draw)
    assert noisy.mean() == pytest.approx(level, abs=4e-4)
    assert noisy.var() == pytest.approx(draw.a * level + draw.b, rel=0.03)


def test_row_noise_and_rounding_count_in_b() -> None:
    draw = replace(extreme_noise(100), row_sigma=6 * 100 / DN_RANGE)
    noisy = add_noise(np.random.default_rng(4), np.zeros((3000, 60), dtype=np.float32), draw)
    assert noisy.var() == pytest.approx(draw.b, rel=0.06)
    steps = noisy / draw.step
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-3)


def test_nothing_is_clipped_at_black_but_white_saturates() -> None:
    draw = NoiseDraw(a=1e-3, read_sigma=0.02)
    dark = add_noise(np.random.default_rng(5), np.zeros((50, 50), dtype=np.float32), draw)
    bright = add_noise(np.random.default_rng(5), np.ones((50, 50), dtype=np.float32), draw)
    assert dark.min() < -0.03
    assert bright.max() == 1.0


def test_new_defects_leave_the_random_draws_as_they_were() -> None:
    flat = np.full((60, 80), 0.3, dtype=np.float32)
    plain = NoiseDraw(a=1e-3, read_sigma=0.01, hot_density=0.01)
    ordinary = add_noise(np.random.default_rng(8), flat, plain)
    broken = add_noise(np.random.default_rng(8), flat, replace(plain, dead_density=0.02))
    dead = ordinary != broken
    assert 0.01 < dead.mean() < 0.03
    assert np.abs(broken[dead]).max() < 0.06  # read noise about black, whatever the light


def test_a_staircase_has_the_steps_of_a_lossy_nef() -> None:
    levels = staircase_levels(NEF_STAIRCASE) * STAIRCASE_WHITE
    steps = np.diff(levels)
    assert [round(float(steps[np.searchsorted(levels, at)])) for at in (10, 400, 1500, 3700)] == [1, 3, 7, 10]
    assert 600 < len(levels) < 800
    draw = NoiseDraw(a=3e-5, read_sigma=3e-4, staircase=NEF_STAIRCASE)
    noisy = add_noise(np.random.default_rng(9), np.linspace(0, 1, 6000, dtype=np.float32).reshape(60, 100), draw)
    assert set(np.unique(noisy)) <= set(staircase_levels(NEF_STAIRCASE))


def test_protocol_levels() -> None:
    middle = unprocessing_noise(0.004)
    assert middle.read_sigma**2 == pytest.approx(np.exp(2.18 * np.log(0.004) + 1.20))
    dark = extreme_noise(300)
    assert dark.a == pytest.approx(300 / 15871)
    assert dark.b == pytest.approx((9 + 0.25 + 1 / 12) * (300 / 15871) ** 2)


def test_training_draws_span_the_benchmarks() -> None:
    rng = np.random.default_rng(6)
    draws = [random_noise(rng) for _ in range(2000)]
    slopes, squared_electrons = (
        np.array(v) for v in zip(*((d.a, d.read_sigma**2 / d.a**2) for d in draws), strict=True)
    )
    assert slopes.min() < 2e-5
    assert slopes.max() > 0.0189  # E x300
    assert squared_electrons.min() < 0.1
    assert squared_electrons.max() > 9.3
