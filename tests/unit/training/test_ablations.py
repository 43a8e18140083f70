"""The choices measured: rows are what the recipe says, outcomes are found again, the table pairs photographs."""

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch", reason="torch is in the train extra")

from training import ablations  # noqa: E402  (after the skip)
from training.ablations import Outcome, keep, read_outcomes, read_rows, table  # noqa: E402
from training.scenes import NOISE  # noqa: E402
from training.variants import build_variant  # noqa: E402


def test_every_row_builds_and_differs_from_the_base():
    rows = read_rows()
    assert len({row.name for row in rows}) == len({row.digest for row in rows}) == len(rows)
    given = torch.rand(2, 4, 16, 16) - 0.1, torch.rand(2, 8, 16, 16), *[torch.full((2, 4, 1, 1), 1e-3)] * 2
    for row in rows:
        network = build_variant(row.config.shape, row.domain, row.block)
        torch.testing.assert_close(network(*given), given[0], atol=1e-4, rtol=1e-4)  # a new one returns its input
        assert row.config.mix.noise in NOISE


def test_outcomes_are_found_again_and_paired_with_the_base(tmp_path):
    rows = read_rows()[:3]
    levels = ("U.004", "E10", "X U.004")
    for row, gain in zip(rows[:2], (0.0, 0.5), strict=True):
        figures = {level: [30.0 + gain, 40.0 + gain] for level in levels}
        keep(Outcome(row.name, row.digest, 100, 2_000_000, figures), tmp_path / "rows.csv")
    outcomes = read_outcomes(tmp_path / "rows.csv")
    assert len(outcomes) == 2
    lines = table(rows, outcomes).splitlines()
    assert "| 35.00 |  |" in lines[2]
    assert lines[3].count("+0.50 [+0.50, +0.50]") == 2
    assert "not run" in lines[4]
    changed = replace(rows[1], digest="0")
    assert "not run" in table([rows[0], changed], outcomes).splitlines()[3]


def test_the_page_keeps_what_stands_around_the_table(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"a\n{ablations.BEGIN}\nold\n{ablations.END}\nb\n")
    ablations.write_page("new\n", page)
    assert page.read_text() == f"a\n{ablations.BEGIN}\nnew\n{ablations.END}\nb\n"
