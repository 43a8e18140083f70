"""The page: sections keep apart, verdicts follow figures, differences are paired by photograph."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from benchmarks import p1_bars, p1_denoise, p1_rows, p1_run, report, run
from benchmarks.p1_run import Job, Result

PHOTOS = ("one", "two", "three")


def result(method: str, photo: str, level: str, raw: float, cfa: str = "RGGB", blind: bool = False) -> Result:
    return Result(Job(method, "1", photo, level, cfa, blind), raw, raw - 8, raw / 100, 1 - raw / 100, 0.5, 1000)


def rows(gain: float, blind_loss: float = 0.1, cfas: tuple[str, ...] = p1_run.CFAS) -> list[p1_rows.Row]:
    """Rows in which "ours" lies `gain` dB above every baseline; photographs differ by 10 dB."""
    made: dict[tuple[str, str, bool], p1_rows.Row] = {}
    for cfa in cfas:
        for name, above, blind in (
            ("noisy", -5.0, False),
            ("BM3D", 0.0, False),
            ("PMRID", 0.0, False),
            ("PMRID clipped", 0.0, False),
            ("ours", gain, False),
            ("ours", gain - blind_loss, True),
        ):
            row = made.setdefault((name, cfa, blind), p1_rows.Row(name, blind, cfa, {}))
            for level in p1_rows.NAMES:
                values = {p: result(name, p, level, 30 + 10 * k + above, cfa, blind) for k, p in enumerate(PHOTOS)}
                row.results[level] = values
    return list(made.values())


def test_sections_survive_each_other() -> None:
    page = run.compose({"p1": "one\n\n| a |", "speed": "two"})
    assert run.read_sections(page) == {"p1": "one\n\n| a |\n", "speed": "two\n"}
    assert page.index("begin p1") < page.index("begin speed")


def test_every_section_has_a_module_that_makes_it() -> None:
    for module, _title in run.SECTIONS.values():
        assert Path(report.ROOT / (module.replace(".", "/") + ".py")).exists(), module


def test_table_has_a_column_for_each_head() -> None:
    lines = report.table(("a", "b"), [("1", "2"), ("3", "4")]).splitlines()
    assert [line.count("|") for line in lines] == [3, 3, 3, 3]


def test_bars_tell_failed_from_unmeasured() -> None:
    text = report.bar_table([report.Bar("x", "1", True), report.Bar("y", "2", False), report.Bar("z", "", None)])
    assert [line.split("|")[3].strip() for line in text.splitlines()[2:]] == ["pass", "**FAIL**", "not measured"]


def test_machine_names_cores_and_processor() -> None:
    assert report.machine().startswith(f"{report.core_count()} cores of ")


@pytest.mark.parametrize(("gain", "passed"), [(1.5, True), (0.2, False)])
def test_bars_follow_the_gain(gain: float, passed: bool) -> None:
    found = {bar.text: bar.passed for bar in p1_bars.bars(rows(gain), "ours")}
    against = [ok for text, ok in found.items() if "≥" in text and ("PMRID" in text or "BM3D in" in text)]
    assert against
    assert all(ok is passed for ok in against)
    assert all(ok for text, ok in found.items() if "never below the input" in text)


def test_one_level_below_is_enough_to_fail() -> None:
    made = rows(1.0)
    ours = next(r for r in made if (r.method, r.cfa, r.blind) == ("ours", "RGGB", False))
    for k, photo in enumerate(PHOTOS):
        ours.results["E x300"][photo] = result("ours", photo, "E x300", 29.9 + 10 * k)
    found = {bar.text: bar for bar in p1_bars.bars(made, "ours") if "at every level" in bar.text}
    assert len(found) == 4
    assert {bar.passed for bar in found.values()} == {False}
    assert all("E x300" in bar.found for bar in found.values())


def test_heavy_tails_are_held_against_the_same_photographs() -> None:
    made = rows(1.0)
    ours = next(r for r in made if (r.method, r.cfa, r.blind) == ("ours", "RGGB", False))
    for level in p1_bars.TAILED:
        ours.results[level] = {"two": result("ours", "two", level, 40.75)}
    assert p1_bars.heavy_tails(ours, "ours").found == "-0.25 dB, n = 1"
    assert p1_bars.heavy_tails(ours, "ours").passed


def test_blind_may_cost_little() -> None:
    def verdicts(loss: float) -> set[bool | None]:
        return {bar.passed for bar in p1_bars.bars(rows(1.5, loss), "ours") if "blind costs" in bar.text}

    assert verdicts(0.2) == {True}
    assert verdicts(0.3) == {False}


def test_a_method_that_was_not_run_is_no_pass() -> None:
    some = [row for row in rows(1.5) if not row.method.startswith("PMRID")]
    assert {bar.passed for bar in p1_bars.bars(some, "ours") if "PMRID" in bar.text} == {None}


def test_differences_are_paired_by_photograph() -> None:
    ours, other = (next(r for r in rows(0.7) if r.method == m and r.cfa == "RGGB") for m in ("ours", "PMRID"))
    mean = p1_rows.paired(ours, other, "raw", p1_rows.NAMES)
    assert mean is not None
    assert (mean.value, mean.low, mean.high) == pytest.approx(
        (0.7, 0.7, 0.7)
    )  # photographs differ by 10 dB, pairs don't


def test_what_is_worse_is_named() -> None:
    made = rows(1.0)
    ours, other = (next(r for r in made if r.method == m and r.cfa == "RGGB") for m in ("ours", "PMRID"))
    ours.results["E x300"]["two"] = result("ours", "two", "E x300", 30.0)
    text = p1_denoise.worse_lines([(ours, other)])
    assert "worse than PMRID in Raw PSNR on 1 of 21 files (1 at E x300); most by 10.00 (two, E x300)" in text


def test_store_keeps_the_latest_of_each_job(tmp_path: Path) -> None:
    store = tmp_path / "p1.jsonl"
    first, second = result("ours", "one", "E x10", 40.0), result("ours", "one", "E x10", 41.0)
    store.write_text("".join(json.dumps(asdict(r)) + "\n" for r in (first, second)) + '{"job": {"method": "cut')
    kept = p1_run.read_store(store)
    assert kept == {second.job: second}
    assert np.isclose(kept[second.job].raw, 41.0)
