"""Every method over a real socket: what it promises, it returns."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tifffile
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from PIL import Image

import plugin_core
from plugin_core.config import Limits
from plugin_core.frame import RawFrame
from plugin_core.io.worker import DecodeWorker
from plugin_core.models import Registry
from plugin_core.rpc.v1 import restoration_pb2 as pb
from tests.builders import make_frame, make_linear, write_cfa_dng, write_linear_dng
from tests.server_fixture import LiveServer, denoise, requests


@pytest.fixture(scope="module")
def reader() -> Iterator[DecodeWorker]:
    with DecodeWorker(Limits()) as worker:
        yield worker


def active(reader: DecodeWorker, path: Path) -> np.ndarray:
    """The active area's signal."""
    image = reader.read(path).image
    return image.signal()


def saved(folder: Path, content: bytes) -> Path:
    path = folder / "result.dng"
    path.write_bytes(content)
    return path


def test_server_info(server: LiveServer, stub: Any) -> None:
    answer = stub.GetServerInfo(pb.GetServerInfoRequest(), timeout=10)
    assert answer.version == plugin_core.__version__
    assert answer.pid == server.process.pid
    assert list(answer.devices) == ["cpu"]
    assert answer.default_model in answer.models
    assert ".nef" in answer.formats
    assert (answer.max_file_bytes, answer.queue_limit) == (1 << 26, 3)
    assert answer.max_pixels == Limits().pixels
    assert answer.uptime_s > 0


def test_models_are_those_of_the_registry(stub: Any) -> None:
    models = {model.id: model for model in stub.ListModels(pb.ListModelsRequest(), timeout=10).models}
    for package in Registry().list():
        model = models[package.manifest.id]
        assert model.weights_sha256 == package.manifest.weights_sha256
        assert model.is_default == package.manifest.default
        assert model.card == package.card
        assert list(model.cfa_kinds) == list(package.manifest.cfa_kinds)
    assert "broken" in models


