"""The line through points of which some lie too high, and what clipping at black took away."""

from __future__ import annotations

import numpy as np
import pytest

from plugin_core.noise.fit import Points, fit_line, nonnegative_pair, undo_clipping


def points(a: float, b: float, error: float = 0.03) -> Points:
    signal = np.linspace(0.001, 0.8, 24) ** 2
    noise = 1 + error * np.random.default_rng(1).normal(size=24)
    return Points(signal, (a * signal + b) * noise, np.full(24, error))


@pytest.mark.parametrize(("a", "b"), [(1e-4, 1e-7), (2e-2, 1e-3), (1e-3, 1e-5)])
def test_a_clean_line_is_found(a: float, b: float) -> None:
    line = fit_line(points(a, b))
    assert line.a == pytest.approx(a, rel=0.05)
    assert line.b == pytest.approx(b, rel=0.2)


def test_points_lifted_by_texture_hardly_move_it() -> None:
    given = points(1e-3, 1e-5)
    lifted = given.variance.copy()
    lifted[::3] *= 4
    line = fit_line(Points(given.signal, lifted, given.error))
    assert line.a == pytest.approx(1e-3, rel=0.08)


def test_b_stays_above_rounding() -> None:
    assert fit_line(points(1e-3, 0.0), least_b=2e-6).b >= 2e-6


@pytest.mark.parametrize(("target", "expected"), [((1.0, 1.0), (1.0, 1.0)), ((-1.0, 1.0), (0, 1)), ((1, -1), (1, 0))])
def test_nonnegative_pair_of_unit_rows(target: tuple[float, float], expected: tuple[float, float]) -> None:
    assert nonnegative_pair(np.eye(2), np.array(target)) == pytest.approx(expected)


@pytest.mark.parametrize("depth", [-0.7, 0.0, 0.8, 2.5, 8.0])
def test_clipping_is_undone(depth: float) -> None:
    sample = np.maximum(depth + np.random.default_rng(2).normal(size=200_000), 0.0)
    height, variance, known = undo_clipping(np.array([sample.mean()]), np.array([sample.var()]))
    assert known[0]
    assert variance[0] == pytest.approx(1.0, rel=0.05)
    assert height[0] == pytest.approx(depth, abs=0.06)


def test_what_lay_far_below_is_given_up() -> None:
    sample = np.maximum(-2.0 + np.random.default_rng(2).normal(size=200_000), 0.0)
    assert not undo_clipping(np.array([sample.mean()]), np.array([sample.var()]))[2][0]
