"""The graph that ships: the same function however it is shaped, int8 where asked, tiles exact at the whole halo."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch", reason="torch is in the train extra")

from onnx import numpy_helper  # noqa: E402  (after the skip)
from safetensors.torch import save_file  # noqa: E402  (after the skip)

from plugin_core.engine.session import open_session  # noqa: E402  (after the skip)
from plugin_core.models import load_package  # noqa: E402  (after the skip)
from training import precision  # noqa: E402  (after the skip)
from training.coding import coded, ranges_of, read_ranges, settle, weights_of  # noqa: E402  (after the skip)
from training.config import Config  # noqa: E402  (after the skip)
from training.equalise import equalise  # noqa: E402  (after the skip)
from training.export import Card, export  # noqa: E402  (after the skip)
from training.facts import whole_halo  # noqa: E402  (after the skip)
from training.graph import float_graph  # noqa: E402  (after the skip)
from training.network import NetworkShape, RawUNet  # noqa: E402  (after the skip)
from training.quantise import best_code, quantised, weight_codes  # noqa: E402  (after the skip)

SHAPE = NetworkShape((8, 12, 16), (0, 1, 1), (1, 1))
CONFIG = Config("denoise-tiny", SHAPE)
NAMES = ("planes", "colors", "a", "b")


@pytest.fixture(scope="module")
def network():
    """Random weights in every layer, so that each one counts."""
    torch.manual_seed(4)
    made = RawUNet(SHAPE).eval()
    for module in made.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight, a=0.1)
            torch.nn.init.normal_(module.bias, std=0.1)
    torch.nn.init.normal_(made.leave.weight, std=0.02)
    return made


def inputs(seed, side=64):
    rng = np.random.default_rng(seed)
    colours = np.zeros((1, 8, side // 2, side // 2), np.float32)
    colours[:, (0, 7)] = 1.0
    planes = (0.2 + 0.05 * rng.standard_normal((1, 4, side // 2, side // 2))).astype(np.float32)
    noise = np.full((1, 4, 1, 1), 0.01, np.float32), np.full((1, 4, 1, 1), 1e-4, np.float32)
    return dict(zip(NAMES, (planes, colours, *noise), strict=True))


def run(graph, feed):
    return precision.graph_session(graph, threads=1).run(["restored"], feed)[0]


def tensors(feed):
    return tuple(torch.from_numpy(feed[name]) for name in NAMES)


def test_equalised_network_computes_the_same_with_evener_channels(network):
    evened = float_copy(network)
    first = evened.encoder[1][0].first
    with torch.no_grad():  # one channel far larger than the rest, undone behind the leaky ReLU
        first.weight[0] *= 50
        first.bias[0] *= 50
        evened.encoder[1][0].second.weight[:, 0] /= 50
    equalise(evened, (1, 2), [tensors(inputs(seed)) for seed in range(2)])
    with torch.no_grad():
        torch.testing.assert_close(evened(*tensors(inputs(9))), network(*tensors(inputs(9))), atol=1e-4, rtol=1e-4)
    sizes = first.weight.detach().flatten(1).norm(dim=1)
    assert float(sizes[0] / sizes[1:].mean()) < 10


def float_copy(network):
    made = RawUNet(SHAPE).eval()
    made.load_state_dict(network.state_dict())
    return made


def test_float_graph_is_the_network(network):
    feed = inputs(3)
    with torch.no_grad():
        expected = network(*tensors(feed)).numpy()
    np.testing.assert_allclose(run(float_graph(network), feed), expected, atol=1e-5)


def test_odd_numbers_of_features_are_filled_up(network, monkeypatch):
    monkeypatch.setattr(RawUNet, "features", 27)
    narrow = RawUNet(SHAPE)
    given = torch.rand(1, 27, 16, 16)
    expected = narrow.enter(given)
    from training.graph import _Padded

    padded = _Padded(narrow.enter)
    torch.testing.assert_close(padded(given), expected)
    assert padded.convolution.weight.shape[1] == 28


def test_codes_cover_zero_and_weights_fit_every_processor():
    rng = np.random.default_rng(1)
    values = rng.normal(0.3, 1.0, 20000).astype(np.float32)
    code = best_code(values, before_leaky=False)
    assert 0 <= code.zero <= 255
    assert (
        np.abs((np.clip(np.rint(values / code.scale) + code.zero, 0, 255) - code.zero) * code.scale - values).max() < 1
    )
    leaky = best_code(values, before_leaky=True)
    assert leaky.scale < code.scale  # less of what is below zero is kept
    assert best_code(np.zeros(100, np.float32), before_leaky=False).zero == 0
    codes, scales = weight_codes(rng.standard_normal((5, 3, 3, 3)).astype(np.float32))
    assert codes.dtype == np.int8
    assert np.abs(codes).max() <= 63  # 2 * 255 * 63 < 2^15
    assert scales.shape == (5,)


@pytest.mark.parametrize("first_level", [1, 2])
def test_int8_where_asked_and_close_to_float(network, first_level):
    plain = float_graph(network)
    graph = quantised(plain, first_level, [inputs(seed) for seed in range(4)])
    read = {node.name: node.input[0] for node in graph.graph.node if node.op_type == "Conv"}
    for level, name in ((0, "/enter"), (0, "/decoder.0"), (1, "/encoder.1"), (2, "/encoder.2")):
        mine = [source for node, source in read.items() if node.startswith(name)]
        assert mine
        assert all(source.endswith("_decoded") == (level >= first_level) for source in mine)
    feed = inputs(11)
    exact, coded = run(plain, feed), run(graph, feed)
    change = np.abs(exact - feed["planes"]).mean()
    assert 0 < np.abs(coded - exact).mean() < 0.1 * change


def test_tiles_are_exact_at_the_whole_halo(network):
    halo = whole_halo(network, SHAPE.alignment)
    # 3x3 convolutions of the three levels, forth and back, and the features' blur: see the shape
    assert SHAPE.alignment <= halo <= 80
    graph = quantised(float_graph(network), 1, [inputs(seed) for seed in range(2)])
    feed = inputs(5, side=256)
    changed = {**feed, "planes": feed["planes"].copy()}
    changed["planes"][..., (128 + halo) // 2 :] = 0.9
    difference = np.abs(run(graph, feed) - run(graph, changed))
    assert difference[..., :64].max() == 0
    assert difference.max() > 0.01


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    rows = ["file,split"]
    for index in range(4):
        Image.fromarray(rng.integers(0, 255, (260, 280, 3), dtype=np.uint8)).save(folder / f"p{index}.png")
        rows.append(f"p{index}.png,{'val' if index == 0 else 'train'}")
    (folder / "split.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(precision, "SMALLEST_GAIN", 0.0)  # no test depends on speed
    monkeypatch.setattr(precision, "SAMPLES", 3)
    monkeypatch.setattr(precision, "SYNTHETIC", 1)
    monkeypatch.setattr(precision, "SPEED_SIDE", 64)


def test_export_ships_int8_where_it_costs_little(network, photos, tmp_path, monkeypatch, small):
    monkeypatch.setattr(precision, "LARGEST_COST_DB", 100.0)
    weights, folder = tmp_path / "tiny.safetensors", tmp_path / "tiny"
    save_file(network.state_dict(), weights)
    export(CONFIG, weights, folder, Card("# tiny\n"), {}, "0.0.1", photos)
    assert read_ranges(folder / "weights.safetensors") == {}
    manifest = json.loads(Path(folder / "manifest.json").read_text())
    assert manifest["precision"] == "int8 at levels 1, 2; float32 else"
    assert manifest["halo"] == whole_halo(network, SHAPE.alignment)
    open_session(load_package(folder))  # checksums and golden tile


def test_float32_stays_where_int8_costs_too_much(network, photos, monkeypatch, small, capsys):
    monkeypatch.setattr(precision, "LARGEST_COST_DB", -100.0)
    assert precision.best_variant(network, CONFIG, photos).precision == "float32"
    assert capsys.readouterr().out.count("dB against float32") == 2  # each level was tried


def test_training_in_eight_bits_sees_roundings_like_the_graphs():
    torch.manual_seed(6)
    plain = RawUNet(NetworkShape((8, 12, 16), (0, 1, 0), (1, 2))).eval()
    for module in plain.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight, a=0.1)
            torch.nn.init.normal_(module.bias, std=0.1)
    torch.nn.init.normal_(plain.leave.weight, std=0.02)
    feeds = [inputs(seed) for seed in range(4)]
    rounding = copy.deepcopy(plain)
    settle(rounding, 1, [tensors(feed) for feed in feeds])
    weights = weights_of(rounding)
    assert weights.keys() == plain.state_dict().keys()
    evened = copy.deepcopy(plain)
    evened.load_state_dict(weights)
    with torch.no_grad():
        wanted, seen = (network(*tensors(inputs(9))).numpy() for network in (evened, rounding))
    shipped = run(quantised(float_graph(evened), 1, feeds, decoder_only=True), inputs(9))
    trained_with, ships = np.abs(seen - wanted).mean(), np.abs(shipped - wanted).mean()
    assert trained_with == pytest.approx(ships, rel=0.3)  # ranges are found on other pixels: like roundings, not equal

    # handed over, the ranges of the run are those of the graph, and what ships is what was trained
    ranges = ranges_of(rounding)
    graph = quantised(float_graph(evened), 1, feeds, decoder_only=True, ranges=ranges)
    constants = {constant.name: numpy_helper.to_array(constant) for constant in graph.graph.initializer}
    for part in ("first", "second"):
        (made,) = (n.output[0] for n in graph.graph.node if n.name == f"/decoder.1/decoder.1.1/{part}/Conv")
        place = {"first": "inside", "second": "change"}[part]
        assert constants[f"{made}_scale"] == pytest.approx(ranges[f"decoder.1.1.{place}.limits"][0])
    assert len(ranges) == 1 + 2 * 4
    assert np.abs(run(graph, inputs(9)) - seen).mean() < np.abs(shipped - seen).mean()


def test_training_in_eight_bits_goes_on_where_it_stopped(network):
    first = float_copy(network)
    settle(first, 1, [tensors(inputs(seed)) for seed in range(2)])
    second = RawUNet(SHAPE)
    coded(second, 1)
    second.load_state_dict(first.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(second(*tensors(inputs(9))), first(*tensors(inputs(9))))
    first(*tensors(inputs(9))).sum().backward()
    assert float(first.decoder[1][0].first.weight.grad.abs().sum()) > 0
