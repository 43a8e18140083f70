"""The camera table: what ships, what darktable's file adds, and how far it is stretched."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from plugin_core.frame import NoiseSource
from plugin_core.noise.table import Point, camera_key, interpolate, lookup

MISSING = Path("no such file.json")


def test_a_known_camera_at_a_listed_iso() -> None:
    found = lookup("SONY", "ILCE-7SM2", 1600, 3, MISSING)
    assert found is not None
    assert found.source is NoiseSource.TABLE
    assert found.a == pytest.approx((1.53008 / 15871,) * 3, rel=1e-3)
    assert found.b == pytest.approx(((6.29925**2 + 0.988786**2) / 15871**2,) * 3, rel=1e-3)
    assert "PNNP" in found.detail


@pytest.mark.parametrize(
    ("make", "model"),
    [("Canon", "Canon EOS 30D"), ("Canon", "EOS 30D"), ("CANON", "eos 30d"), ("Canon Inc.", "Canon EOS 30D ")],
)
def test_spellings_of_one_camera_meet(make: str, model: str) -> None:
    found = lookup(make, model, 640, 3, MISSING)
    assert found is not None
    assert found.a[1] == pytest.approx(1.13e-4)


def test_makers_legal_forms_do_not_matter() -> None:
    assert camera_key("NIKON CORPORATION", "NIKON D850") == camera_key("Nikon", "D850") == "NIKON D850"
    assert camera_key("OLYMPUS IMAGING CORP.", "E-M5") == camera_key("Olympus", "E-M5")


@pytest.mark.parametrize(
    ("make", "model", "iso"),
    [("", "", 100.0), ("Canon", "Canon EOS 30D", None), ("Canon", "Canon EOS 9Z", 100.0), ("Canon", "EOS 30D", 0.0)],
)
def test_nothing_is_said_about_the_unknown(make: str, model: str, iso: float | None) -> None:
    assert lookup(make, model, iso, 3, MISSING) is None


def test_between_isos_the_table_is_straight_in_the_logarithm_and_monotone() -> None:
    points = (Point(100, 1e-5, 1e-8), Point(400, 4e-5, 4e-8))
    found = interpolate(points, 200)
    assert found == pytest.approx((2e-5, 2e-8))


def test_beyond_the_ends_it_goes_one_stop_and_no_further() -> None:
    points = (Point(100, 1e-5, 1e-8), Point(400, 4e-5, None))
    found = interpolate(points, 800)
    assert found is not None
    assert found[0] == pytest.approx(8e-5)
    assert found[1] > 0
    assert interpolate(points, 900) is None
    assert interpolate(points, 45) is None


def test_darktables_table_is_read_where_it_is_installed(tmp_path: Path) -> None:
    path = tmp_path / "noiseprofiles.json"
    rows = [
        {"name": "x", "iso": 100, "a": [9e-6, 3e-6, 6e-6], "b": [1e-8, -2e-8, 1e-8]},
        {"name": "y", "iso": 200, "a": [18e-6, 6e-6, 12e-6], "b": [1e-8, -2e-8, 1e-8]},
    ]
    table = {"version": 0, "noiseprofiles": [{"maker": "Acme", "models": [{"model": "X-1", "profiles": rows}]}]}
    path.write_text(json.dumps(table))
    found = lookup("ACME CO., LTD.", "ACME X-1", 100, 3, path)
    assert found is not None
    assert found.a == pytest.approx((3e-5,) * 3)  # green, scaled, the same for all planes
    assert all(b > 0 for b in found.b)
    assert found.confidence < 0.35
    assert "darktable" in found.detail


def test_what_ships_goes_before_darktables_table(tmp_path: Path) -> None:
    path = tmp_path / "noiseprofiles.json"
    rows = [{"iso": 640, "a": [1.0, 1.0, 1.0], "b": [0, 0, 0]}]
    table = {"noiseprofiles": [{"maker": "Canon", "models": [{"model": "EOS 30D", "profiles": rows}]}]}
    path.write_text(json.dumps(table))
    found = lookup("Canon", "Canon EOS 30D", 640, 3, path)
    assert found is not None
    assert found.a[0] < 1e-3


@pytest.mark.parametrize("text", ["", "{}", "[1, 2]", '{"noiseprofiles": [{"maker": 1}]}', '{"noiseprofiles": 7}'])
def test_a_strange_darktable_file_is_no_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "noiseprofiles.json"
    path.write_text(text)
    assert lookup("Acme", "X-1", 100, 3, path) is None


def test_every_shipped_camera_names_its_source_and_is_plausible() -> None:
    text = (Path(__file__).parents[3] / "plugin_core/noise/cameras.json").read_text()
    for entry in json.loads(text)["cameras"]:
        assert entry["source"]
        isos = [row[0] for row in entry["points"]]
        assert isos == sorted(set(isos))
        for iso, a, b in entry["points"]:
            assert 3e-8 < a / iso < 1e-6  # full wells of thousands to tens of thousands
            assert b is None or 0 < b < 1e-3