def test_health_and_reflection(server: LiveServer) -> None:
    with grpc.insecure_channel(server.address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for service in ("", "neural_isp.v1.Restoration"):
            answer = health.Check(health_pb2.HealthCheckRequest(service=service), timeout=10)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        database = ProtoReflectionDescriptorDatabase(channel)
        assert "neural_isp.v1.Restoration" in database.get_services()
        methods = DescriptorPool(database).FindServiceByName("neural_isp.v1.Restoration").methods_by_name
        assert {"Denoise", "DescribeFile", "GetServerInfo", "ListModels"} <= set(methods)


@pytest.mark.parametrize("by_path", [False, True], ids=["chunks", "path"])
def test_describe(stub: Any, raw: Path, by_path: bool) -> None:
    content = raw.read_bytes()
    entry = pb.InputFile(role="raw", name="small.dng", size_bytes=len(content))
    messages = [pb.DescribeFileRequest(input=entry), pb.DescribeFileRequest(chunk=pb.Chunk(data=content))]
    if by_path:
        messages = [pb.DescribeFileRequest(input=pb.InputFile(role="raw", local_path=str(raw)))]
    answer = stub.DescribeFile(iter(messages), timeout=60)
    frame = make_frame(75, 97)
    assert answer.sha256 == hashlib.sha256(content).hexdigest()
    assert (answer.name, answer.kind, answer.cfa) == ("small.dng", "bayer", "RGGB")
    assert (answer.height, answer.width) == frame.mosaic.shape
    assert list(answer.active_area) == [0, 0, 75, 97]
    assert set(answer.black_level) == {512.0}
    assert set(answer.white_level) == {16383.0}
    assert answer.make == "Neural"
    assert answer.iso == 800
    assert answer.restorable
    assert answer.refusal == ""
    assert answer.noise.source in ("measured", "camera_table", "default")
    assert {tag.group for tag in answer.tags} >= {"EXIF", "DNG"}


def test_denoise_by_chunks(server: LiveServer, stub: Any, raw: Path, tmp_path: Path, reader: DecodeWorker) -> None:
    content = raw.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    outcome = denoise(stub, requests(content, pb.DenoiseOptions(no_cache=True), sha256=sha256))
    summary, result = outcome.summary, outcome.result()
    (file,) = summary.results
    default = next(package.manifest for package in Registry().list() if package.manifest.default)
    assert (file.role, file.path, file.size_bytes) == ("dng", "", len(result))
    assert file.sha256 == hashlib.sha256(result).hexdigest()
    assert (summary.model_id, summary.model_version, summary.device) == (default.id, default.version, "cpu")
    assert summary.source_sha256 == sha256
    assert summary.megapixels == pytest.approx(75 * 97 / 1e6)
    assert not summary.from_cache
    assert summary.mean_change > 0.1
    assert len(summary.job_id) == 12
    seconds = {entry.stage: entry.seconds for entry in summary.stages}
    assert {pb.STAGE_RECEIVE, pb.STAGE_DECODE, pb.STAGE_NOISE, pb.STAGE_RESTORE, pb.STAGE_WRITE} <= set(seconds)
    assert all(value >= 0 for value in seconds.values())
    order = [stage for stage in outcome.stages() if stage != pb.STAGE_QUEUE]
    assert order == sorted(order)
    assert [event.result.last for event in outcome.events if event.HasField("result")][-1]
    before, after = active(reader, raw), active(reader, saved(tmp_path, result))
    clean = make_frame(75, 97, noise=None).signal()
    assert np.square(after - clean).mean() < 0.5 * np.square(before - clean).mean()
    assert server.leftovers() == []


def test_denoise_by_path(server: LiveServer, stub: Any, raw: Path, tmp_path: Path) -> None:
    before = raw.read_bytes()
    target, change_map = tmp_path / "out.dng", tmp_path / "change.tif"
    options = pb.DenoiseOptions(output_path=str(target), change_map_path=str(change_map))
    outcome = denoise(stub, requests(options=options, local_path=str(raw), name=""))
    results = {file.role: file for file in outcome.summary.results}
    assert outcome.result() == b""
    for role, path in (("dng", target), ("change_map", change_map)):
        assert results[role].path == str(path)
        assert results[role].sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        assert results[role].size_bytes == path.stat().st_size
    assert tifffile.imread(change_map).dtype == np.uint16
    assert sorted(path.name for path in tmp_path.iterdir()) == ["change.tif", "out.dng"]
    assert raw.read_bytes() == before
    assert server.leftovers() == []


def test_strength_0_is_the_identity_and_needs_no_model(
    stub: Any, raw: Path, tmp_path: Path, reader: DecodeWorker
) -> None:
    options = pb.DenoiseOptions(strength=0.0, model="there-is-none")
    outcome = denoise(stub, requests(raw.read_bytes(), options))
    assert outcome.summary.model_id == ""
    assert pb.STAGE_RESTORE not in outcome.stages()
    source, result = reader.read(raw).image, reader.read(saved(tmp_path, outcome.result())).image
    assert isinstance(source, RawFrame)
    assert isinstance(result, RawFrame)
    np.testing.assert_array_equal(result.mosaic, source.mosaic)


def test_network_runs_once_for_every_strength(stub: Any, raw: Path, tmp_path: Path, reader: DecodeWorker) -> None:
    noise = pb.NoiseParameters(a=[2e-3], b=[1.1e-5])  # a key of this test's own
    outcomes = {
        strength: denoise(stub, requests(raw.read_bytes(), pb.DenoiseOptions(strength=strength, noise=noise)))
        for strength in (1.0, 0.5, 0.25)
    }
    assert [outcome.summary.from_cache for outcome in outcomes.values()] == [False, True, True]
    assert outcomes[0.5].summary.noise.source == "user"
    source = active(reader, raw)
    change = {s: source - active(reader, saved(tmp_path, outcome.result())) for s, outcome in outcomes.items()}
    step = 2 / (16383 - 512)
    np.testing.assert_allclose(change[0.5], 0.5 * change[1.0], atol=step)
    np.testing.assert_allclose(change[0.25], 0.25 * change[1.0], atol=step)
    options = pb.DenoiseOptions(noise=noise, no_cache=True)
    again = denoise(stub, requests(raw.read_bytes(), options))
    assert not again.summary.from_cache
    assert again.result() == outcomes[1.0].result()


@pytest.mark.parametrize(
    ("kind", "format_"), [("PNG", pb.CHANGE_MAP_FORMAT_PNG), ("TIFF", pb.CHANGE_MAP_FORMAT_TIFF), ("PNG", 0)]
)
def test_change_map_is_sent(stub: Any, raw: Path, kind: str, format_: int) -> None:
    options = pb.DenoiseOptions(change_map=True, change_map_format=format_)  # type: ignore[arg-type]
    outcome = denoise(stub, requests(raw.read_bytes(), options))
    picture = Image.open(io.BytesIO(outcome.result("change_map")))
    assert picture.format == kind
    assert picture.size == (97, 75)
    mean = np.asarray(picture, dtype=np.float64).mean() / 65535 * 8
    assert mean == pytest.approx(outcome.summary.mean_change, rel=0.02)
    files = {file.role: file for file in outcome.summary.results}
    assert files["change_map"].sha256 == hashlib.sha256(outcome.result("change_map")).hexdigest()
    assert files["dng"].size_bytes == len(outcome.result("dng"))


def test_mask_says_where(stub: Any, raw: Path, tmp_path: Path, reader: DecodeWorker) -> None:
    mask = np.zeros((75, 97), dtype=np.uint8)
    mask[:, 50:] = 255
    stream = io.BytesIO()
    Image.fromarray(mask).save(stream, format="PNG")
    parts = {"raw": raw.read_bytes(), "mask": stream.getvalue()}
    inputs = [pb.InputFile(role=role, name=f"x.{role}", size_bytes=len(data)) for role, data in parts.items()]
    messages = [pb.DenoiseRequest(header=pb.JobHeader(inputs=inputs))]
    messages += [pb.DenoiseRequest(chunk=pb.Chunk(input=i, data=data)) for i, data in enumerate(parts.values())]
    outcome = denoise(stub, messages)
    change = np.abs(active(reader, raw) - active(reader, saved(tmp_path, outcome.result())))
    step = 1 / (16383 - 512)
    assert change[:, :50].max() <= step
    assert change[:, 50:].mean() > 2 * step


def test_linear_output(stub: Any, raw: Path, tmp_path: Path) -> None:
    outcome = denoise(stub, requests(raw.read_bytes(), pb.DenoiseOptions(output=pb.OUTPUT_LINEAR)))
    with tifffile.TiffFile(saved(tmp_path, outcome.result())) as file:
        page = file.pages[0].pages[0]  # type: ignore[index]
        assert page.photometric == 34892
        assert page.shape == (75, 97, 3)
        assert page.tags[50717].value in (65535, (65535,) * 3)


@pytest.mark.parametrize("cfa", ["GBRG", "XTRANS", "MONOCHROME"])
def test_other_sensors(stub: Any, tmp_path: Path, reader: DecodeWorker, cfa: str) -> None:
    path = write_cfa_dng(tmp_path / "other.dng", make_frame(66, 90, cfa, noise=(2e-3, 1e-5)))
    outcome = denoise(stub, requests(path.read_bytes()))
    clean = make_frame(66, 90, cfa, noise=None).signal()
    before, after = active(reader, path), active(reader, saved(tmp_path, outcome.result()))
    assert np.square(after - clean).mean() < np.square(before - clean).mean()


def test_linear_source(stub: Any, tmp_path: Path) -> None:
    path = write_linear_dng(tmp_path / "linear.dng", make_linear(60, 70, sigma=0.02))
    outcome = denoise(stub, requests(path.read_bytes()))
    assert outcome.summary.megapixels == pytest.approx(60 * 70 / 1e6)
    with tifffile.TiffFile(saved(tmp_path, outcome.result())) as file:
        assert file.pages[0].pages[0].photometric == 34892  # type: ignore[index]
