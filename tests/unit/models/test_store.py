"""Every shipped package is what its manifest says, and runs as recorded."""

import json
import shutil

import numpy as np
import pytest

from plugin_core.engine.session import check_golden_tile, open_session
from plugin_core.errors import ModelPackageError, NoModelError, OptionError
from plugin_core.frame import CfaKind
from plugin_core.models import Registry, load_package, shipped_directory

PACKAGES = Registry().list()
by_id = pytest.mark.parametrize("package", PACKAGES, ids=lambda p: p.manifest.id)


def test_standard_and_fast_ship_and_one_is_the_default():
    assert {p.manifest.id for p in PACKAGES} >= {"standard", "fast"}
    assert Registry().get().manifest.id == "standard"
    assert [p.manifest.default for p in PACKAGES].count(True) == 1


@by_id
def test_manifest_is_true(package):
    package.verify()
    assert package.manifest.id == package.directory.name
    assert package.card.startswith("# ")
    assert all(package.manifest.handles(kind) for kind in CfaKind)
    assert (package.directory / "weights.safetensors").stat().st_size > 2 * package.manifest.parameters


@by_id
def test_golden_tile(package):
    in_float = package.manifest.precision == "float32"
    assert check_golden_tile(open_session(package), package) <= package.golden_tile().tolerance
    assert package.golden_tile().tolerance <= (1e-4 if in_float else 0.02)  # a rounding of int8 may turn over


@by_id
def test_halo_is_sufficient(package):
    """What lies beyond the halo moves the result by no more than the tile test's 1e-4 of white."""
    session = open_session(package)
    rng = np.random.default_rng(1)
    halo, side = package.manifest.halo, 2 * package.manifest.halo + 128
    a, b = np.full((1, 4, 1, 1), 0.0126, np.float32), np.full((1, 4, 1, 1), 0.0015, np.float32)
    colors = np.zeros((1, 8, side // 2, side // 2), np.float32)
    colors[:, (0, 7)] = 1.0
    planes = (0.2 + 0.06 * rng.standard_normal((1, 4, side // 2, side // 2))).astype(np.float32)
    changed = planes.copy()
    changed[..., (side - halo - 64) // 2 + halo // 2 :] += 0.3
    difference = np.abs(session.run(planes, colors, a, b) - session.run(changed, colors, a, b))
    assert difference[..., : (side - halo - 64) // 2].max() <= 1e-4
    assert difference.max() > 0.01


@pytest.fixture
def copied(tmp_path):
    return shutil.copytree(shipped_directory() / "standard", tmp_path / "standard")


def test_a_flipped_byte_is_found(copied):
    weights = bytearray((copied / "model.onnx").read_bytes())
    weights[len(weights) // 2] ^= 1
    (copied / "model.onnx").write_bytes(weights)
    with pytest.raises(ModelPackageError, match=r"model\.onnx: sha256") as caught:
        open_session(load_package(copied))
    assert caught.value.reason == "MODEL_CHECKSUM"


@pytest.mark.parametrize("change", ["missing", "unknown", "format", "views", "scales", "text"])
def test_a_wrong_manifest_is_named(copied, change):
    path = copied / "manifest.json"
    table = json.loads(path.read_text())
    if change == "missing":
        del table["halo"]
    elif change == "unknown":
        table["hallo"] = 1
    elif change == "format":
        table["format"] = 2
    elif change == "views":
        table["views"] = {"bayer": 3}
    elif change == "scales":
        table["coarser_scales"] = -1
    path.write_text("{" if change == "text" else json.dumps(table))
    with pytest.raises(ModelPackageError, match=r"manifest\.json"):
        load_package(copied)


def test_a_wrong_golden_tile_is_found(copied):
    package = load_package(copied)
    tile = dict(np.load(copied / "golden.npz"))
    tile["expected"] = tile["expected"] + 0.01
    np.savez(copied / "golden.npz", **tile)
    with pytest.raises(ModelPackageError, match="golden tile differs"):
        check_golden_tile(open_session(load_package(shipped_directory() / "standard")), package)


def test_unknown_model_and_folder_are_named(tmp_path):
    with pytest.raises(NoModelError, match=r'no model "nope" .*fast'):
        Registry().get("nope")
    with pytest.raises(ModelPackageError, match="no such model folder"):
        Registry((tmp_path / "absent",))


def test_an_absent_device_is_an_error():
    with pytest.raises(OptionError, match=r'device "tpu"'):
        open_session(PACKAGES[0], device="tpu")


@by_id
def test_a_session_that_has_rested_computes_the_same(package):
    session, tile = open_session(package), package.golden_tile()
    before = session.run(tile.planes, tile.colors, tile.a, tile.b)
    session.rest()
    np.testing.assert_array_equal(session.run(tile.planes, tile.colors, tile.a, tile.b), before)
