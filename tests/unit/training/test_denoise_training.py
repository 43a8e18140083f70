"""The training set-up: domain, data, one tiny run that resumes, and the export of what it made."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch", reason="torch is in the train extra")

from safetensors.torch import load_file, save_file  # noqa: E402  (after the skip)

from plugin_core.engine.session import open_session  # noqa: E402  (after the skip)
from plugin_core.models import load_package  # noqa: E402  (after the skip)
from plugin_core.ops.mosaic import unshuffle  # noqa: E402  (after the skip)
from simulation.cameras import BAYER, XTRANS  # noqa: E402  (after the skip)
from simulation.unprocess import cfa_colours  # noqa: E402  (after the skip)
from training.blocks import block_names, without  # noqa: E402  (after the skip)
from training.coding import ranges_of, read_ranges  # noqa: E402  (after the skip)
from training.config import Config, read_config  # noqa: E402  (after the skip)
from training.denoise import Trainer  # noqa: E402  (after the skip)
from training.export import Card, export, refresh, staged  # noqa: E402  (after the skip)
from training.extrapolate import extrapolated  # noqa: E402  (after the skip)
from training.grow import grown  # noqa: E402  (after the skip)
from training.loss import LevelBalance, capped, loss_of  # noqa: E402  (after the skip)
from training.network import NetworkShape, RawUNet, shape_of, stabilise, unstabilise  # noqa: E402  (after the skip)
from training.optimisers import orthogonalised, schedule  # noqa: E402  (after the skip)
from training.photographs import SLACK, continuous, photograph_names  # noqa: E402  (after the skip)
from training.scenes import CleanScenes, Mix, add_defects, draw_sample  # noqa: E402  (after the skip)

TINY = Config(
    "denoise-tiny",
    NetworkShape((8, 8), (0, 1), (1,)),
    steps=6,
    batch=2,
    patch=32,
    warmup=2,
    mix=Mix(synthetic_scenes=1),
)


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    rows = ["file,split"]
    for index in range(6):
        picture = rng.integers(0, 255, (260 + index, 300, 3), dtype=np.uint8)
        Image.fromarray(picture).save(folder / f"p{index}.png")
        rows.append(f"p{index}.png,{'val' if index % 3 == 0 else 'train'}")
    (folder / "split.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.mark.parametrize("a", [0.0, 1e-5, 1e-3, 0.02])
@pytest.mark.parametrize("b", [1e-9, 1e-5, 1e-3])
def test_stabiliser_has_an_exact_inverse_and_unit_noise(a, b):
    at, ct = torch.tensor(a, dtype=torch.float64), torch.tensor(b + 0.375 * a * a, dtype=torch.float64)
    x = torch.linspace(-0.05, 1.1, 500, dtype=torch.float64)
    z = stabilise(x, at, ct)
    assert bool((z[1:] > z[:-1]).all())
    torch.testing.assert_close(unstabilise(z, at, ct), x)
    level = 0.4
    noisy = level + (a * level + b) ** 0.5 * torch.randn(40000, dtype=torch.float64, generator=torch.manual_seed(1))
    assert float(stabilise(noisy, at, ct).std()) == pytest.approx(1.0, abs=0.05)


def test_a_new_network_returns_its_input():
    network = RawUNet(TINY.shape)
    planes = torch.rand(1, 4, 16, 16) - 0.1
    a, b = torch.full((1, 4, 1, 1), 1e-3), torch.full((1, 4, 1, 1), 1e-5)
    torch.testing.assert_close(network(planes, torch.zeros(1, 8, 16, 16), a, b), planes, atol=1e-5, rtol=1e-5)


def test_samples_are_reproducible_and_of_every_kind(photos):
    scenes = CleanScenes(photos, synthetic=1)
    first, again = (draw_sample(np.random.default_rng(5), scenes, 32, Mix()) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)
    noisy, clean, colours, told = first
    assert noisy.shape == clean.shape == (4, 16, 16)
    assert colours.shape == (8, 16, 16)
    assert (told > 0).all()
    rng = np.random.default_rng(6)
    reds = {float(draw_sample(rng, scenes, 32, Mix())[2][:4].mean()) for _ in range(120)}
    assert len(reds) >= 3  # Bayer 1/4, X-Trans near 2/9, monochrome 1/3


def test_validation_photographs_never_train(photos):
    assert not set(photograph_names(photos, "train")) & set(photograph_names(photos, "val"))
    assert len(CleanScenes(photos, synthetic=0).pictures) == 4


def test_balance_makes_levels_weigh_the_same():
    balance = LevelBalance()
    bins = torch.tensor([0, 0, 20, 20])
    for _ in range(400):
        weights = balance.weights(torch.tensor([1.0, 1.0, 100.0, 100.0]), bins)
    assert float(weights[0]) == pytest.approx(100 * float(weights[2]), rel=0.01)


def test_a_grown_network_computes_the_same():
    small, large = RawUNet(TINY.shape), RawUNet(replace(TINY.shape, encoder_blocks=(1, 2), decoder_blocks=(2,)))
    torch.nn.init.normal_(small.leave.weight, std=0.1)
    weights = small.state_dict()
    large.load_state_dict(grown(weights, large))
    given = torch.rand(1, 4, 16, 16), torch.rand(1, 8, 16, 16), *[torch.full((1, 4, 1, 1), 1e-3)] * 2
    torch.testing.assert_close(large(*given), small(*given))
    weights["enter.weight"] = weights["enter.weight"][:, :21]  # as before the guides
    large.load_state_dict(grown(weights, large))
    assert not large.enter.weight[:, 21:].any()
    with pytest.raises(ValueError, match=r"enter\.weight: shape"):
        grown({"enter.weight": torch.zeros(9, 28, 3, 3)}, large)


def test_extrapolated_weights_lie_beyond_the_later_ones():
    earlier, later = ({"w": torch.tensor([value], dtype=torch.float16)} for value in (1.0, 2.0))
    beyond = extrapolated(later, earlier, 0.25)["w"]
    assert (beyond.item(), beyond.dtype) == (2.25, torch.float32)
    with pytest.raises(ValueError, match="not of the same network"):
        extrapolated(later, {"v": earlier["w"]}, 0.25)


def test_deep_levels_are_moved_by_their_own_share():
    names = {"enter.weight": 0.1, "down.0.weight": 0.1, "encoder.1.0.first.weight": 0.1, "up.0.weight": 0.1}
    names |= {"down.1.weight": 0.4, "encoder.2.3.second.bias": 0.4, "up.2.weight": 0.4, "decoder.2.0.first.weight": 0.4}
    zeros, ones = ({name: torch.full((1,), value) for name in names} for value in (0.0, 1.0))
    beyond = extrapolated(ones, zeros, 0.1, 0.4)
    assert {name: beyond[name].item() for name in names} == pytest.approx({name: 1 + s for name, s in names.items()})


def test_blocks_can_be_taken_out():
    shape = replace(TINY.shape, encoder_blocks=(1, 3), decoder_blocks=(2,))
    large = RawUNet(shape)
    torch.nn.init.normal_(large.leave.weight, std=0.1)
    for place in (0, 2):
        torch.nn.init.normal_(large.encoder[1][place].second.weight, std=0.1)
    weights = large.state_dict()
    assert block_names(weights) == [
        "encoder.0.0",
        "encoder.1.0",
        "encoder.1.1",
        "encoder.1.2",
        "decoder.0.0",
        "decoder.0.1",
    ]
    left = without(weights, ["encoder.1.1", "decoder.0.0"])  # an untrained block is the identity
    small = RawUNet(shape_of(left))
    small.load_state_dict(left)
    assert small.shape == replace(shape, encoder_blocks=(1, 2), decoder_blocks=(1,))
    given = torch.rand(1, 4, 16, 16), torch.rand(1, 8, 16, 16), *[torch.full((1, 4, 1, 1), 1e-3)] * 2
    torch.testing.assert_close(small(*given), large(*given))
    with pytest.raises(ValueError, match=r"no such block: encoder\.9\.0"):
        without(weights, ["encoder.9.0"])


@pytest.mark.parametrize("kind", ["bayer", "xtrans", "monochrome"])
def test_guides_are_each_colours_own_level(kind):
    pattern = {"bayer": BAYER["GBRG"], "xtrans": XTRANS, "monochrome": ((1,),)}[kind]
    cfa = cfa_colours(pattern, 24, 24)
    levels = np.array([3.0, 5.0, 9.0], dtype=np.float32)
    red, blue = (cfa == 0).astype(np.float32), (cfa == 2).astype(np.float32)
    if kind == "monochrome":
        red = blue = np.full(cfa.shape, 1 / 3, dtype=np.float32)
    colours = torch.from_numpy(np.concatenate([unshuffle(red), unshuffle(blue)]))[None]
    z = torch.from_numpy(unshuffle(levels[cfa]))[None]
    means, own = RawUNet(TINY.shape).guides(z, colours)
    expected = torch.full((3,), 5.0) if kind == "monochrome" else torch.from_numpy(levels)
    torch.testing.assert_close(means, expected.view(1, 3, 1, 1).expand_as(means), atol=1e-3, rtol=1e-4)
    torch.testing.assert_close(own, z, atol=1e-3, rtol=1e-4)


def test_outliers_are_felt_but_do_not_steer():
    error = torch.tensor([-300.0, -2.0, 0.0, 7.0, 300.0], requires_grad=True)
    bounded = capped(error)
    bounded.abs().sum().backward()
    torch.testing.assert_close(bounded[1:4], error[1:4])
    assert float(bounded[4].detach()) < 15
    assert 0 < float(error.grad[4]) < 0.01


def test_evenness_lifts_samples_with_small_errors(photos):
    scenes = CleanScenes(photos, synthetic=1)
    parts = [draw_sample(np.random.default_rng(seed), scenes, 32, Mix()) for seed in (1, 2)]
    batch = tuple(torch.from_numpy(np.stack(part)) for part in zip(*parts, strict=True))
    network, device = RawUNet(TINY.shape), torch.device("cpu")
    plain, even = (
        float(loss_of(network, batch, LevelBalance(), 1.0, replace(TINY, evenness=e), device).detach())
        for e in (0.0, 0.5)
    )
    assert plain != pytest.approx(even)
    assert np.isfinite([plain, even]).all()


def test_what_a_teacher_gives_is_learnt(photos):
    scenes = CleanScenes(photos, synthetic=1)
    batch = tuple(torch.from_numpy(part[None]) for part in draw_sample(np.random.default_rng(3), scenes, 32, Mix()))
    teacher, pupil, device = RawUNet(TINY.shape), RawUNet(TINY.shape), torch.device("cpu")
    torch.nn.init.normal_(teacher.leave.weight, std=0.1)
    config = replace(TINY, teacher_share=1.0)
    same, other = (
        float(loss_of(network, batch, LevelBalance(), 1.0, config, device, teacher).detach())
        for network in (teacher, pupil)
    )
    assert same == 0.0 < other
    assert shape_of(teacher.state_dict()) == TINY.shape


def test_defocused_pictures_are_smooth(photos):
    scenes = CleanScenes(photos, synthetic=0)
    sharp, blurred = (
        scenes.camera_rgb(np.random.default_rng(2), 64, Mix(synthetic=0, flat=0, darker=0, defocused=share))
        for share in (0.0, 1.0)
    )
    assert np.abs(np.diff(blurred, axis=0)).mean() < 0.5 * np.abs(np.diff(sharp, axis=0)).mean()


def test_pictures_lose_the_noise_of_rounding_and_compression():
    ramp = np.broadcast_to(np.linspace(20, 30, 200, dtype=np.float32)[None, :, None], (100, 200, 3))
    eight_bits = np.round(ramp).astype(np.uint8)
    smooth = continuous(eight_bits)
    assert np.abs(smooth - eight_bits).max() <= SLACK
    assert (smooth - ramp).std() < 0.75 * (eight_bits - ramp).std()
    assert (continuous(np.full((8, 8, 3), 255, np.uint8)) == 255).all()


@pytest.mark.parametrize("shape", [(6, 40), (40, 6), (12, 12)])
def test_orthogonalised_brings_singular_values_near_one(shape):
    given = torch.randn(*shape, generator=torch.manual_seed(3))
    values = torch.linalg.svdvals(orthogonalised(given))
    assert 0.3 < float(values.min()) <= float(values.max()) < 1.3


def test_defects_are_hot_or_dead():
    noisy = np.full((192, 192), 0.2, dtype=np.float32)
    add_defects(np.random.default_rng(1), noisy, 1e-4, 1e-6)
    changed = noisy[noisy != np.float32(0.2)]
    assert changed.size
    assert ((changed == 0) | (changed > 0.2)).all()


def test_schedule_ends_at_zero_by_steps_or_seconds():
    timed = replace(TINY, steps=1000, max_seconds=10.0)
    assert schedule(timed, 500, 0.0)[0] == pytest.approx(0.5)
    assert schedule(timed, 0, 10.0)[0] == pytest.approx(1.0)
    assert schedule(timed, 999, 0.0)[1] < 0.01
    assert schedule(timed, 0, 0.0)[1] == pytest.approx(0.5)


def test_every_committed_recipe_can_be_read():
    recipes = sorted(Path("training/configs").glob("*.toml"))
    assert {read_config(path).name for path in recipes} >= {"denoise-standard", "denoise-fast"}


def test_a_run_resumes_and_its_export_runs(photos, tmp_path):
    out = tmp_path / "runs"
    Trainer(replace(TINY, steps=3), photos, out).run()
    assert json.loads((out / "denoise-tiny.log.jsonl").read_text().splitlines()[-1])["step"] == 3
    Trainer(TINY, photos, out).run()
    lines = [json.loads(line) for line in (out / "denoise-tiny.log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [0, 3, 6]
    assert lines[-1]["validation"]["mean"] > 10
    folder = tmp_path / "tiny"
    export(TINY, out / "denoise-tiny.safetensors", folder, Card("# tiny\n"), {}, "0.0.1")
    package = load_package(folder)
    session = open_session(package)
    assert package.manifest.alignment == TINY.shape.alignment
    assert session.run(*(np.ones((1, n, 8, 8), np.float32) for n in (4, 8)), *[np.ones((1, 4, 1, 1), np.float32)] * 2
                       ).shape == (1, 4, 8, 8)  # fmt: skip


def contents(folder):
    """Every file below a folder, with its bytes."""
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def half_renewed(folder):
    """A renewal that ends before its end."""
    with staged(folder) as new:
        (new / "card.md").write_text("half")
        raise OSError("disk full")


def test_a_package_is_renewed_whole_or_not_at_all(tmp_path):
    out, folder = tmp_path / "weights.safetensors", tmp_path / "store" / "tiny"
    save_file(RawUNet(TINY.shape).state_dict(), out)
    export(TINY, out, folder, Card("# tiny\n{figures}\n"), {}, "0.0.1")
    before = contents(tmp_path)
    with pytest.raises(OSError, match="disk full"):
        half_renewed(folder)
    assert contents(tmp_path) == before
    measured = {"rows": [{"level": "E10", "dB": 40.0}], "command": "here", "note": "now"}
    refresh(TINY, folder, Card("# tiny\n{figures}\n"), measured, "")
    after = contents(tmp_path)
    assert {path.name for path in after if after[path] != before.get(path)} == {"card.md", "manifest.json"}
    assert after.keys() == before.keys()
    assert load_package(folder).manifest.version == "0.0.1"
    assert "| E10 | 40.0 |" in (folder / "card.md").read_text()


def test_a_run_learns_to_compute_in_eight_bits_and_resumes(photos, tmp_path):
    shape = NetworkShape((8, 8, 8), (0, 1, 0), (0, 1))
    config = replace(TINY, shape=shape, steps=8, coded_level=1, coded_from=0.5)
    Trainer(replace(config, steps=6), photos, tmp_path).run()
    trainer = Trainer(config, photos, tmp_path)
    assert trainer.coded
    assert trainer.step == 6
    trainer.run()
    weights = load_file(tmp_path / "denoise-tiny.safetensors")
    assert weights.keys() == RawUNet(shape).state_dict().keys()
    assert read_ranges(tmp_path / "denoise-tiny.safetensors") == ranges_of(trainer.average)
    assert ranges_of(trainer.average)
