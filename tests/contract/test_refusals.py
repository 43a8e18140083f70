"""Every kind of refusal over a real socket: code, reason, one line, nothing left behind, and the server goes on."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from PIL import Image

from plugin_core.rpc.v1 import restoration_pb2 as pb
from tests.builders import make_linear, write_linear_dng
from tests.server_fixture import LiveServer, denoise, details_of, requests

Options = pb.DenoiseOptions
Make = Callable[[bytes, Path], Iterator[pb.DenoiseRequest]]  # from a good file's content and a folder


def options(**fields: Any) -> Make:
    """A good file with these options."""
    return lambda raw, _: requests(raw, Options(**fields))


def declared(**fields: Any) -> Make:
    """A good file about which the header says this."""
    return lambda raw, _: requests(raw, **fields)


def outputs(**names: str) -> Make:
    """A good file with these output paths in the folder."""
    return lambda raw, folder: requests(raw, Options(**{key: str(folder / name) for key, name in names.items()}))  # type: ignore[arg-type]


def onto_itself(raw: bytes, folder: Path) -> Iterator[pb.DenoiseRequest]:
    path = str(folder / "there.dng")
    return requests(options=Options(output_path=path, overwrite=True), local_path=path)


def residual(*host_area: int) -> Make:
    """A good file, and its residual for a host that uses this area."""
    return options(output=pb.OUTPUT_RESIDUAL, strength=0.0, residual=pb.ResidualOptions(host_area=host_area))


NOISE = pb.NoiseParameters
# class of error -> code, and name of the case -> (how to ask, reason; "" for any)
CASES: dict[str, tuple[grpc.StatusCode, dict[str, tuple[Make, str]]]] = {
    "OptionError": (
        grpc.StatusCode.INVALID_ARGUMENT,
        {
            "chunk first": (lambda raw, _: iter([pb.DenoiseRequest(chunk=pb.Chunk(data=raw))]), "HEADER_MISSING"),
            "nothing": (lambda raw, _: iter(()), "HEADER_MISSING"),
            "two headers": (lambda raw, _: iter([*requests(raw)][:1] * 2), "NOT_A_CHUNK"),
            "wrong digest": (declared(sha256="ab" * 32), "SHA256_MISMATCH"),
            "too few bytes": (lambda raw, _: requests(raw, size_bytes=len(raw) + 1), "SIZE_MISMATCH"),
            "too many bytes": (lambda raw, _: requests(raw, size_bytes=len(raw) - 1), "SIZE_MISMATCH"),
            "unknown role": (declared(role="flat"), "INPUT_ROLES"),
            "unknown output": (options(output=99), "UNKNOWN_ENUM_VALUE"),
            "unknown compression": (options(compression=7), "UNKNOWN_ENUM_VALUE"),
            "unknown map format": (options(change_map_format=7), "UNKNOWN_ENUM_VALUE"),
            "strength 1.5": (options(strength=1.5), "OPTION_RANGE"),
            "luma NaN": (options(luma=float("nan")), "OPTION_RANGE"),
            "noise below 0": (options(noise=NOISE(a=[-1], b=[0])), "BAD_NOISE_PROFILE"),
            "noise of 2 planes": (options(noise=NOISE(a=[1, 1], b=[0, 0])), "BAD_NOISE_PROFILE"),
            "noise without a": (options(noise=NOISE(b=[0])), "BAD_NOISE_PROFILE"),
            "no such input": (lambda _, folder: requests(local_path=str(folder / "none.dng")), "INPUT_NOT_FOUND"),
            "no such folder": (outputs(output_path="none/out.dng"), "OUTPUT_UNWRITABLE"),
            "relative output": (options(output_path="out.dng"), "PATH_NOT_ABSOLUTE"),
            "output exists": (outputs(output_path="there.dng"), "OUTPUT_EXISTS"),
            "output is a folder": (
                lambda raw, folder: requests(raw, Options(output_path=str(folder), overwrite=True)),
                "OUTPUT_UNWRITABLE",
            ),
            "output is the input": (onto_itself, "OUTPUT_IS_INPUT"),
            "both outputs alike": (outputs(output_path="x.tif", change_map_path="x.tif"), "SAME_OUTPUT_TWICE"),
            "host area of 3 numbers": (residual(0, 0, 75), "OPTION_RANGE"),
            "host area of nothing": (residual(0, 0, 75, 0), "OPTION_RANGE"),
            "host area outside": (residual(2, 0, 75, 97), "OPTION_RANGE"),
            "map named .jpg": (outputs(change_map_path="m.jpg"), "CHANGE_MAP_FORMAT"),
        },
    ),
    "FileFormatError": (
        grpc.StatusCode.INVALID_ARGUMENT,
        {
            "empty": (lambda raw, _: requests(b""), "EMPTY_FILE"),
            "text": (lambda raw, _: requests(b"this is no photograph\n" * 100), ""),
            "half a file": (lambda raw, _: requests(raw[: len(raw) // 2]), ""),
        },
    ),
    "LimitError": (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        {
            "too large a file": (declared(size_bytes=1 << 40), "FILE_TOO_LARGE"),
            "too large a chunk": (lambda raw, _: requests(bytes(1 << 21), chunk_bytes=1 << 21), "CHUNK_TOO_LARGE"),
        },
    ),
    "NoModelError": (grpc.StatusCode.FAILED_PRECONDITION, {"unknown model": (options(model="nope"), "NO_SUCH_MODEL")}),
    "ModelPackageError": (
        grpc.StatusCode.FAILED_PRECONDITION,
        {"broken model": (options(model="broken"), "MODEL_CHECKSUM")},
    ),
}


@pytest.mark.parametrize(("kind", "case"), [(kind, case) for kind, (_, cases) in CASES.items() for case in cases])
def test_refusal(server: LiveServer, stub: Any, raw: Path, tmp_path: Path, kind: str, case: str) -> None:
    code, cases = CASES[kind]
    make, reason = cases[case]
    there = tmp_path / "there.dng"
    there.write_bytes(raw.read_bytes())
    with pytest.raises(grpc.RpcError) as caught:
        denoise(stub, make(raw.read_bytes(), tmp_path))
    error: Any = caught.value
    info = details_of(error)["ErrorInfo"]
    assert error.code() is code, error.details()
    assert info.reason == (reason or info.reason)
    assert (info.domain, info.metadata["class"]) == ("neural-isp", kind)
    text = error.details()
    assert text
    assert "\n" not in text
    assert "Traceback" not in text
    assert str(server.folder) not in text, "the spool is nobody's business"
    assert [path.name for path in tmp_path.iterdir()] == ["there.dng"]
    assert there.read_bytes() == raw.read_bytes()
    assert server.leftovers() == []
    assert stub.GetServerInfo(pb.GetServerInfoRequest(), timeout=10).queue_length == 0


def test_cfa_output_of_a_linear_source(stub: Any, tmp_path: Path) -> None:
    content = write_linear_dng(tmp_path / "l.dng", make_linear(40, 50)).read_bytes()
    with pytest.raises(grpc.RpcError) as caught:
        denoise(stub, requests(content, Options(output=pb.OUTPUT_CFA)))
    assert details_of(caught.value)["ErrorInfo"].reason == "OUTPUT_KIND"


def test_residual_of_a_linear_source(stub: Any, tmp_path: Path) -> None:
    content = write_linear_dng(tmp_path / "l.dng", make_linear(40, 50)).read_bytes()
    wanted = Options(output=pb.OUTPUT_RESIDUAL, strength=0.0)
    with pytest.raises(grpc.RpcError) as caught:
        denoise(stub, requests(content, wanted))
    assert details_of(caught.value)["ErrorInfo"].reason == "RESIDUAL_UNSAFE"
    wanted.residual.or_restored = True
    report = denoise(stub, requests(content, wanted)).summary.residual
    assert "demosaiced" in report.refusal
    assert report.encoding == ""


def test_mask_of_another_size(stub: Any, raw: Path) -> None:
    stream = io.BytesIO()
    Image.new("L", (10, 10)).save(stream, format="PNG")
    parts = {"raw": raw.read_bytes(), "mask": stream.getvalue()}
    inputs = [pb.InputFile(role=role, name=f"x.{role}", size_bytes=len(data)) for role, data in parts.items()]
    messages = [pb.DenoiseRequest(header=pb.JobHeader(inputs=inputs))]
    messages += [pb.DenoiseRequest(chunk=pb.Chunk(input=i, data=data)) for i, data in enumerate(parts.values())]
    with pytest.raises(grpc.RpcError) as caught:
        denoise(stub, messages)
    assert details_of(caught.value)["ErrorInfo"].reason == "MASK_SIZE"


def test_describe_refuses_alike(stub: Any) -> None:
    for messages, reason in (
        ([], "HEADER_MISSING"),
        ([pb.DescribeFileRequest(input=pb.InputFile(role="raw", name="a"))], "EMPTY_FILE"),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            stub.DescribeFile(iter(messages), timeout=10)
        assert details_of(caught.value)["ErrorInfo"].reason == reason
