"""Quads are what the measurement stands on: one colour, no photosite twice, planes cancel."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from plugin_core.frame import BAYER_PATTERNS, CfaPattern
from plugin_core.noise.quads import linear_quads, mosaic_quads
from tests.builders import MONOCHROME, XTRANS

PHASES = [XTRANS.shifted(r, c) for r, c in product(range(6), range(6))]
ALL = [*BAYER_PATTERNS.values(), MONOCHROME, *PHASES]


@pytest.mark.parametrize("cfa", ALL, ids=lambda cfa: str(cfa.name))
def test_quads_hold_one_colour_and_share_no_photosite(cfa: CfaPattern) -> None:
    plan = mosaic_quads(cfa)
    homes = set()
    for quad in plan.quads:
        assert {cfa.colors[r % cfa.period][c % cfa.period] for r, c in quad.places} == {quad.color}
        homes |= {(r % plan.cell, c % plan.cell) for r, c in quad.places}
    assert len(homes) == 4 * len(plan.quads)
    assert {quad.color for quad in plan.quads} == set(range(cfa.plane_count))
    assert min(min(place) for quad in plan.quads for place in quad.places) >= 0
    assert 0 <= plan.reach <= plan.cell


@pytest.mark.parametrize("cfa", ALL, ids=lambda cfa: str(cfa.name))
def test_a_tilted_plane_has_no_twist(cfa: CfaPattern) -> None:
    y, x = np.mgrid[:24, :24]
    ramp = 3.0 * y - 2.0 * x + 5.0
    for quad in mosaic_quads(cfa).quads:
        p0, p1, p2, p3 = (ramp[place] for place in quad.places)
        assert p0 - p1 - p2 + p3 == 0


def test_every_photosite_of_xtrans_is_used() -> None:
    assert len(mosaic_quads(XTRANS).quads) == 9


def test_demosaiced_pictures_are_looked_at_with_a_lag() -> None:
    for quad in linear_quads(3).quads:
        rows = [r for r, _ in quad.places]
        assert max(rows) - min(rows) == 4
