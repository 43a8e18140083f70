"""The residual path shows what the restored DNG shows: by RawTherapee's own pixels, before the demosaicing."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from adapters.rawtherapee import probe
from adapters.rawtherapee.attach import Sidecar, attach
from adapters.rawtherapee.names import sidecar_path
from adapters.rawtherapee.record import Wish
from plugin_core.client import Client, DenoiseOptions, Output
from plugin_core.errors import NoModelError
from tests.builders import write_cfa_dng
from tests.hosts.rawtherapee import Place, make_place
from tests.hosts.render import psnr
from tests.hosts.sources import scene_frame, write_plain_arw

pytestmark = [
    pytest.mark.host,
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("rawtherapee-cli"), reason="rawtherapee-cli is not installed"),
]

QUIET = (2e-4, 4e-6)  # nothing that RawTherapee takes for a hot pixel at black 512 and 14 bits
CASES: dict[str, tuple[float, dict[str, Any]]] = {
    **{cfa: (100.0, {"cfa": cfa}) for cfa in ("RGGB", "BGGR", "GRBG", "GBRG", "MONOCHROME")},
    "XTRANS": (75.0, {"cfa": "XTRANS", "black": ((512, 512), (512, 512))}),  # 5.9 overlooks a single black there
    "black 256, 12 bit": (100.0, {"black": 256, "bits": 12}),
    "black 2048": (100.0, {"black": 2048}),
    "masked border": (100.0, {"cfa": "GBRG", "border": (24, 36, 12, 8)}),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return make_place(tmp_path_factory.mktemp("rt"))


@pytest.fixture(autouse=True)
def settings(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs in this process uses the place's settings, too."""
    monkeypatch.setenv("RT_SETTINGS", str(place.settings))
    monkeypatch.setenv("HOME", str(place.home))


@pytest.mark.parametrize("case", CASES)
def test_like_the_restored_dng(client: Client, place: Place, tmp_path: Path, case: str) -> None:
    least_db, given = CASES[case]
    name = "Zürich [1] 50%.dng" if case == "black 2048" else "IMG_1.dng"
    source = write_cfa_dng(tmp_path / name, scene_frame(**{"noise": QUIET, **given}))
    attached = attach(client, source, Wish(), Sidecar(profile=place.neutral))
    assert (attached.reason, attached.result.parent) == ("", tmp_path)
    restored = client.denoise(source, tmp_path / "restored.dng").path
    assert restored is not None
    with_residual, said = place.mosaic(source, sidecar=True)
    reference, _ = place.mosaic(restored)
    noisy, _ = place.mosaic(source)
    assert psnr(with_residual, reference) >= least_db
    assert psnr(noisy, reference) < 60
    assert "Subtracting Darkframe" in said


@pytest.mark.parametrize(("cfa", "black"), [("RGGB", 800), ("XTRANS", 680)])
def test_the_simulation_counts_as_rawtherapee_does(
    client: Client, place: Place, tmp_path: Path, cfa: str, black: int
) -> None:
    frame = scene_frame(cfa, height=300, width=400, noise=(4e-3, 3e-5), black=((black,) * 2,) * 2)
    source = write_cfa_dng(tmp_path / "a.dng", frame)
    made = client.denoise(source, tmp_path / "residual.dng", DenoiseOptions(output=Output.RESIDUAL))
    dark = tmp_path / "dark.pp3"
    dark.write_text(f"[RAW]\nDarkFrame={tmp_path}/residual.dng\n")
    _, said = place.mosaic(source, dark)
    match = re.search(r"Extracted (\d+) pixels from darkframe", said)
    assert match is not None, said
    assert made.residual is not None
    assert made.residual.false_hot_pixels > 0
    assert abs(made.residual.false_hot_pixels - int(match[1])) <= 2  # sums in single precision


def test_a_camera_s_own_file_and_a_moved_folder(client: Client, place: Place, tmp_path: Path) -> None:
    """RawTherapee takes white and black of an ARW from its own table; the residual inherits them."""
    folder = tmp_path / "before"
    folder.mkdir()
    source = write_plain_arw(folder / "IMG_1.ARW", scene_frame(height=416, width=624, noise=QUIET))
    attach(client, source, Wish(), Sidecar(profile=place.neutral))
    before, _ = place.mosaic(source, sidecar=True)
    noisy, _ = place.mosaic(source)
    moved = folder.rename(tmp_path / "after") / source.name
    after, said = place.mosaic(moved, sidecar=True)
    assert psnr(before, noisy) < 60
    assert psnr(before, after) == float("inf")
    assert f"Subtracting Darkframe:{tmp_path}/after/" in said
    code, out, err = place.isp("doctor", moved)
    assert code == 0, err
    assert out[-1].startswith("ok    residual against restored DNG"), out


def test_a_camera_that_rawtherapee_crops(client: Client, place: Place, tmp_path: Path) -> None:
    """Its table of cameras crops an E-M1 II further than the file says; a dark frame of another size is ignored."""
    frame = scene_frame(noise=QUIET, make="OLYMPUS", model="E-M1MarkII", bits=12, black=256)
    source = write_cfa_dng(tmp_path / "IMG_1.dng", frame)
    seen = probe.look(source)
    assert seen is not None
    assert seen.crop != (0, 0, *frame.mosaic.shape), "this RawTherapee crops nothing here: choose another camera"
    attached = attach(client, source, Wish(), Sidecar(profile=place.neutral))
    assert attached.restored.residual is not None
    assert attached.restored.residual.host_area == seen.crop
    with_residual, _ = place.mosaic(source, sidecar=True)
    noisy, _ = place.mosaic(source)
    assert psnr(with_residual, noisy) < 60
    again = attach(client, source, Wish(strength=0.5))
    assert again.restored.residual is not None
    assert again.restored.residual.host_area == seen.crop


def test_black_0_falls_back_to_the_dng(client: Client, place: Place, tmp_path: Path) -> None:
    source = write_cfa_dng(tmp_path / "old.dng", scene_frame(black=0, bits=12))
    with pytest.raises(NoModelError, match="hot pixels"):
        client.denoise(source, tmp_path / "r.dng", DenoiseOptions(output=Output.RESIDUAL))
    attached = attach(client, source, Wish(), Sidecar(profile=place.neutral))
    assert "hot pixels" in attached.reason
    assert attached.result == tmp_path / "old.dng.restored.dng"
    assert not sidecar_path(source).exists()
    picture, _ = place.mosaic(attached.result)
    noisy, _ = place.mosaic(source)
    assert psnr(picture, noisy) < 60
