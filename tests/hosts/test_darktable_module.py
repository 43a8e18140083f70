"""The native darktable module through darktable-cli and a real server, in pixels."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from plugin_core.client import Client, DenoiseOptions
from plugin_core.io.residual_file import HEADER, ResidualHeader, write_residual
from tests.builders import write_cfa_dng
from tests.hosts.darktable_module import MOSAIC, MOSAIC_XTRANS, PPG, InstalledModule, Weights, decibels, edit_of
from tests.hosts.sources import scene_frame

pytestmark = [pytest.mark.host, pytest.mark.slow]

SAME = 80.0  # dB; what is left between the module and a restored DNG is the DNG's rounding to 14 bits
KINDS = {"RGGB": MOSAIC, "GBRG": MOSAIC, "XTRANS": MOSAIC_XTRANS}
NOWHERE = "localhost:9"  # nobody listens there


@pytest.fixture(scope="module")
def source_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A noisy DNG of each CFA; BORDER has masked photosites all round."""
    folder = tmp_path_factory.mktemp("sources")

    def make(kind: str) -> Path:
        path = folder / f"{kind}.dng"
        if not path.exists():
            border = {"border": (24, 36, 12, 8)} if kind == "BORDER" else {}
            write_cfa_dng(path, scene_frame("GBRG" if kind == "BORDER" else kind, **border), metadata=True)
        return path

    return make


def hosts_cache() -> Path:
    """Where the module's residuals are, as the `client` fixture has set it."""
    return Path(os.environ["NEURAL_ISP_CACHE"]) / "hosts"


def demosaic_of(kind: str) -> int:
    return KINDS.get(kind, MOSAIC)


@pytest.mark.parametrize("kind", ["RGGB", "GBRG", "XTRANS"])
def test_off_absent_and_strength_0_are_the_same_to_the_bit(
    kind: str, module: InstalledModule, client: Client, source_of: Callable[[str], Path], tmp_path: Path
) -> None:
    demosaic = PPG if kind != "XTRANS" else MOSAIC_XTRANS
    absent = module.render(source_of(kind), edit_of(None, demosaic=demosaic), tmp_path)
    off = module.render(source_of(kind), edit_of(Weights(), on=False, demosaic=demosaic), tmp_path)
    zero = module.render(source_of(kind), edit_of(Weights(strength=0), demosaic=demosaic), tmp_path)
    assert decibels(absent.picture, off.picture) == decibels(absent.picture, zero.picture) == float("inf")
    assert not zero.warnings


