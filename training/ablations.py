"""The choices measured: short runs of equal budget, one choice changed in each.

`python -m training.ablations [--only NAME] [--limit N]` runs the rows of ablations.toml that ablations.csv lacks, keeps
each as it ends and writes the table in docs/training.md. Differences to the base are paired by photograph.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import sys
import tempfile
import time
import tomllib
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from benchmarks.metrics import bootstrap
from training.config import Config
from training.denoise import Trainer
from training.network import NetworkShape
from training.scenes import Mix
from training.validation import psnr
from training.variants import build_variant

FOLDER = Path(__file__).resolve().parent
RECIPE, STORE = FOLDER / "ablations.toml", FOLDER / "ablations.csv"
PAGE = FOLDER.parent / "docs" / "training.md"
BEGIN, END = "<!-- begin ablations -->", "<!-- end ablations -->"
Figures = dict[str, list[float]]  # level -> raw PSNR in dB of each validation photograph


@dataclass(frozen=True)
class Row:
    """One choice. digest: of everything that defines its run; a row whose definition changed is run again."""

    group: str
    name: str
    domain: str
    block: str
    config: Config
    digest: str


@dataclass(frozen=True)
class Outcome:
    """What a row's run came to. steps: how many fitted into the budget."""

    row: str
    digest: str
    steps: int
    parameters: int
    figures: Figures


def read_rows(path: Path = RECIPE) -> list[Row]:
    """The rows of the recipe, the base first. Raises TypeError on an unknown key."""
    table = tomllib.loads(path.read_text())
    return [make_row(table["base"], dict(row), float(table["seconds"])) for row in table["row"]]


def make_row(base: Mapping[str, Any], row: dict[str, Any], seconds: float) -> Row:
    """A row from the base and what it changes."""
    group, name = row.pop("group"), row.pop("name")
    domain, block = row.pop("domain", "anscombe"), row.pop("block", "plain")
    merged = {**base, **row}
    mix = {**base.get("mix", {}), **row.get("mix", {})}
    definition = json.dumps([merged, mix, domain, block, seconds], sort_keys=True)
    if "bayer" in mix:
        mix["bayer"] = tuple(mix["bayer"])
    shape = NetworkShape(**{key: tuple(value) for key, value in merged.pop("shape").items()})
    merged.pop("mix", None)
    config = Config(name="trial", shape=shape, mix=Mix(**mix), steps=10**9, max_seconds=seconds, **merged)
    return Row(group, name, domain, block, config, hashlib.sha256(definition.encode()).hexdigest()[:10])


def run(row: Row, photos: Path) -> Outcome:
    """Trains the row's network for its budget of processor seconds, in a folder of its own."""
    torch.set_num_threads(1)
    torch.manual_seed(row.config.seed)
    network = build_variant(row.config.shape, row.domain, row.block)
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(row.config, photos, Path(folder), network, time.process_time)
        trainer.run()
    figures = psnr(trainer.average, trainer.levels, trainer.device)
    return Outcome(row.name, row.digest, trainer.step, sum(p.numel() for p in network.parameters()), figures)


def read_outcomes(path: Path = STORE) -> dict[tuple[str, str], Outcome]:
    """What was kept, by name and digest."""
    if not path.exists():
        return {}
    with open(path, newline="") as stream:
        found = [
            Outcome(
                line["row"], line["digest"], int(line["steps"]), int(line["parameters"]), json.loads(line["figures"])
            )
            for line in csv.DictReader(stream)
        ]
    return {(outcome.row, outcome.digest): outcome for outcome in found}


def keep(outcome: Outcome, path: Path = STORE) -> None:
    """Appends an outcome."""
    fresh = not path.exists()
    with open(path, "a", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        if fresh:
            writer.writerow(["row", "digest", "steps", "parameters", "figures"])
        rounded = {level: [round(value, 3) for value in values] for level, values in outcome.figures.items()}
        figures = json.dumps(rounded, separators=(",", ":"))
        writer.writerow([outcome.row, outcome.digest, outcome.steps, outcome.parameters, figures])


def per_photograph(figures: Figures, xtrans: bool) -> list[float]:
    """Each photograph's mean over the Bayer or the X-Trans levels."""
    levels = [values for level, values in figures.items() if level.startswith("X ") == xtrans]
    return [sum(values) / len(values) for values in zip(*levels, strict=True)]


def table(rows: list[Row], outcomes: Mapping[tuple[str, str], Outcome]) -> str:
    """The Markdown table; rows that have not run say so."""
    head = ("Choice", "what", "steps", "parameters", "Bayer, dB", "against base", "X-Trans, dB", "against base")
    lines = ["| " + " | ".join(head) + " |", "| --- | --- |" + " ---: |" * 6]
    base = outcomes.get((rows[0].name, rows[0].digest))
    for row in rows:
        outcome = outcomes.get((row.name, row.digest))
        if outcome is None:
            lines.append(f"| {row.group} | {row.name} | not run | | | | | |")
            continue
        cells = [row.group, row.name, f"{outcome.steps}", f"{outcome.parameters / 1e6:.2f} M"]
        for xtrans in (False, True):
            mine = per_photograph(outcome.figures, xtrans)
            cells.append(f"{sum(mine) / len(mine):.2f}")
            others = per_photograph(base.figures, xtrans) if base and row is not rows[0] else []
            pairs = [one - other for one, other in zip(mine, others, strict=False)]
            cells.append(bootstrap(pairs).text(sign=True) if pairs else "")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def write_page(text: str, page: Path = PAGE) -> None:
    """Puts the table between its marks."""
    before, rest = page.read_text(encoding="utf-8").split(BEGIN)
    page.write_text(f"{before}{BEGIN}\n{text}{END}{rest.split(END)[1]}", encoding="utf-8")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="rows whose name contains this")
    parser.add_argument("--limit", type=int, default=10**9, help="at most so many runs")
    parser.add_argument("--photos", type=Path, default=Path("../shared/data/photos"))
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time; each counts its own processor time")
    given = parser.parse_args()
    rows = read_rows()
    missing = [row for row in rows if (row.name, row.digest) not in read_outcomes() and given.only in row.name]
    missing = missing[: given.limit]
    with ProcessPoolExecutor(given.jobs, mp_context=get_context("spawn")) as pool:
        running = {pool.submit(run, row, given.photos): row for row in missing}
        for number, future in enumerate(as_completed(running), 1):
            row = running[future]
            print(f"{number} of {len(missing)}: {row.group}: {row.name}", file=sys.stderr, flush=True)
            keep(future.result())
            write_page(table(rows, read_outcomes()))
    write_page(table(rows, read_outcomes()))


if __name__ == "__main__":
    main()
