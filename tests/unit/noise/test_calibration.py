"""A calibration's way to a file: by camera, ISO and size; as text and back; and what is no calibration."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given as examples
from hypothesis import strategies as st

from plugin_core.errors import OptionError
from plugin_core.frame import NoiseSource
from plugin_core.noise.calibration import Calibration, IsoCalibration, Method, applied, with_black_offset
from plugin_core.noise.calibration_file import from_text, to_text
from plugin_core.noise.calibration_plot import to_svg
from plugin_core.noise.user_profiles import UserProfiles, given, profile_name, read_calibration
from tests.builders import PATTERNS, make_frame, make_linear

OFFSET = ((1e-3, 2e-3), (-1e-3, 0.0))


def entry(iso: float = 800, scale: float = 1.0, **more: object) -> IsoCalibration:
    made = IsoCalibration(
        iso, Method.PHOTON_TRANSFER, (1e-4 * scale, 2e-4 * scale, 3e-4 * scale), (1e-6 * scale,) * 3, 0.9
    )
    return replace(made, **more)  # type: ignore[arg-type]


def calibration(*isos: IsoCalibration, **more: object) -> Calibration:
    return replace(Calibration("Neural", "Test 1", 37, 53, "RGGB", isos or (entry(),)), **more)  # type: ignore[arg-type]


FULL = calibration(
    entry(
        hot=((3, 4), (30, 50)), dead=((7, 8),), black_offset=OFFSET, row_sigma=1e-4, detail="two, three",
        points=((0, 0.1, 2e-5), (2, 0.2, 7e-5)),
    ),
    entry(3200, 4),
)  # fmt: skip


def test_the_exact_iso_is_taken_as_it_is() -> None:
    found = applied([FULL], make_frame(iso=799), 799)
    assert found is not None
    assert (found.profile.a, found.profile.source, found.profile.confidence) == (
        FULL.isos[0].a,
        NoiseSource.CALIBRATION,
        0.9,
    )
    assert found.sites.tolist() == [[3, 4], [7, 8], [30, 50]]
    assert found.black_offset == OFFSET
    assert "calibrated at ISO 800" in found.profile.detail
    assert "3 hot and dead photosites interpolated" in found.profile.detail


def test_between_two_isos_it_is_interpolated_and_trusted_less() -> None:
    found = applied([calibration(entry(800)), calibration(entry(3200, 4))], make_frame(iso=1600), 1600)
    assert found is not None
    np.testing.assert_allclose(found.profile.a, (2e-4, 4e-4, 6e-4))
    np.testing.assert_allclose(found.profile.b, 2e-6)
    assert found.profile.confidence == pytest.approx(0.81)
    assert "between the calibrations at ISO 800 and 3200" in found.profile.detail


@pytest.mark.parametrize("iso", [400, 6400, None, float("nan")])
def test_nothing_is_said_beyond_what_was_measured(iso: float | None) -> None:
    assert applied([FULL], make_frame(), iso) is None


def test_photosites_are_listed_for_one_size_only() -> None:
    found = applied([FULL], make_frame(39, 53), 800)
    assert found is not None
    assert found.profile.a == FULL.isos[0].a
    assert len(found.sites) == 0
    assert "another size" in found.profile.detail


def test_another_cfa_is_another_sensor() -> None:
    assert applied([FULL], make_frame(cfa="GBRG"), 800) is None


@pytest.mark.parametrize("cfa", list(PATTERNS))
@pytest.mark.parametrize("black", [512, ((500.0, 508.0), (512.0, 520.0))])
def test_the_black_offset_lands_on_its_positions(cfa: str, black: object) -> None:
    period = PATTERNS[cfa].period
    offset = np.random.default_rng(1).uniform(-1e-3, 1e-3, (period, period))
    frame = make_frame(24, 30, cfa, black=black)  # type: ignore[arg-type]
    moved = with_black_offset(frame, tuple(map(tuple, offset.tolist())))
    shift = (moved.black_map() - frame.black_map()) / (16383 - np.mean(frame.black_level))
    np.testing.assert_allclose(shift, np.tile(offset, (24 // period, 30 // period)), atol=1e-7)
    assert with_black_offset(frame, ((0.0,),)) is frame


def test_text_and_back() -> None:
    assert from_text(to_text(FULL), "x") == FULL
    json.loads(to_text(FULL))


def broken_texts() -> list[str]:
    good = json.loads(to_text(FULL))
    changes: list[dict[str, object]] = [
        {"format": "other"}, {"version": 2}, {"version": None}, {"cfa": "FOVEON"}, {"height": 0}, {"height": True},
        {"width": 10**9}, {"make": 7}, {"isos": []}, {"isos": {}}, {"isos": [3]}, {"isos": good["isos"][:1] * 2},
    ]  # fmt: skip
    entries: list[dict[str, object]] = [
        {"a": [1e-4]}, {"a": [1e-4, 1e-4, -1e-4]}, {"a": [1e-4, 1e-4, "x"]}, {"a": [0, 1, 1], "b": [0, 1, 1]},
        {"b": None}, {"iso": 0}, {"iso": 1e300}, {"method": "guess"}, {"confidence": 2}, {"hot": [[1]]},
        {"hot": [[37, 0]]}, {"hot": [[0, -1]]}, {"hot": [[0.5, 1]]}, {"hot": [[0, 0]] * 50_001}, {"dead": "all"},
        {"black_offset": [[0, 0], [0]]}, {"black_offset": [[9]]}, {"row_sigma": -1}, {"points": [[5, 0.1, 0.1]]},
        {"points": [[0, 0.1]]}, {"detail": ["x"]},
    ]  # fmt: skip
    texts = [json.dumps({**good, **change}) for change in changes]
    texts += [json.dumps({**good, "isos": [{**good["isos"][0], **change}]}) for change in entries]
    whole = to_text(FULL)
    return [
        *texts, "", "[]", "null", whole[:-9], "[" * 100_000, whole.replace("0.0001", "NaN", 1),
        whole.replace("0.0001", "1e999", 1), whole.replace("800", "9" * 5000, 1), " " * (3 << 20),
    ]  # fmt: skip


@pytest.mark.parametrize("index", range(len(broken_texts())))
def test_what_is_no_calibration_is_refused_in_one_line(index: int) -> None:
    with pytest.raises(OptionError) as caught:
        from_text(broken_texts()[index], "mine.json")
    assert caught.value.reason == "BAD_CALIBRATION"
    assert caught.value.message.startswith("mine.json: no noise calibration: ")
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 300


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@examples(key=st.sampled_from([*json.loads(to_text(FULL))["isos"][0]]), value=JSON_VALUES)
def test_any_value_is_read_or_refused(key: str, value: object) -> None:
    found = json.loads(to_text(FULL))
    found["isos"][0][key] = value
    try:
        from_text(json.dumps(found), "x")
    except OptionError as error:
        assert error.reason == "BAD_CALIBRATION"  # noqa: PT017 - either is right


def test_the_folder_gives_what_fits_and_names_what_is_broken(tmp_path: Path) -> None:
    folder = UserProfiles(tmp_path / "noise")
    assert folder.find(make_frame()) == (None, ())
    folder.folder.mkdir()
    (folder.folder / profile_name(FULL)).write_text(to_text(FULL))
    (folder.folder / "other.json").write_text(to_text(replace(FULL, model="Test 2")))
    (folder.folder / "broken.json").write_bytes(b"\xff\xfe{")
    (folder.folder / "readme.txt").write_text("not looked at")
    found, warnings = folder.find(make_frame(make="NEURAL Corporation", model="neural test 1"))
    assert found is not None
    assert found.profile.a == FULL.isos[0].a
    assert warnings == ("broken.json: no noise calibration: not text; this calibration is not used",)
    assert folder.find(make_frame(model="Test 3"))[0] is None
    assert folder.find(make_linear()) == (None, ())


def test_a_given_calibration_must_fit(tmp_path: Path) -> None:
    found, warnings = given(FULL, "mine.json", make_frame())
    assert (found.profile.a, warnings) == (FULL.isos[0].a, ())
    assert "another camera: Neural Test 1" in given(FULL, "mine.json", make_frame(model="Other"))[1][0]
    for image in (make_frame(cfa="BGGR"), make_frame(iso=100), make_linear()):
        with pytest.raises(OptionError) as caught:
            given(FULL, "mine.json", image)
        assert caught.value.reason == "CALIBRATION_UNFIT"
    with pytest.raises(OptionError, match="can't be read"):
        read_calibration(tmp_path / "none.json")


def test_the_plot_is_wellformed_and_has_every_point() -> None:
    hostile = replace(FULL, model='<script>"&')
    root = ElementTree.fromstring(to_svg(hostile))
    kinds = [element.tag.rsplit("}")[-1] for element in root.iter()]
    assert kinds.count("circle") == 2
    assert kinds.count("polyline") == 6
    assert "script" not in kinds
