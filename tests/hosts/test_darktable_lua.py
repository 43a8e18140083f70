"""The Lua panel in a real darktable: driven with mouse and keyboard, judged by its library and the files."""

from __future__ import annotations

import hashlib
import shutil
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from adapters.darktable.lua_install import install_lua
from tests.builders import write_cfa_dng, write_truncated
from tests.hosts.darktable_gui import TIMEOUT_S, Darktable, missing, running_darktable
from tests.hosts.render import EDIT, STEP
from tests.hosts.sources import scene_frame

pytestmark = [
    pytest.mark.skipif(bool(missing()), reason=f"{missing()} is not installed"),
    pytest.mark.usefixtures("client"),  # the server that the panel's commands find
    pytest.mark.timeout(600),
]

PROGRAM = Path(sys.executable).with_name("neural-isp")
BUTTON = (255, 0, 255)
CROSS = (0, 255, 0)  # of darktable's own progress bar
PAINT = """#neural-isp-denoise { background-color: #ff00ff; background-image: none; }
#background-job-eventbox button { background-color: #00ff00; background-image: none; }"""
IMAGES = "SELECT id, group_id, filename, flags & 7 FROM images ORDER BY filename"
TAGS = "SELECT imgid, name FROM tagged_images JOIN data.tags ON tagid = tags.id"
SELECTED = "SELECT COUNT(*) FROM selected_images"
# Steps of an edit: rawprepare's black 512 and a white that no result of ours has; exposure by 0.25 EV.
LEVELS = struct.pack("<4i5Hxxi", 0, 0, 0, 0, *(512,) * 4, 15000, 0).hex()
EXPOSURE = struct.pack("<i4fi", 0, 0.0, 0.25, 50.0, -4.0, 0).hex()


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder with a blank and a quote in its name, and two raws in it; the first has an edit."""
    folder = tmp_path / "it's a folder"
    folder.mkdir()
    for number in (1, 2):
        write_cfa_dng(folder / f"IMG {number}.dng", scene_frame(height=256, width=320, seed=number), metadata=True)
    steps = [("rawprepare", 2, LEVELS), ("exposure", 6, EXPOSURE)]
    entries = [
        STEP.format(number=number, operation=name, version=version, params=params)
        for number, (name, version, params) in enumerate(steps)
    ]
    (folder / "IMG 1.dng.xmp").write_text(EDIT.format(count=len(entries), steps="".join(entries)))
    return folder


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Path]:
    """A folder whose config/ has the panel installed."""
    folder = tmp_path / "dt"
    folder.mkdir()
    install_lua(folder / "config", PROGRAM)
    yield folder
    shutil.rmtree(folder / "cache", ignore_errors=True)


def said(darktable: Darktable, text: str) -> bool:
    """True once the panel has said it."""
    return f"neural isp: {text}" in darktable.log


def steps_of(darktable: Darktable, image: int) -> set[tuple[object, ...]]:
    """The steps of an image's edit, with their parameters in hex."""
    return set(darktable.rows(f"SELECT operation, LOWER(HEX(op_params)) FROM history WHERE imgid = {image}"))