@pytest.mark.parametrize(
    ("kind", "weights"),
    [
        ("RGGB", Weights()),
        ("RGGB", Weights(strength=0.5)),
        ("GBRG", Weights(luma=0.3, chroma=0.8)),
        ("XTRANS", Weights(strength=0.9, luma=0.5)),
        ("BORDER", Weights()),
    ],
)
def test_the_module_gives_what_the_restored_dng_gives(
    kind: str,
    weights: Weights,
    module: InstalledModule,
    client: Client,
    source_of: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    source, bare = source_of(kind), edit_of(None, demosaic=demosaic_of(kind))
    client.denoise(source, tmp_path / "restored.dng", DenoiseOptions("standard", *weights[:3]))
    expected = module.render(tmp_path / "restored.dng", bare, tmp_path).picture
    found = module.render(source, edit_of(weights, demosaic=demosaic_of(kind)), tmp_path)
    assert not found.warnings
    assert decibels(found.picture, expected) >= SAME
    assert decibels(found.picture, module.render(source, bare, tmp_path).picture) < 50


def test_a_second_run_asks_nobody(
    module: InstalledModule, client: Client, source_of: Callable[[str], Path], tmp_path: Path
) -> None:
    source = shutil.copy(source_of("RGGB"), tmp_path / "again.dng")
    before = set(hosts_cache().glob("*.residual"))
    first = module.render(source, edit_of(Weights()), tmp_path)
    (kept,) = set(hosts_cache().glob("*.residual")) - before
    asked = kept.with_suffix(".status").stat().st_mtime_ns
    assert "from_cache=1" in kept.with_suffix(".status").read_text(), "the same content under another name: no network"
    second = module.render(source, edit_of(Weights()), tmp_path)
    other = module.render(source, edit_of(Weights(strength=0.7)), tmp_path)
    nobody = module.render(source, edit_of(Weights()), tmp_path, NEURAL_ISP_SERVER=NOWHERE)
    assert decibels(first.picture, second.picture) == decibels(first.picture, nobody.picture) == float("inf")
    assert decibels(first.picture, other.picture) < 60
    assert kept.with_suffix(".status").stat().st_mtime_ns == asked


@pytest.mark.parametrize("kind", ["RGGB", "GBRG", "XTRANS"])
def test_a_residual_of_half_the_signal_halves_linear_data(
    kind: str, module: InstalledModule, client: Client, source_of: Callable[[str], Path], tmp_path: Path
) -> None:
    """What a server that halves everything would lead to: nothing but its residual comes between."""
    source = Path(shutil.copy(source_of(kind), tmp_path / f"half {kind}.dng"))
    before = set(hosts_cache().glob("*.residual"))
    module.render(source, edit_of(Weights(), demosaic=demosaic_of(kind)), tmp_path)
    (kept,) = set(hosts_cache().glob("*.residual")) - before
    _, _, _, width, height, span, _, _, _, _, *names = HEADER.unpack(kept.read_bytes()[: HEADER.size])
    frame = scene_frame(kind)
    top, left = frame.default_crop.top, frame.default_crop.left  # where darktable's mosaic of a DNG begins
    signal = frame.mosaic[frame.active_area.slices].astype(np.float32) - frame.black_map()
    half = 0.5 * signal[top : top + height, left : left + width]
    cfa = frame.cfa.shifted(top, left)
    header = ResidualHeader(height, width, cfa, span, *(name.rstrip(b"\0").decode() for name in names))
    write_residual(kept, header, [(half, np.zeros_like(half))])
    bare = module.render(source, edit_of(None, demosaic=demosaic_of(kind)), tmp_path).picture
    halved = module.render(source, edit_of(Weights(), demosaic=demosaic_of(kind)), tmp_path).picture
    assert bare is not None
    assert decibels(halved, 0.5 * bare) >= SAME


def test_a_damaged_residual_is_made_again(
    module: InstalledModule, client: Client, source_of: Callable[[str], Path], tmp_path: Path
) -> None:
    source = shutil.copy(source_of("RGGB"), tmp_path / "damaged.dng")
    before = set(hosts_cache().glob("*.residual"))
    first = module.render(source, edit_of(Weights()), tmp_path)
    (kept,) = set(hosts_cache().glob("*.residual")) - before
    content = bytearray(kept.read_bytes())
    content[len(content) // 2] ^= 64
    kept.write_bytes(content)
    again = module.render(source, edit_of(Weights()), tmp_path)
    assert decibels(first.picture, again.picture) == float("inf")
    assert any("damaged" in line for line in again.warnings)


def test_a_small_export_is_made_of_the_whole_mosaic(
    module: InstalledModule, client: Client, source_of: Callable[[str], Path], tmp_path: Path
) -> None:
    source, small = source_of("RGGB"), ("--width", "400", "--hq", "0")
    client.denoise(source, tmp_path / "restored.dng", DenoiseOptions("standard"))
    expected = module.render(tmp_path / "restored.dng", edit_of(None, demosaic=PPG), tmp_path, *small).picture
    found = module.render(source, edit_of(Weights(), demosaic=PPG), tmp_path, *small).picture
    assert found is not None
    assert found.shape[1] == 400
    assert decibels(found, expected) > 55


@pytest.mark.parametrize(("number", "name"), [(1, "fast"), (2, "fine")])
def test_models_are_told_apart(
    module: InstalledModule, client: Client, source_of: Callable[[str], Path], tmp_path: Path, number: int, name: str
) -> None:
    source = source_of("RGGB")
    client.denoise(source, tmp_path / "restored.dng", DenoiseOptions(name))
    expected = module.render(tmp_path / "restored.dng", edit_of(None), tmp_path).picture
    found = module.render(source, edit_of(Weights(model=number)), tmp_path).picture
    assert decibels(found, expected) >= SAME


def test_without_a_server_the_export_says_so(
    module: InstalledModule, source_of: Callable[[str], Path], tmp_path: Path
) -> None:
    away = {"NEURAL_ISP_SERVER": NOWHERE, "NEURAL_ISP_CACHE": str(tmp_path / "cache")}
    off = module.render(source_of("RGGB"), edit_of(Weights(), on=False), tmp_path)
    lost = module.render(source_of("RGGB"), edit_of(Weights()), tmp_path, **away)
    assert lost.exit_code == 0
    assert decibels(off.picture, lost.picture) == float("inf")
    assert [line for line in lost.warnings if "exported without restoration" in line and NOWHERE in line]
    (report,) = (tmp_path / "cache/hosts").glob("*.export")
    assert "outcome=without restoration" in report.read_text()


def test_fail_closed_leaves_no_picture(
    module: InstalledModule, source_of: Callable[[str], Path], tmp_path: Path
) -> None:
    away = {"NEURAL_ISP_SERVER": NOWHERE, "NEURAL_ISP_CACHE": str(tmp_path / "cache")}
    closed = ("--conf", "plugins/darkroom/neuralisp/fail_closed=true")
    lost = module.render(source_of("RGGB"), edit_of(Weights()), tmp_path, core=closed, **away)
    assert lost.picture is None
    assert lost.exit_code != 0
    assert [line for line in lost.warnings if "exported nothing" in line]


def test_other_pictures_are_left_alone(module: InstalledModule, client: Client, tmp_path: Path) -> None:
    from PIL import Image

    path = tmp_path / "picture.png"
    Image.radial_gradient("L").convert("RGB").save(path)
    before = set(hosts_cache().glob("*"))
    bare = module.render(path, edit_of(None, demosaic=None), tmp_path)
    found = module.render(path, edit_of(Weights(), demosaic=None), tmp_path)
    assert decibels(bare.picture, found.picture) == float("inf")
    assert set(hosts_cache().glob("*")) == before


def test_samples_go_where_the_file_is_decoded_to_another_mosaic(
    module: InstalledModule, client: Client, source_of: Callable[[str], Path], tmp_path: Path
) -> None:
    """The status file of an earlier mismatch is believed, so one stands for a camera that LibRaw crops differently."""
    source = shutil.copy(source_of("GBRG"), tmp_path / "samples.dng")
    before = set(hosts_cache().glob("*.residual"))
    whole = module.render(source, edit_of(Weights()), tmp_path)
    (kept,) = set(hosts_cache().glob("*.residual")) - before
    kept.with_suffix(".status").write_text("[neural-isp]\ncontract=1\nstate=mismatch\nmessage=cropped\n")
    kept.unlink()
    found = module.render(source, edit_of(Weights()), tmp_path)
    off = module.render(source, edit_of(Weights(), on=False), tmp_path)
    assert not found.warnings
    assert not kept.exists()
    assert len(set(hosts_cache().glob("*.residual")) - before) == 1
    assert not list(hosts_cache().glob("*.samples"))
    # another noise estimate (of the crop alone, and of nothing but pixels), so near but not equal
    assert decibels(found.picture, whole.picture) > decibels(found.picture, off.picture) + 6
