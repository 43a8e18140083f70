"""The scan's figures: what a file is told over what is true, and its tails."""

import numpy as np
from PIL import Image

from benchmarks.noise_scan import EXPOSURES, SENSORS, Told, bars, row, told


def test_a_smooth_picture_is_told_its_noise(tmp_path):
    rows, columns = np.mgrid[:512, :512] / 512
    picture = np.stack([40 + 160 * rows, 60 + 140 * columns, 90 + 60 * rows * columns], axis=-1)
    Image.fromarray(picture.astype(np.uint8)).save(tmp_path / "smooth.png")
    all_told = told(tmp_path / "smooth.png", 0.0)
    assert [(one.sensor, one.exposure) for one in all_told] == [(s.name, e) for e in EXPOSURES for s in SENSORS]
    assert all(one.trusted for one in all_told)
    assert all(0.75 < one.ratio < 1.25 for one in all_told)


def test_tails_count_what_is_trusted_alone():
    sensor = SENSORS[0]
    one = [Told(sensor.name, 1, ratio, trust) for ratio, trust in ((0.5, 0.1), (1.0, 0.5), (1.6, 0.5), (None, 0.0))]
    below, above = bars(one)
    assert (below.found, below.passed) == ("0.00 % of 2", True)
    assert (above.found, above.passed) == ("50.00 % of 2", False)
    assert row(sensor, 1, one)[1:5] == ("4", "1", "2", "1.00")
    assert row(sensor, 1, one)[-1] == "0, 1"
    assert row(sensor, 8, one)[1] == "0"
