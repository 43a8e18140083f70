"""What attaching leaves beside a photograph, and that detaching leaves nothing; sidecars to the byte."""

from __future__ import annotations

import json
import os
import shutil
import threading
from pathlib import Path

import pytest

from adapters.rawtherapee import attach as attaching
from adapters.rawtherapee import keyfile, probe
from adapters.rawtherapee.attach import Sidecar, attach, detach
from adapters.rawtherapee.names import record_path, residuals_of, sidecar_path
from adapters.rawtherapee.record import Wish, read_record
from plugin_core.cli.inputs import plan
from plugin_core.client import Client
from plugin_core.errors import FileFormatError, IspError, NoModelError, OptionError
from tests.builders import make_frame, write_cfa_dng
from tests.hosts.rawtherapee import Place, make_place

pytestmark = pytest.mark.host

# A profile as RawTherapee writes it, with what editors on other systems leave: byte order mark, CRLF, odd bytes.
EDITED = (
    b"\xef\xbb\xbf[Version]\r\nAppVersion=5.9\r\nVersion=349\r\n\r\n[General]\r\nRank=3\r\n# mine \xff\r\n\r\n"
    b"[RAW]\r\nDarkFrame=\r\nDarkFrameAuto=false\r\nCA=true\r\n\r\n[RAW Bayer]\r\nMethod=amaze\r\n"
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return make_place(tmp_path_factory.mktemp("rt"))


@pytest.fixture(autouse=True)
def settings(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs in this process uses the place's settings, too."""
    monkeypatch.setenv("RT_SETTINGS", str(place.settings))
    monkeypatch.setenv("HOME", str(place.home))


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    frame = make_frame(160, 224, noise=(2e-4, 4e-6))
    return write_cfa_dng(tmp_path_factory.mktemp("raw") / "IMG_1.dng", frame, metadata=True)


@pytest.fixture
def source(original: Path, tmp_path: Path) -> Path:
    """A photograph in a folder of its own."""
    folder = tmp_path / "shoot"
    folder.mkdir()
    return Path(shutil.copy(original, folder))


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_without_a_sidecar_it_begins_as_the_user_s_default(client: Client, place: Place, source: Path) -> None:
    before = contents(source.parent)
    profiles = place.settings / "profiles"
    profiles.mkdir(exist_ok=True)
    mine = b"[Version]\nAppVersion=5.9\nVersion=349\n\n[Exposure]\nCompensation=0.7\n"
    (profiles / "mine.pp3").write_bytes(mine)
    options = place.settings / "options"
    kept = options.read_bytes()
    options.write_bytes(keyfile.with_keys(kept, "Profiles", {"RawDefault": "${U}/mine"}))
    try:
        attached = attach(client, source, Wish())
    finally:
        options.write_bytes(kept)
    assert contents(source.parent).keys() - before.keys() == {
        attached.result.name,
        "IMG_1.dng.pp3",
        "IMG_1.dng.neural-isp.json",
    }
    sidecar = sidecar_path(source).read_bytes()
    assert sidecar.startswith(mine)
    assert keyfile.get(sidecar, "RAW", "DarkFrame") == attached.result.name
    assert attached.result.name.startswith("IMG_1.dng.nisp-")
    assert detach(source) == []
    assert contents(source.parent) == before


def test_a_sidecar_keeps_every_other_byte(client: Client, source: Path) -> None:
    sidecar_path(source).write_bytes(EDITED)
    before = contents(source.parent)
    attached = attach(client, source, Wish())
    found = sidecar_path(source).read_bytes()
    assert found == EDITED.replace(b"DarkFrame=\r", b"DarkFrame=%s\r" % attached.result.name.encode())
    with_all = contents(source.parent)
    again = attach(client, source, Wish())
    assert again.restored.from_cache
    assert contents(source.parent) == with_all
    half = attach(client, source, Wish(strength=0.5))
    assert half.restored.from_cache
    assert [path.name for path in residuals_of(source)] == [half.result.name]
    assert half.result != attached.result  # RawTherapee keeps a dark frame by its name
    detach(source)
    assert contents(source.parent) == before
    assert detach(source) == ["IMG_1.dng: nothing was attached"]


def test_edits_since_then_are_kept(client: Client, source: Path) -> None:
    attach(client, source, Wish())
    sidecar = sidecar_path(source)
    edited = keyfile.with_keys(sidecar.read_bytes(), "Exposure", {"Compensation": "1.5"})
    sidecar.write_bytes(edited)
    detach(source)
    assert sidecar.read_bytes() == keyfile.with_keys(edited, "RAW", {"DarkFrame": ""})
    assert sorted(contents(source.parent)) == ["IMG_1.dng", "IMG_1.dng.pp3"]


def test_a_dark_frame_of_the_user_s_own(client: Client, source: Path) -> None:
    sidecar = sidecar_path(source)
    for own in (EDITED.replace(b"DarkFrame=\r", b"DarkFrame=/darks/a.ARW\r"), EDITED.replace(b"=false", b"=true")):
        sidecar.write_bytes(own)
        before = contents(source.parent)
        with pytest.raises(OptionError, match=r"IMG_1\.dng\.pp3 .* --force") as caught:
            attach(client, source, Wish())
        assert caught.value.reason == "DARK_FRAME_IN_USE"
        assert contents(source.parent) == before
        attach(client, source, Wish(), force=True)
        assert keyfile.get(sidecar.read_bytes(), "RAW", "DarkFrameAuto") == "false"
        attach(client, source, Wish(strength=0.25))  # ours is no reason to refuse
        detach(source)
        assert contents(source.parent) == before


def test_two_at_once_leave_one_whole_state(client: Client, source: Path) -> None:
    sidecar_path(source).write_bytes(EDITED)
    before = contents(source.parent)
    failures: list[BaseException] = []

    def work(strength: float) -> None:
        try:
            attach(client, source, Wish(strength=strength))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(strength,)) for strength in (1.0, 0.8, 0.6, 0.4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    record = read_record(source)
    assert record is not None
    assert [path.name for path in residuals_of(source)] == [record.result]
    dark = keyfile.get(sidecar_path(source).read_bytes(), "RAW", "DarkFrame")
    assert dark == record.result
    detach(source)
    assert contents(source.parent) == before


def test_the_record_may_be_lost(client: Client, source: Path) -> None:
    attach(client, source, Wish(), Sidecar())
    record_path(source).unlink()
    assert detach(source) == []
    assert sorted(contents(source.parent)) == ["IMG_1.dng", "IMG_1.dng.pp3"]
    assert keyfile.get(sidecar_path(source).read_bytes(), "RAW", "DarkFrame") == ""


def test_restored_dng_and_back(client: Client, source: Path) -> None:
    write_cfa_dng(source, make_frame(160, 224, black=0))
    sidecar_path(source).write_bytes(EDITED)
    before = contents(source.parent)
    attached = attach(client, source, Wish())
    assert attached.reason
    assert sidecar_path(source).read_bytes() == EDITED
    assert sidecar_path(attached.result).read_bytes() == EDITED
    attach(client, source, Wish(strength=0.5))
    detach(source)
    assert contents(source.parent) == before


def test_forced_over_a_dark_frame_the_copy_has_none(client: Client, source: Path) -> None:
    write_cfa_dng(source, make_frame(160, 224, black=0))
    sidecar_path(source).write_bytes(EDITED.replace(b"DarkFrame=\r", b"DarkFrame=/darks/a.ARW\r"))
    attached = attach(client, source, Wish(), force=True)
    assert sidecar_path(attached.result).read_bytes() == EDITED


def test_by_another_sidecar(client: Client, source: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.pp3"
    elsewhere.write_bytes(EDITED)
    attached = attach(client, source, Wish(), Sidecar(elsewhere))
    assert keyfile.get(elsewhere.read_bytes(), "RAW", "DarkFrame") == str(attached.result)
    attach(client, source, Wish())
    assert elsewhere.read_bytes() == EDITED
    detach(source)
    assert sorted(contents(source.parent)) == [source.name]


def test_a_residual_is_no_photograph(client: Client, source: Path, tmp_path: Path) -> None:
    residual = attach(client, source, Wish()).result
    with pytest.raises(NoModelError, match="not a photograph"):
        client.denoise(residual, tmp_path / "x.dng")
    assert [job.source for job in plan([source.parent], str(tmp_path / "out")).jobs] == [source]


def test_refusals_leave_nothing(
    client: Client, source: Path, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(OptionError, match="no such file"):
        attach(client, source.with_name("none.dng"), Wish())
    with pytest.raises(OptionError, match="is a result of neural-isp"):
        attach(client, Path(shutil.copy(source, source.with_name("IMG_1.dng.nisp-01234567.dng"))), Wish())
    source.with_name("IMG_1.dng.nisp-01234567.dng").unlink()
    broken = source.with_name("broken.dng")
    broken.write_bytes(source.read_bytes()[:5000])
    with pytest.raises(FileFormatError, match=r"broken\.dng"):
        attach(client, broken, Wish())
    foveon = source.with_name("foveon.x3f")
    foveon.write_bytes(b"FOVb" + bytes(5000))
    with pytest.raises(IspError, match="Foveon"):
        attach(client, foveon, Wish())
    with pytest.raises(OptionError, match="no such profile"):
        attach(client, source, Wish(), Sidecar(profile=tmp_path / "none.pp3"))
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(OptionError, match="read-only"):
        attach(client, source, Wish())
    assert sorted(contents(source.parent)) == ["IMG_1.dng", "broken.dng", "foveon.x3f"]


def test_without_rawtherapee_it_says_what_it_does_not_know(
    client: Client, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    assert probe.look(source) is None
    attached = attach(client, source, Wish())
    assert attaching.UNKNOWN_AREA in attached.notes


def test_the_command_line(client: Client, source: Path, place: Place) -> None:
    """A bad file does not stop the others; paths go to stdout, reasons to stderr."""
    bad = source.with_name("bad.dng")
    bad.write_bytes(b"no photograph")
    old = write_cfa_dng(source.with_name("old.dng"), make_frame(160, 224, black=0))
    code, out, err = place.isp("attach", source.parent, "--strength", "0.7")
    assert (code, len(out)) == (3, 2), err
    assert out[1] == f"{old}.restored.dng"
    assert "bad.dng" in err
    assert "old.dng: a restored DNG, for RawTherapee would take" in err
    assert json.loads(record_path(source).read_bytes())["wish"]["strength"] == 0.7
    assert place.isp("detach", source.parent)[0] == 0
    assert sorted(contents(source.parent)) == ["IMG_1.dng", "bad.dng", "old.dng"]
    code, out, err = place.isp("doctor", PATH="")
    assert code == 7
    assert "rawtherapee-cli is not installed" in out[0]


def test_art_s_loader_restores_what_is_marked(client: Client, source: Path, place: Place, tmp_path: Path) -> None:
    result = tmp_path / "out.dng"
    assert place.isp("art-load", source, result)[0] == 2
    assert not result.exists()
    code, out, err = place.isp("attach", "--art", source, "--strength", "0.5")
    assert (code, out) == (0, [str(record_path(source))]), err
    code, _, err = place.isp("art-load", source, result)
    assert code == 0, err
    assert result.exists()
    assert place.isp("detach", source)[0] == 0
    assert sorted(contents(source.parent)) == ["IMG_1.dng"]


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("rawtherapee-cli"), reason="rawtherapee-cli is not installed")
def test_a_batch_of_30_with_one_bad_file(client: Client, place: Place, tmp_path: Path) -> None:
    folder = tmp_path / "shoot"
    folder.mkdir()
    for index in range(30):
        black = 0 if index == 20 else 512
        write_cfa_dng(folder / f"{index:02}.dng", make_frame(304, 400, black=black, noise=(2e-4, 4e-6), seed=index))
    (folder / "07.dng").write_bytes((folder / "07.dng").read_bytes()[:90000])
    before = contents(folder)
    code, out, err = place.isp("render", folder, "-o", tmp_path / "out", "-p", place.neutral, "--bits", "16")
    assert code == 3, err
    expected = [f"{tmp_path}/out/{index:02}.tif" for index in range(30) if index != 7]
    assert out == expected
    assert sorted(map(str, (tmp_path / "out").iterdir())) == expected
    assert "07.dng" in err
    assert err.splitlines()[-1] == "29 restored, 1 failed"
    assert "20.dng: a restored DNG" in err
    assert contents(folder) == before
    code, out, err = place.isp("render", folder / "00.dng", "-o", tmp_path / "out" / "00.tif")
    assert (code, out) == (2, [])
    assert "--force" in err
    code, _, err = place.isp("render", folder / "00.dng", "-o", tmp_path / "x.jpg", "-p", tmp_path / "none.pp3")
    assert code == 2
    assert "no such profile" in err
    code, out, err = place.isp("render", folder / "00.dng", "-o", tmp_path / "x.jpg", "--quality", "80")
    assert code == 0, err
    assert (tmp_path / "x.jpg").read_bytes().startswith(b"\xff\xd8")
    assert place.isp("render", folder / "00.dng", "-o", tmp_path / "y.tif", PATH="")[0] == 2
    assert not (tmp_path / "y.tif").exists()
