"""RawTherapee's profile builder and its installation: always a valid profile, no long wait, nothing left behind."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.rawtherapee import keyfile
from adapters.rawtherapee.cpb import read_request
from adapters.rawtherapee.names import record_path, residuals_of, sidecar_path
from plugin_core.client import Client
from plugin_core.errors import OptionError
from tests.builders import make_frame, write_cfa_dng
from tests.hosts.rawtherapee import Place, make_place

pytestmark = pytest.mark.host

DEFAULT = b"[Version]\nAppVersion=5.9\nVersion=349\n\n[Exposure]\nCompensation=0.3\n"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return make_place(tmp_path / "home")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "shoot").mkdir()
    return write_cfa_dng(tmp_path / "shoot" / "IMG 1.dng", make_frame(160, 224, noise=(2e-4, 4e-6)))


def request_for(source: Path, **changes: str) -> Path:
    """A parameter file as RawTherapee 5.9 writes it."""
    default = source.parent.parent / "default.pp3"
    default.write_bytes(DEFAULT)
    values = {
        "CachePath": str(source.parent.parent),
        "AppVersion": "5.9",
        "ProcParamsVersion": "349",
        "ImageFileName": str(source),
        "OutputProfileFileName": f"{source}.pp3",
        "DefaultProcParams": str(default),
        "FlaggingMode": "false",
        **changes,
    }
    path = source.parent.parent / "CPB_temp_0.txt"
    path.write_bytes(keyfile.with_keys(b"", "RT General", values) + b"\n[EXIF]\nOdd=[x]=y\n")
    return path


def wait_for(condition: Callable[[], bool], timeout_s: float = 120.0) -> bool:
    give_up_s = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < give_up_s:
        time.sleep(0.1)
    return condition()


def dark_frame(source: Path) -> str | None:
    return keyfile.get(sidecar_path(source).read_bytes(), "RAW", "DarkFrame")


def test_a_photograph_is_restored_on_opening(client: Client, place: Place, source: Path) -> None:
    code, _, err = place.isp("cpb", request_for(source), "--limit", "120")
    assert code == 0, err
    assert sidecar_path(source).read_bytes().startswith(DEFAULT)
    (residual,) = residuals_of(source)
    assert dark_frame(source) == residual.name
    # "Reset to default" calls again, over whatever the profile has become; no dark frame of the user's is in the way
    sidecar_path(source).write_bytes(b"[RAW]\nDarkFrame=/own.dng\n")
    code, _, err = place.isp("cpb", request_for(source), "--limit", "120", "--strength", "0.5")
    assert code == 0, err
    (half,) = residuals_of(source)
    assert dark_frame(source) == half.name != residual.name
    assert place.isp("detach", source)[0] == 0
    assert sorted(path.name for path in source.parent.iterdir()) == [source.name]


def test_too_slow_goes_on_in_the_background(client: Client, place: Place, source: Path, tmp_path: Path) -> None:
    told, program = tmp_path / "told", tmp_path / "notify-send"
    program.write_text(f'#!/bin/sh\necho "$2" >> "{told}"\n')
    program.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    code, _, err = place.isp("cpb", request_for(source), "--limit", "0", PATH=path)
    assert code == 0
    assert "goes on in the background" in err
    assert sidecar_path(source).read_bytes().startswith(DEFAULT)
    assert wait_for(lambda: record_path(source).exists())
    assert dark_frame(source) == next(residuals_of(source)).name
    assert wait_for(lambda: len(told.read_text().splitlines()) == 2)
    first, last = told.read_text().splitlines()
    assert "still being restored" in first
    assert "Reset to default" in last


def test_a_failure_leaves_the_default_profile(client: Client, place: Place, source: Path, tmp_path: Path) -> None:
    source.write_bytes(b"no photograph at all")
    code, _, err = place.isp("cpb", request_for(source), "--limit", "120")
    assert code == 0
    assert "IMG 1.dng" in err
    assert sidecar_path(source).read_bytes() == DEFAULT
    request = request_for(source, DefaultProcParams="Dynamic/Dynamic.pp3")
    assert place.isp("cpb", request, "--limit", "120", NEURAL_ISP_SERVER="unix:///none")[0] == 0
    assert keyfile.get(sidecar_path(source).read_bytes(), "Version", "Version") == "349"
    with pytest.raises(OptionError, match="parameter file"):
        read_request(source)


@pytest.mark.parametrize(
    ("name", "changes"),
    [("IMG 1.dng", {"FlaggingMode": "true"}), ("a.jpg", {}), ("a.dng.nisp-01234567.dng", {}), ("a.restored.dng", {})],
)
def test_what_is_not_to_be_restored_gets_its_default(
    place: Place, source: Path, name: str, changes: dict[str, str]
) -> None:
    image = source.rename(source.with_name(name))
    code, _, err = place.isp("cpb", request_for(image, **changes), NEURAL_ISP_SERVER="unix:///none")
    assert code == 0, err
    assert sidecar_path(image).read_bytes() == DEFAULT
    assert sorted(path.name for path in image.parent.iterdir()) == [name, f"{name}.pp3"]


def test_a_profile_in_rawtherapee_s_cache(client: Client, place: Place, source: Path, tmp_path: Path) -> None:
    """Where it keeps profiles away from photographs, the dark frame's path is absolute."""
    kept = tmp_path / "profiles" / "IMG 1.dng.0123.pp3"
    kept.parent.mkdir()
    code, _, err = place.isp("cpb", request_for(source, OutputProfileFileName=str(kept)), "--limit", "120")
    assert code == 0, err
    (residual,) = residuals_of(source)
    assert keyfile.get(kept.read_bytes(), "RAW", "DarkFrame") == str(residual)
    assert place.isp("detach", source)[0] == 0
    assert [path.name for path in source.parent.iterdir()] == [source.name]
    assert not kept.exists()


