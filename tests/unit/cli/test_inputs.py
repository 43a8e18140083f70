"""plugin_core.cli.inputs: which files are meant and where results go."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from plugin_core.cli.inputs import plan
from plugin_core.errors import OptionError


@pytest.fixture
def shoot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as cameras and people leave it; the current folder is its parent."""
    folder = tmp_path / "shoot"
    names = "b.NEF a.cr3 a.jpg notes.txt ._a.cr3 day2/c.ARW day2/deep/d.dng .trash/e.nef"
    for name in names.split():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    monkeypatch.chdir(tmp_path)
    return Path("shoot")


def _pairs(inputs: list[Path], output: str, recursive: bool = False) -> list[tuple[str, str]]:
    return [(str(job.source), str(job.target)) for job in plan(inputs, output, recursive).jobs]


def test_one_file_gets_the_name_that_was_given(shoot: Path) -> None:
    assert _pairs([shoot / "b.NEF"], "x.DNG") == [("shoot/b.NEF", "x.DNG")]
    assert not plan([shoot / "b.NEF"], "x.dng").batch


@pytest.mark.parametrize("output", ["out/", "there"])
def test_one_file_into_a_folder(shoot: Path, output: str) -> None:
    Path("there").mkdir()
    assert _pairs([shoot / "b.NEF"], output) == [("shoot/b.NEF", f"{output.rstrip('/')}/b.dng")]


def test_a_folder_gives_its_raw_files_in_order(shoot: Path) -> None:
    assert _pairs([shoot], "out") == [("shoot/a.cr3", "out/a.dng"), ("shoot/b.NEF", "out/b.dng")]


def test_recursion_keeps_subfolders(shoot: Path) -> None:
    found = _pairs([shoot], "out", recursive=True)
    assert found[2:] == [("shoot/day2/c.ARW", "out/day2/c.dng"), ("shoot/day2/deep/d.dng", "out/day2/deep/d.dng")]
    assert len(found) == 4


def test_a_file_named_and_in_a_named_folder_is_done_once(shoot: Path) -> None:
    assert len(plan([shoot / "b.NEF", shoot], "out").jobs) == 2


def test_results_inside_the_input_folder_are_no_inputs(shoot: Path) -> None:
    for name in ("restored/a.dng", "restored/day2/c.dng"):
        (shoot / name).parent.mkdir(parents=True, exist_ok=True)
        (shoot / name).touch()
    assert len(_pairs([shoot], "shoot/restored", recursive=True)) == 4


def test_results_beside_the_inputs_are_no_inputs(shoot: Path) -> None:
    (shoot / "a.dng").touch()
    found = plan([shoot], "shoot")
    assert [str(job.target) for job in found.jobs] == ["shoot/a.dng", "shoot/b.dng"]
    assert len(found.notes) == 1


def test_two_inputs_for_one_output(shoot: Path) -> None:
    (shoot / "a.nef").touch()
    with pytest.raises(OptionError, match=r"a\.cr3 and shoot/a\.nef would both be written to out/a\.dng") as caught:
        plan([shoot], "out")
    assert caught.value.reason == "SAME_OUTPUT"


@pytest.mark.parametrize("output", ["shoot/day2/deep/d.dng", "shoot/day2/deep"])
def test_a_source_is_never_written_over(shoot: Path, output: str) -> None:
    with pytest.raises(OptionError) as caught:
        plan([shoot / "day2/deep/d.dng"], output)
    assert caught.value.reason == "OUTPUT_IS_INPUT"


def test_not_even_through_a_link(shoot: Path) -> None:
    os.symlink((shoot / "day2/deep/d.dng").absolute(), "link.dng")
    with pytest.raises(OptionError) as caught:
        plan([shoot / "day2/deep/d.dng"], "link.dng")
    assert caught.value.reason == "OUTPUT_IS_INPUT"


@pytest.mark.parametrize(
    ("inputs", "output", "reason"),
    [
        (["shoot/a.cr3"], "x.tif", "OUTPUT_NOT_DNG"),
        (["shoot/a.cr3"], "x", "OUTPUT_NOT_DNG"),
        (["shoot/a.cr3", "shoot/b.NEF"], "shoot/notes.txt", "OUTPUT_NOT_A_FOLDER"),
        (["shoot/day2/deep", "shoot/empty"], "out", "NO_INPUT"),
    ],
)
def test_refused_before_anything_runs(shoot: Path, inputs: list[str], output: str, reason: str) -> None:
    (shoot / "empty").mkdir()
    with pytest.raises(OptionError) as caught:
        plan([Path(path) for path in inputs], output)
    assert caught.value.reason == reason


def test_change_maps(shoot: Path) -> None:
    assert plan([shoot / "b.NEF"], "x.dng", change_map="m.tif").jobs[0].change_map == Path("m.tif")
    assert plan([shoot], "out", change_map="maps").jobs[1].change_map == Path("maps/b.change.png")
    with pytest.raises(OptionError):
        plan([shoot], "out", change_map="m.tif")
