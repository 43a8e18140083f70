"""Results: where they may go, what they say of their making, and that a failure leaves none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plugin_core.errors import LimitError, OptionError
from plugin_core.frame import CfaPattern, NoiseProfile, NoiseSource, RawFrame
from plugin_core.io.source_file import Metadata, SourceFile
from plugin_core.io.write_dng import Compression
from plugin_core.models import Registry
from plugin_core.ops import blend
from plugin_core.ops.blend import BlendOptions
from plugin_core.rpc import results
from plugin_core.rpc.results import Restoration, check_outputs, write_results
from plugin_core.rpc.transfer import ReceivedFile
from plugin_core.rpc.translate import DenoiseJob, Output
from plugin_core.rpc.v1 import restoration_pb2 as pb
from tests.builders import make_frame, make_linear

PROFILE = NoiseProfile((1e-4,) * 3, (1e-6,) * 3, NoiseSource.MEASURED)


def make_job(**changes: Any) -> DenoiseJob:
    job = DenoiseJob("", BlendOptions(), Output.SAME, Compression.LJPEG, None, None, False, "", None, True)
    return replace(job, **changes)


def make_restoration(job: DenoiseJob, height: int = 75, width: int = 97) -> Restoration:
    frame = make_frame(height, width)
    residual = np.random.default_rng(0).normal(0, 20, (height, width)).astype(np.float16)
    return Restoration(job, SourceFile(frame, Metadata()), "ab" * 32, PROFILE, residual, None, "", Registry().get())


@pytest.mark.parametrize("size", [(75, 97), (1201, 33), (7, 5)])
@pytest.mark.parametrize("cfa", ["GBRG", "XTRANS", "linear"])
def test_bands_are_those_rows_of_the_change_map(size: tuple[int, int], cfa: str) -> None:
    image = make_linear(*size) if cfa == "linear" else make_frame(*size, cfa, border=(6, 6, 0, 0))
    shape = (*size, 3) if cfa == "linear" else size
    residual = np.random.default_rng(0).normal(0, 20, shape).astype(np.float16)
    whole = blend.change_map(image, residual, PROFILE)
    seen = 0
    for band, part in results._bands(image, residual):
        rows = blend.change_map(band, part, PROFILE)
        top = band.active_area.top - 6 if isinstance(band, RawFrame) else _row_of(image, band)
        np.testing.assert_array_equal(rows, whole[top : top + len(rows)])
        seen += 1
    assert seen >= min(results.BANDS, -(-size[0] // results.BAND_ROWS))


def _row_of(image: Any, band: Any) -> int:
    """Where the band's pixels lie in the picture's memory."""
    offset = band.pixels.__array_interface__["data"][0] - image.pixels.__array_interface__["data"][0]
    return int(offset // image.pixels.strides[0])


def test_band_height_suits_every_cfa() -> None:
    assert results.BAND_ROWS % 6 == 0
    assert CfaPattern(((0, 1), (1, 2))).shifted(results.BAND_ROWS, 0) == CfaPattern(((0, 1), (1, 2)))


def test_provenance_says_how_it_was_made() -> None:
    made = make_restoration(make_job(blend=BlendOptions(0.5, 1.0, 0.25)))
    entries = results._provenance(made)
    manifest = Registry().get().manifest
    assert entries["ModelId"] == manifest.id
    assert entries["WeightsSHA256"] == manifest.weights_sha256
    assert entries["SourceSHA256"] == "ab" * 32
    assert (entries["Strength"], entries["Luma"], entries["Chroma"]) == ("0.5", "1", "0.25")
    assert entries["NoiseA"] == "0.0001 0.0001 0.0001"
    assert entries["NoiseSource"] == "measured"
    assert "ModelId" not in results._provenance(replace(made, package=None))


def test_remaining_noise_is_unknown_where_it_differs() -> None:
    made = make_restoration(make_job())
    left = results._remaining_noise(made)
    assert left is not None
    assert left.a[0] < PROFILE.a[0]
    assert results._provenance(made)["Mask"] == "no"
    assert results._remaining_noise(replace(made, mask=np.ones((75, 97), np.float32))) is None
    assert results._remaining_noise(replace(made, package=None)) == PROFILE


def test_a_dng_that_fails_takes_its_change_map_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> None:
        raise LimitError("the disk is full", "DISK_FULL")

    monkeypatch.setattr(results, "write_dng", full)
    job = make_job(change_map_suffix=".png", change_map_path=tmp_path / "m.png")
    with pytest.raises(LimitError):
        write_results(make_restoration(job), tmp_path, None, pb.Summary())  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_outputs_are_checked_before_the_work(tmp_path: Path) -> None:
    there, link = tmp_path / "there.dng", tmp_path / "link.dng"
    there.write_bytes(b"x")
    link.hardlink_to(there)
    source = ReceivedFile("raw", "there.dng", there, 1, "", local=True)
    check_outputs(make_job(output_path=tmp_path / "new.dng"), [source])
    check_outputs(make_job(output_path=there, overwrite=True), [replace(source, local=False)])
    for path, overwrite, reason in (
        (there, False, "OUTPUT_EXISTS"),
        (tmp_path / "none" / "x.dng", False, "OUTPUT_UNWRITABLE"),
        (link, True, "OUTPUT_IS_INPUT"),
    ):
        files = [source] if overwrite else []
        with pytest.raises(OptionError) as caught:
            check_outputs(make_job(output_path=path, overwrite=overwrite), files)
        assert caught.value.reason == reason


def test_known_defects_are_repaired_where_the_mask_lets_it() -> None:
    made = make_restoration(make_job(change_map_suffix=".png"))
    frame = made.source.image
    mosaic = frame.mosaic.copy()
    mosaic[20, 30] = mosaic[40, 50] = 16383
    damaged = replace(frame, mosaic=mosaic)
    mask = np.ones((75, 97), dtype=np.float32)
    mask[40, 50] = 0
    sites = np.array([[20, 30], [40, 50]])
    made = replace(made, source=SourceFile(damaged, Metadata()), sites=sites)
    whole, masked = made.repaired(), replace(made, mask=mask).repaired()
    assert isinstance(whole, RawFrame)
    assert isinstance(masked, RawFrame)
    assert whole.mosaic[40, 50] < 16383
    assert (masked.mosaic[20, 30], masked.mosaic[40, 50]) == (whole.mosaic[20, 30], 16383)
    change_map = results._change_map(made, pb.Summary())
    assert change_map is not None
    assert change_map[20, 30] == change_map[40, 50] == 65535
    assert results._provenance(made)["PhotositesListed"] == "2"