def tree(folder: Path) -> dict[str, bytes | None]:
    """Every file and folder below."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def test_install_and_undo_in_an_empty_home(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    place = Place(home)
    bare = {"RT_SETTINGS": ""}
    code, out, err = place.isp("install", "--force", **bare)
    assert code == 0, err
    options = home / ".config" / "RawTherapee" / "options"
    command = keyfile.get(options.read_bytes(), "Profiles", "CustomProfileBuilderPath")
    assert command is not None
    assert command.endswith(" rawtherapee cpb")
    assert os.access(command.split()[0], os.X_OK)
    assert keyfile.get(options.read_bytes(), "Profiles", "CustomProfileBuilderKeys") == "0"
    assert place.isp("install", "--force", **bare)[1] == [f"{options}: calls neural-isp already"]
    assert place.isp("install", "--undo", "--force", **bare)[0] == 0
    assert tree(home) == {}
    code, out, _ = place.isp("install", "--undo", "--force", **bare)
    assert (code, out) == (0, [f"{options}: does not call neural-isp"])


def test_install_keeps_the_other_options(place: Place) -> None:
    options = place.settings / "options"
    before = b"[General]\r\nVersion=5.9\r\n\r\n[Profiles]\r\nDirectory=profiles\r\nCustomProfileBuilderPath=\r\n"
    options.write_bytes(before)
    assert place.isp("install", "--force")[0] == 0
    assert (place.settings / "options.before-neural-isp").read_bytes() == before
    changed = options.read_bytes()
    assert place.isp("install", "--undo", "--force")[0] == 0
    assert options.read_bytes() == before
    place.isp("install", "--force")
    options.write_bytes(changed.replace(b"5.9", b"5.10"))  # RawTherapee has written its options meanwhile
    assert place.isp("install", "--undo", "--force")[0] == 0
    assert keyfile.get(options.read_bytes(), "Profiles", "CustomProfileBuilderPath") == ""
    assert keyfile.get(options.read_bytes(), "General", "Version") == "5.10"
    options.write_bytes(before.replace(b"BuilderPath=", b"BuilderPath=/mine"))
    own = options.read_bytes()
    code, _, err = place.isp("install")
    assert code == 2
    assert "--force" in err or "running" in err
    assert options.read_bytes() == own
    assert sorted(path.name for path in place.settings.iterdir()) == ["options"]


def test_a_running_rawtherapee_would_overwrite_its_options(place: Place, tmp_path: Path) -> None:
    program = Path(shutil.copy(shutil.which("sleep") or "/bin/sleep", tmp_path / "rawtherapee"))
    before = (place.settings / "options").read_bytes()
    with subprocess.Popen([program, "300"]) as running:
        code, _, err = place.isp("install")
        running.kill()
    assert code == 2
    assert "RawTherapee is running" in err
    assert (place.settings / "options").read_bytes() == before


def test_art_s_files(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    place = Place(home)
    assert place.isp("install", "--art")[0] == 0
    loader = (home / ".config" / "ART" / "imageio" / "neural-isp-arw.txt").read_bytes()
    assert keyfile.get(loader, "ART RAWImageIO", "Extension") == "arw"
    command = keyfile.get(loader, "ART RAWImageIO", "ReadCommand")
    assert command is not None
    assert shutil.which(command.split()[0])
    assert command.endswith("rawtherapee art-load")
    menu = (home / ".config" / "ART" / "usercommands" / "neural-isp-attach.txt").read_bytes()
    assert keyfile.get(menu, "ART UserCommand", "FileType") == "raw"
    assert place.isp("install", "--art", "--undo")[0] == 0
    assert tree(home) == {}
