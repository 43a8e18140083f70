"""RestoreMosaic over a real socket: the residual of a host's mosaic, by file, in chunks, from samples; refusals."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import rawpy
from numpy.typing import NDArray

from plugin_core.client import Client, DenoiseOptions, MosaicWindow
from plugin_core.errors import LimitError, OptionError
from plugin_core.rpc.v1 import restoration_pb2 as pb
from tests.builders import XTRANS, make_frame, write_cfa_dng
from tests.server_fixture import LiveServer, details_of

HEIGHT, WIDTH = 75, 97
RGGB = (0, 1, 1, 2)
WHOLE = MosaicWindow(0, 0, HEIGHT, WIDTH, HEIGHT, WIDTH, RGGB)
HEADER = "<8s4IfI36sIQ32s16s32s96x"  # docs/api.md


class Residual:
    """A residual file, read as docs/api.md lays it out."""

    def __init__(self, content: bytes) -> None:
        fields = struct.unpack_from(HEADER, content)
        self.magic, self.version, size, self.width, self.height, self.span, period, cfa, crc, payload = fields[:10]
        self.model, self.model_version, self.noise = (text.rstrip(b"\0").decode() for text in fields[10:])
        self.cfa = tuple(cfa[: period * period])
        assert (self.magic, self.version, size) == (b"NISPRES\0", 1, 256)
        planes = content[256:]
        assert len(planes) == payload == 4 * self.width * self.height
        assert zlib.crc32(planes) == crc
        both = np.frombuffer(planes, "<f2").reshape(2, self.height, self.width).astype(np.float32)
        self.luma: NDArray[np.float32] = both[0]
        self.chroma: NDArray[np.float32] = both[1]


@pytest.fixture
def client(server: LiveServer) -> Iterator[Client]:
    with Client(server.address) as opened:
        yield opened


def residual_of(
    client: Client, source: Path | bytes, path: Path, window: MosaicWindow = WHOLE, **options: Any
) -> Residual:
    client.restore_mosaic(source, path, window, **options)
    return Residual(path.read_bytes())


@pytest.mark.parametrize("weights", [(1.0, 1.0, 1.0), (0.5, 1.0, 1.0), (0.8, 0.25, 0.75)])
@pytest.mark.parametrize("cfa", ["RGGB", "GBRG", "XTRANS"])
def test_the_parts_blend_to_what_denoise_writes(
    client: Client, tmp_path: Path, cfa: str, weights: tuple[float, float, float]
) -> None:
    frame = make_frame(HEIGHT, WIDTH, cfa, noise=(2e-3, 1e-5), seed=3)
    source = write_cfa_dng(tmp_path / "raw.dng", frame)
    colors = tuple(color for row in frame.cfa.colors for color in row)
    found = residual_of(client, source, tmp_path / "a", MosaicWindow(0, 0, HEIGHT, WIDTH, HEIGHT, WIDTH, colors))
    strength, luma, chroma = weights
    blended = frame.mosaic - strength * (luma * found.luma + chroma * found.chroma)
    client.denoise(source, tmp_path / "b.dng", DenoiseOptions("", *weights))
    with rawpy.imread(str(tmp_path / "b.dng")) as raw:
        written = raw.raw_image.astype(np.float32)
        black, white = raw.black_level_per_channel[0], raw.white_level
    written = (written - black) / (white - black) * (16383 - 512) + 512
    # the DNG's rounding to integers, and float16's of the parts
    allowed = 0.51 + 2.0**-10 * (np.abs(found.luma) + np.abs(found.chroma))
    assert (np.abs(written - blended) <= allowed).all()
    assert (found.span, found.cfa) == (0.0, colors)


def test_the_network_runs_once_for_both(client: Client, tmp_path: Path) -> None:
    source = write_cfa_dng(tmp_path / "raw.dng", make_frame(HEIGHT, WIDTH, noise=(2e-3, 1e-5), seed=4))
    first = client.denoise(source, tmp_path / "a.dng")
    second = client.restore_mosaic(source, tmp_path / "a.residual", WHOLE)
    assert (first.from_cache, second.from_cache) == (False, True)
    assert (second.model_id, second.noise.source) == (first.model_id, first.noise.source)


def test_a_window_is_cut_from_the_whole(client: Client, raw: Path, tmp_path: Path) -> None:
    whole = residual_of(client, raw, tmp_path / "whole")
    window = MosaicWindow(3, 5, 40, 50, HEIGHT, WIDTH, (2, 1, 1, 0))
    part = residual_of(client, raw, tmp_path / "part", window)
    np.testing.assert_array_equal(part.luma, whole.luma[3:43, 5:55])
    np.testing.assert_array_equal(part.chroma, whole.chroma[3:43, 5:55])


def test_masked_photosites_have_no_residual(client: Client, tmp_path: Path) -> None:
    frame = make_frame(60, 80, "GBRG", border=(4, 6, 2, 8), noise=(2e-3, 1e-5))
    source = write_cfa_dng(tmp_path / "raw.dng", frame)
    found = residual_of(client, source, tmp_path / "a", MosaicWindow(0, 0, 66, 94, 66, 94, (1, 2, 0, 1)))
    inside = np.zeros((66, 94), bool)
    inside[4:64, 6:86] = True
    assert not found.luma[~inside].any()
    assert not found.chroma[~inside].any()
    assert found.luma[inside].std() > 1


def test_files_and_residuals_go_over_tcp_in_chunks(client: Client, raw: Path, tmp_path: Path) -> None:
    by_path = residual_of(client, raw, tmp_path / "a")
    in_chunks = residual_of(client, raw.read_bytes(), tmp_path / "b")
    np.testing.assert_array_equal(by_path.luma, in_chunks.luma)


def test_samples_are_restored_in_signal_units(client: Client, tmp_path: Path) -> None:
    frame = make_frame(240, 360, "XTRANS", noise=(2e-3, 1e-5))
    colors = tuple(color for row in XTRANS.colors for color in row)
    samples = frame.signal().astype("<f4").tobytes()  # large enough that its noise can be measured
    window = MosaicWindow(0, 0, 240, 360, 0, 0, colors)
    found = residual_of(client, samples, tmp_path / "a", window, samples=True)
    clean = make_frame(240, 360, "XTRANS", noise=None).signal()
    unclipped = frame.signal() < 1
    noise = (frame.signal() - clean)[unclipped]
    left = noise - ((found.luma + found.chroma) / found.span)[unclipped]
    assert np.mean(left**2) < 0.7 * np.mean(noise**2)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"frame_width": WIDTH + 2}, "MOSAIC_MISMATCH"),
        ({"cfa": (1, 0, 2, 1)}, "MOSAIC_MISMATCH"),
        ({"height": HEIGHT + 1}, "MOSAIC_MISMATCH"),
        ({"cfa": (0, 1, 1)}, "BAD_CFA"),
        ({"cfa": (0, 1, 1, 3)}, "BAD_CFA"),
        ({"width": 0}, "BAD_WINDOW"),
        ({"height": 1 << 31}, "IMAGE_TOO_LARGE"),
    ],
)
def test_what_does_not_fit_is_refused(client: Client, raw: Path, tmp_path: Path, change: Any, reason: str) -> None:
    window = MosaicWindow(**{**WHOLE.__dict__, **change})
    with pytest.raises((OptionError, LimitError)) as error:
        client.restore_mosaic(raw, tmp_path / "a", window)
    assert error.value.reason == reason
    assert list(tmp_path.iterdir()) == []


def test_samples_of_another_size_are_refused(client: Client, tmp_path: Path) -> None:
    with pytest.raises(OptionError) as error:
        client.restore_mosaic(bytes(400), tmp_path / "a", MosaicWindow(0, 0, 10, 11, 0, 0, RGGB), samples=True)
    assert error.value.reason == "SIZE_MISMATCH"


def test_a_foreign_file_is_not_replaced(client: Client, raw: Path, tmp_path: Path) -> None:
    (tmp_path / "letter").write_text("dear reader")
    with pytest.raises(OptionError) as error:
        client.restore_mosaic(raw, tmp_path / "letter", WHOLE)
    assert error.value.reason == "OUTPUT_EXISTS"
    assert (tmp_path / "letter").read_text() == "dear reader"
    client.restore_mosaic(raw, tmp_path / "a", WHOLE)
    client.restore_mosaic(raw, tmp_path / "a", WHOLE)


@pytest.mark.parametrize("role", ["", "mask", "dng"])
def test_other_roles_are_refused(stub: Any, raw: Path, role: str) -> None:
    header = pb.RestoreMosaicHeader(input=pb.InputFile(role=role, local_path=str(raw)))
    with pytest.raises(grpc.RpcError) as error:
        list(stub.RestoreMosaic(iter([pb.RestoreMosaicRequest(header=header)])))
    assert details_of(error.value)["ErrorInfo"].reason == "INPUT_ROLES"
