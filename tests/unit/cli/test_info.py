"""plugin_core.cli.info: what a photographer is told about a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from plugin_core.cli.info import describe_text
from plugin_core.rpc.v1 import restoration_pb2 as pb
from tests.unit.cli.running import Run


@pytest.fixture
def described() -> pb.DescribeFileResponse:
    return pb.DescribeFileResponse(
        name="IMG_1.CR3",
        make="Canon",
        model="EOS R5",
        kind="bayer",
        cfa="RGGB",
        width=8352,
        height=5586,
        active_area=[96, 160, 5464, 8192],
        black_level=[512] * 4,
        white_level=[16383] * 3,
        as_shot_neutral=[0.5, 1, 0.625],
        iso=3200,
        exposure_time_s=0.005,
        f_number=2.8,
        noise=pb.NoiseReport(a=[4e-4] * 3, b=[1e-6] * 3, source="measured", confidence=0.8),
        other_noise=[
            pb.NoiseReport(
                a=[16e-4], b=[4e-6], source="camera_table", confidence=0.6, detail="sigma x 2.00 at mid-grey"
            )
        ],
        tags=[pb.Tag(group="EXIF", name="Artist", value="N. N."), pb.Tag(group="GPS", name="Lat", value="1")],
        restorable=True,
        warnings=["the lens is not named"],
    )


def test_text(described: pb.DescribeFileResponse) -> None:
    text = describe_text(described)
    assert text.splitlines()[0] == "IMG_1.CR3"
    for part in (
        "Canon EOS R5",
        "1/200 s, f/2.8, ISO 3200",
        "bayer RGGB, 8352 x 5586",
        "8192 x 5464 at row 96, column 160",
        "black 512, white 16383",
        "0.5 1 0.625",
        "1 EXIF, 1 GPS",
        "restorable yes",
        "the lens is not named",
    ):
        assert part in text
    assert "N. N." not in text
    assert "Artist: N. N." in describe_text(described, tags=True)


def test_every_noise_source_has_its_say(described: pb.DescribeFileResponse) -> None:
    lines = [line.split(maxsplit=1) for line in describe_text(described).splitlines()]
    start = lines.index(["noise", "a 0.0004, b 1e-06"])
    assert [" ".join(line) for line in lines[start + 1 : start + 5]] == [
        "measured from this file, confidence 80%",
        "or a 0.0016, b 4e-06",
        "from the table of cameras, confidence 60%",
        "sigma x 2.00 at mid-grey",
    ]


def test_the_maker_is_named_once(described: pb.DescribeFileResponse) -> None:
    described.model = "Canon EOS 30D"
    assert "camera     Canon EOS 30D" in describe_text(described)


def test_why_a_file_can_t_be_restored(described: pb.DescribeFileResponse) -> None:
    described.restorable, described.refusal = False, "Foveon sensor"
    assert "no: Foveon sensor" in describe_text(described)


def test_nothing_known_is_no_crash() -> None:
    assert describe_text(pb.DescribeFileResponse(name="x.dng")).startswith("x.dng")


@pytest.mark.usefixtures("server")
def test_command(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.nef").write_bytes(b"raw")
    ran = run("info", tmp_path / "a.nef", tmp_path / "none.nef", "--json")
    assert ran.code == 2
    assert [json.loads(line)["name"] for line in ran.paths] == ["a.nef"]
    assert "none.nef: no such file" in ran.err
    assert run("info", tmp_path / "a.nef").out.startswith("a.nef\n")