def test_two_selected_images_are_restored_imported_and_grouped(pictures: Path, settings: Path) -> None:
    bad = write_truncated(pictures / "IMG 0.dng", pictures / "IMG 2.dng", 0.5)
    before = {path.name: digest(path) for path in pictures.glob("*.dng")}
    with running_darktable(settings, pictures, style=PAINT, lua__neural_isp__history="true") as darktable:
        darktable.wait(lambda: darktable.find(BUTTON), "panel")
        darktable.wait(lambda: len(darktable.rows(IMAGES)) == 3, "imported folder")
        darktable.key("ctrl+a")
        darktable.wait(lambda: darktable.rows(SELECTED) == [(3,)], "selection")
        darktable.key("3")
        darktable.wait(lambda: {stars for *_, stars in darktable.rows(IMAGES)} == {3}, "stars on all three")
        darktable.key("F1")
        darktable.wait(lambda: darktable.rows("SELECT COUNT(*) FROM color_labels") == [(3,)], "labels on all three")
        darktable.click(BUTTON)
        darktable.wait(lambda: said(darktable, "2 restored, 1 failed"), "end of the batch")
        assert any(bad.name in line for line in darktable.log.splitlines() if "neural isp: " in line)

        images = {str(name): (number, group, stars) for number, group, name, stars in darktable.rows(IMAGES)}
        assert set(images) == {*before, "IMG 1_neural-isp.dng", "IMG 2_neural-isp.dng"}
        tags = set(darktable.rows(TAGS))
        labels = set(darktable.rows("SELECT imgid, color FROM color_labels"))
        for name in ("IMG 1", "IMG 2"):
            result, group, stars = images[f"{name}_neural-isp.dng"]
            assert images[f"{name}.dng"][1] == group == result, "grouped, and the result leads"
            assert stars == 3
            assert (result, 0) in labels
            own = {tag for number, tag in tags if number == images[f"{name}.dng"][0] and "|" not in str(tag)}
            assert {tag for number, tag in tags if number == result and "|" not in str(tag)} == own
            assert (result, "neural-isp|denoise") in tags
            assert (images[f"{name}.dng"][0], "neural-isp|denoise") not in tags
        assert (images["IMG 2.dng"][0], "one") in tags
        edit = steps_of(darktable, images["IMG 1_neural-isp.dng"][0])
        assert ("exposure", EXPOSURE) in edit
        assert ("rawprepare", LEVELS) not in edit
        assert ("rawprepare", LEVELS) in steps_of(darktable, images["IMG 1.dng"][0])
        assert darktable.rows("SELECT name FROM data.styles") == []
        assert not any("style" in str(tag) for _, tag in tags)

        darktable.key("ctrl+a")
        darktable.wait(lambda: darktable.rows(SELECTED) == [(5,)], "selection of all")
        darktable.click(BUTTON)
        darktable.wait(lambda: said(darktable, "IMG 1_neural-isp.dng: is a result of neural-isp already"), "refusal")
        darktable.wait(lambda: said(darktable, "IMG 2.dng: was restored before with these options"), "second batch")
        assert len(darktable.rows(IMAGES)) == 5
    assert {path.name for path in pictures.glob("*.dng")} == set(images)
    assert {name: digest(pictures / name) for name in before} == before


def test_cancel_and_quit_end_the_running_command_and_leave_nothing(tmp_path: Path, settings: Path) -> None:
    pictures = tmp_path / "large"
    pictures.mkdir()
    write_cfa_dng(pictures / "LARGE.dng", scene_frame(height=2400, width=3600), metadata=True)

    def results() -> list[str]:
        return [path.name for path in pictures.iterdir() if "neural-isp" in path.name or "nisp" in path.name]

    def start() -> list[psutil.Process]:
        darktable.click(BUTTON)
        darktable.wait(darktable.commands, "running command")
        return darktable.commands()

    with running_darktable(settings, pictures, style=PAINT) as darktable:
        darktable.wait(lambda: darktable.find(BUTTON), "panel")
        darktable.wait(lambda: len(darktable.rows(IMAGES)) == 1, "imported folder")
        darktable.key("ctrl+a")
        darktable.wait(lambda: darktable.rows(SELECTED) == [(1,)], "selection")
        cancelled = "neural isp: 0 restored, cancelled"
        for times, place in enumerate((BUTTON, CROSS), 1):
            running = start()
            darktable.click(place)
            darktable.wait(lambda times=times: darktable.log.count(cancelled) == times, "end of the batch")
            assert not any(process.is_running() for process in running)
            assert results() == []

        running = start()
        darktable.key("ctrl+q")
        darktable.process.wait(TIMEOUT_S)
        psutil.wait_procs(running, TIMEOUT_S)
        assert not any(process.is_running() for process in running)
        assert results() == []


def test_start_on_a_single_image_and_work_in_darkroom(pictures: Path, settings: Path) -> None:
    with running_darktable(settings, pictures / "IMG 2.dng", style=PAINT) as darktable:
        darktable.wait(lambda: len(darktable.rows(IMAGES)) == 1, "imported image")
        darktable.wait(lambda: darktable.screen().std() > 20, "darkroom")
        darktable.key("l")
        darktable.wait(lambda: darktable.find(BUTTON), "panel in lighttable")
        right = darktable.find(BUTTON)
        darktable.key("d")
        darktable.wait(lambda: darktable.find(BUTTON) not in (None, right), "panel in darkroom")
        darktable.click(BUTTON)
        darktable.wait(lambda: said(darktable, "1 restored"), "end of the batch")
        (source, group, *_), (result, leader, *_) = darktable.rows(IMAGES)
        assert group == leader == result != source
