"""The table of coarser scales runs the pipeline that ships, but for the choice that a row names."""

import numpy as np

from benchmarks.cases import BAYER_LEVEL, case, noise_only, run, scene_truth
from benchmarks.scales import CHOICES, restored
from plugin_core.engine.session import OnnxSession
from plugin_core.models.registry import Registry
from plugin_core.ops.scales import SHIPPED


def test_the_choice_that_ships_is_what_ships_and_the_others_are_not():
    session = OnnxSession(Registry(()).get("fast"), "cpu", 1)
    level = BAYER_LEVEL["E x300"]
    # 800: four scales, the last of 16 photosites
    dark = case(scene_truth("RGGB", 800, 800, level.ratio), "RGGB", noise_only(level), 5)
    ships = run(dark, session)[1]
    pictures = [restored(session, how, dark.frame, dark.profile) for _, how in CHOICES]
    same = [np.array_equal(picture, ships) for picture in pictures]
    assert same == [how == SHIPPED for _, how in CHOICES]
    assert [name for (name, _), equal in zip(CHOICES, same, strict=True) if equal] == ["12, 4, 4, 4 (ships)"]
