"""plugin_core.cli.denoise: batches, what is printed where, skipping, and going on after trouble."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import grpc
import pytest

from plugin_core.cli.done import difference, provenance
from plugin_core.client.values import Compression, DenoiseOptions, Output
from plugin_core.errors import FileFormatError, IspError, LimitError, NoModelError
from plugin_core.rpc.errors import translated_errors
from plugin_core.rpc.v1 import restoration_pb2 as pb
from tests.unit.cli.running import Run
from tests.unit.client.serving import DNG, Seen, Service, restore, result_chunks, summary

pytestmark = pytest.mark.usefixtures("server")


@pytest.fixture
def shoot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "shoot"
    folder.mkdir()
    for name in ("a.nef", "b.nef", "c.nef"):
        (folder / name).write_bytes(name.encode() * 100)
    monkeypatch.chdir(tmp_path)
    return Path("shoot")


def _fails_for(name: str, error: IspError) -> object:
    def answer(seen: Seen, context: grpc.ServicerContext) -> Iterator[pb.JobEvent]:
        if seen.header.inputs[0].name == name:
            with translated_errors(context):
                raise error
        yield from restore(seen, context)

    return answer


def _marked(seen: Seen, context: grpc.ServicerContext) -> Iterator[pb.JobEvent]:
    """Answers like a server that writes provenance."""
    options = seen.header.denoise
    data = b"II*\0" + b"\0" * 70_000 + xmp(seen.content(), f"{options.strength:.4g}", options.model or "standard")
    yield from result_chunks("dng", data)
    yield pb.JobEvent(summary=summary(seen, {"dng": data}))


def xmp(source: bytes, strength: str = "1", model: str = "standard", **more: str) -> bytes:
    """An XMP packet such as exiv2 writes."""
    fields = {"SourceSHA256": hashlib.sha256(source).hexdigest(), "Strength": strength, "Luma": "1", "Chroma": "1"}
    fields |= {"ModelId": model, "Mask": "no", "NoiseSource": "measured"} | more
    attributes = " ".join(f'nisp:{key}="{value}"' for key, value in fields.items())
    return f"<rdf:Description {attributes}/>".encode()


def test_stdout_is_exactly_the_path(run: Run, shoot: Path) -> None:
    ran = run("denoise", shoot / "a.nef", "-o", "a.dng")
    assert (ran.code, ran.out) == (0, "a.dng\n")
    assert Path("a.dng").read_bytes() == DNG
    assert "24.0 MP" in ran.err
    assert "levels were rescaled" in ran.err


def test_folder(run: Run, shoot: Path) -> None:
    ran = run("denoise", shoot, "-o", "out")
    assert ran.code == 0
    assert ran.paths == ["out/a.dng", "out/b.dng", "out/c.dng"]
    assert ran.err.splitlines()[-1] == "3 restored"


def test_one_file_into_a_new_folder(run: Run, shoot: Path) -> None:
    assert run("denoise", shoot / "a.nef", "-o", "new/folder/").paths == ["new/folder/a.dng"]
    ran = run("denoise", shoot / "a.nef", "-o", "other/a.dng")
    assert ran.code == 2
    assert "there is no folder other" in ran.err


def test_goes_on_after_a_bad_file(run: Run, service: Service, shoot: Path) -> None:
    service.answer = _fails_for("b.nef", FileFormatError("b.nef: truncated", "TRUNCATED"))  # type: ignore[assignment]
    ran = run("denoise", shoot, "-o", "out")
    assert ran.code == 3
    assert ran.paths == ["out/a.dng", "out/c.dng"]
    assert "neural-isp: b.nef: truncated" in ran.err
    assert ran.err.splitlines()[-1] == "2 restored, 1 failed"
    assert sorted(os.listdir("out")) == ["a.dng", "c.dng"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (FileFormatError("a.nef: no RAW file", "NOT_RAW"), 3),
        (NoModelError("a.nef: Foveon", "FOVEON"), 4),
        (LimitError("queue full", "QUEUE_FULL"), 5),
    ],
)
def test_exit_code_by_class(run: Run, service: Service, shoot: Path, error: IspError, code: int) -> None:
    service.answer = _fails_for("a.nef", error)  # type: ignore[assignment]
    ran = run("denoise", shoot / "a.nef", "-o", "a.dng")
    assert (ran.code, ran.out) == (code, "")
    assert error.message in ran.err
    assert "a.nef" in ran.err  # the file is named even where the server didn't
    assert not Path("a.dng").exists()


def test_missing_file_in_a_batch(run: Run, shoot: Path) -> None:
    ran = run("denoise", shoot / "a.nef", "none.nef", "-o", "out")
    assert ran.code == 2
    assert ran.paths == ["out/a.dng"]
    assert "none.nef: no such file" in ran.err


def test_what_is_done_is_skipped(run: Run, service: Service, shoot: Path) -> None:
    service.answer = _marked
    first = run("denoise", shoot / "a.nef", shoot / "b.nef", "-o", "out")
    written = Path("out/a.dng").stat().st_mtime_ns
    again = run("denoise", shoot, "-o", "out")
    assert (first.code, again.code) == (0, 0)
    assert len(service.seen) == 3
    assert again.paths == ["out/a.dng", "out/b.dng", "out/c.dng"]
    assert again.err.count("skipped, out/") == 2
    assert again.err.splitlines()[-1] == "1 restored, 2 skipped"
    assert Path("out/a.dng").stat().st_mtime_ns == written


def test_nothing_left_to_do_needs_no_server(run: Run, service: Service, shoot: Path) -> None:
    service.answer = _marked
    run("denoise", shoot, "-o", "out")
    ran = run("denoise", shoot, "-o", "out", "--server", "unix:///nowhere/at-all")
    assert ran.code == 0
    assert ran.err.splitlines()[-1] == "0 restored, 3 skipped"


def test_other_options_are_not_done(run: Run, service: Service, shoot: Path) -> None:
    service.answer = _marked
    run("denoise", shoot / "a.nef", "-o", "a.dng")
    ran = run("denoise", shoot / "a.nef", "-o", "a.dng", "--strength", "0.5")
    assert ran.code == 2
    assert "exists already and was made with strength 1, not 0.5; --force replaces it" in ran.err
    assert provenance(Path("a.dng"))["Strength"] == "1"
    assert run("denoise", shoot / "a.nef", "-o", "a.dng", "--strength", "0.5", "--force").code == 0
    assert provenance(Path("a.dng"))["Strength"] == "0.5"


def test_a_foreign_file_is_never_replaced_unasked(run: Run, shoot: Path) -> None:
    Path("a.dng").write_bytes(b"somebody's")
    ran = run("denoise", shoot / "a.nef", "-o", "a.dng")
    assert ran.code == 2
    assert "was not written by neural-isp" in ran.err
    assert Path("a.dng").read_bytes() == b"somebody's"


def test_options_reach_the_server(run: Run, service: Service, shoot: Path) -> None:
    Path("m.png").write_bytes(b"mask")
    options = "--model fast --strength 0 --luma .5 --chroma .25 --mask m.png --output linear --compression none"
    more = "--change-map map.tif --noise-profile 1,2,3,4,5,6"
    assert run("denoise", shoot / "a.nef", "-o", "a.dng", *options.split(), *more.split()).code == 0
    sent = service.seen[0].header
    assert [one.role for one in sent.inputs] == ["raw", "mask"]
    assert sent.denoise == pb.DenoiseOptions(
        model="fast",
        strength=0.0,
        luma=0.5,
        chroma=0.25,
        output=pb.OUTPUT_LINEAR,
        compression=pb.COMPRESSION_NONE,
        noise=pb.NoiseParameters(a=[1, 2, 3], b=[4, 5, 6]),
        change_map=True,
        change_map_format=pb.CHANGE_MAP_FORMAT_TIFF,
    )
    assert Path("map.tif").exists()


def test_json_progress(run: Run, service: Service, shoot: Path) -> None:
    service.answer = _fails_for("b.nef", FileFormatError("b.nef: truncated", "TRUNCATED"))  # type: ignore[assignment]
    ran = run("denoise", shoot / "a.nef", shoot / "b.nef", "-o", "out", "--progress", "json")
    events = [json.loads(line) for line in ran.err.splitlines()]
    assert [event["event"] for event in events if event["event"] != "progress"] == [
        "start",
        "done",
        "start",
        "error",
        "summary",
    ]
    steps = [event for event in events if event["event"] == "progress"]
    assert steps[1] == {
        "event": "progress",
        "file": "shoot/a.nef",
        "index": 1,
        "count": 2,
        "stage": "decode",
        "fraction": 0.5,
        "eta_s": 3.0,
        "queue_position": 0,
    }
    done, error, last = (next(e for e in events if e["event"] == name) for name in ("done", "error", "summary"))
    assert (done["output"], done["model"], done["noise"]["source"]) == ("out/a.dng", "standard", "measured")
    assert (error["reason"], error["exit_code"], error["file"]) == ("TRUNCATED", 3, "shoot/b.nef")
    assert last == {"event": "summary", "restored": 1, "skipped": 0, "failed": 1, "unfinished": 0, "exit_code": 3}


def test_json_progress_even_when_nothing_starts(run: Run, shoot: Path) -> None:
    ran = run("denoise", shoot / "a.nef", "-o", "a.tif", "--progress", "json")
    assert ran.code == 2
    assert json.loads(ran.err)["reason"] == "OUTPUT_NOT_DNG"


def test_bar(run: Run, shoot: Path) -> None:
    ran = run("denoise", shoot / "a.nef", "-o", "a.dng", "--progress", "bar")
    assert ran.out == "a.dng\n"
    assert "restoring, 3 s left" in ran.err


def test_no_server(run: Run, shoot: Path) -> None:
    ran = run("denoise", shoot, "-o", "out", "--server", "unix:///nowhere/at-all")
    assert ran.code == 6
    assert "no neural-isp server answers at unix:///nowhere/at-all" in ran.err
    assert ran.out == ""
    assert ran.err.splitlines()[-1] == "0 restored, 1 failed, 2 not done"  # what nobody answers is asked once


def test_interrupt_ends_the_batch(run: Run, service: Service, shoot: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(self: object, step: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("plugin_core.cli.progress.TextReport.step", interrupt)
    ran = run("denoise", shoot, "-o", "out", "--progress", "none")
    assert (ran.code, ran.out) == (130, "")
    assert ran.err.splitlines() == ["0 restored, 3 not done", "neural-isp: interrupted"]
    assert os.listdir("out") == []
    assert len(service.seen) == 1


@pytest.mark.parametrize(
    ("changed", "options", "why"),
    [
        ({}, DenoiseOptions(), ""),
        ({}, DenoiseOptions(model="standard"), ""),
        ({}, DenoiseOptions(model="fast"), "model standard"),
        ({}, DenoiseOptions(luma=0.5), "luma"),
        ({}, DenoiseOptions(noise=((1e-3,), (1e-6,))), "noise"),
        ({}, DenoiseOptions(noise_calibration=("a.json", "{}")), "calibration"),
        ({"NoiseCalibrationSHA256": "12"}, DenoiseOptions(), "calibration"),
        ({"NoiseCalibrationSHA256": "12"}, DenoiseOptions(noise_calibration=("a.json", "{}")), "calibration"),
        ({"NoiseCalibrationSHA256": sha256(b"{}").hexdigest()}, DenoiseOptions(noise_calibration=("a", "{}")), ""),
        ({"NoiseSource": "user", "NoiseA": "0.001 0.001", "NoiseB": "1e-06 1e-06"}, DenoiseOptions(), "noise"),
        (
            {"NoiseSource": "user", "NoiseA": "0.001 0.001", "NoiseB": "1e-06 1e-06"},
            DenoiseOptions(noise=((1e-3,), (1e-6,))),
            "",
        ),
        ({"Mask": "0" * 64}, DenoiseOptions(), "mask"),
        ({"Output": "linear"}, DenoiseOptions(), "output"),
        ({"Output": "same"}, DenoiseOptions(output=Output.CFA), ""),
        ({"Compression": "ljpeg"}, DenoiseOptions(compression=Compression.NONE), "compression"),
    ],
)
def test_what_counts_as_done(tmp_path: Path, changed: dict[str, str], options: DenoiseOptions, why: str) -> None:
    source, target = tmp_path / "a.nef", tmp_path / "a.dng"
    source.write_bytes(b"raw")
    target.write_bytes(b"pixels" + xmp(b"raw", **changed) + b"pixels")
    found = difference(target, source, options, None)
    assert why in found
    assert bool(found) == bool(why)
    source.write_bytes(b"another")
    assert difference(target, source, options, None) == "was made from another file"


def test_masks_are_told_apart(tmp_path: Path) -> None:
    source, target, mask, other = (tmp_path / name for name in ("a.nef", "a.dng", "m.png", "other.png"))
    for path in (source, mask, other):
        path.write_bytes(path.name.encode())
    target.write_bytes(xmp(b"a.nef", Mask=hashlib.sha256(b"m.png").hexdigest()))
    assert difference(target, source, DenoiseOptions(), mask) == ""
    assert "another mask" in difference(target, source, DenoiseOptions(), other)
    assert "with a mask" in difference(target, source, DenoiseOptions(), None)


def test_properties_as_elements(tmp_path: Path) -> None:
    (tmp_path / "a.dng").write_bytes(b"<n:SourceSHA256>ab</n:SourceSHA256>\n<n:Strength>0.5</n:Strength>")
    assert provenance(tmp_path / "a.dng") == {"SourceSHA256": "ab", "Strength": "0.5"}
    (tmp_path / "b.dng").touch()
    assert provenance(tmp_path / "b.dng") == {}


def test_a_calibration_travels_as_text(run: Run, server: str, service: Service, shoot: Path) -> None:
    Path("mine.json").write_text('{"é": 1}')
    assert run("denoise", shoot / "a.nef", "-o", "a.dng", "--noise-profile", "mine.json").code == 0
    (seen,) = service.seen
    assert seen.header.denoise.noise_calibration == pb.NoiseCalibration(name="mine.json", text='{"é": 1}')
    Path("binary.json").write_bytes(b"\xff\xfe")
    for name in ("none.json", "binary.json", ".", "1,2,3", "x" * 300):
        ran = run("denoise", shoot / "a.nef", "-o", "b.dng", "--noise-profile", name)
        assert ran.code == 2
        assert len(ran.err.splitlines()) == 1
