"""Table P1's rows: what was measured of one method, and differences paired by photograph."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from benchmarks import baselines, p1_run
from benchmarks.metrics import Mean, bootstrap
from benchmarks.p1_run import Job, Result
from benchmarks.scenes import LEVELS

NAMES = tuple(level.name for level in LEVELS)


@dataclass(frozen=True)
class Row:
    """One method, known or blind, on one CFA: its results by level and photograph."""

    method: str
    blind: bool
    cfa: str
    results: dict[str, dict[str, Result]]

    @property
    def label(self) -> str:
        """As the table shows it."""
        if self.method in baselines.VERSIONS:
            return self.method
        return f"**{self.method}**, {'blind' if self.blind else 'known'}"

    def photos(self, levels: Iterable[str]) -> set[str]:
        """Photographs measured at all of these levels."""
        return set.intersection(*(set(self.results.get(level, {})) for level in levels))

    def values(self, metric: str, levels: Iterable[str], photos: Iterable[str]) -> list[float]:
        """One value per photograph: the mean over levels."""
        chosen = list(levels)
        return [float(np.mean([getattr(self.results[level][p], metric) for level in chosen])) for p in sorted(photos)]


def collect(jobs: Iterable[Job]) -> list[Row]:
    """Rows of everything that is kept for these jobs."""
    kept = p1_run.known_results()
    rows: dict[tuple[str, bool, str], Row] = {}
    for job in jobs:
        if job in kept:
            row = rows.setdefault((job.method, job.blind, job.cfa), Row(job.method, job.blind, job.cfa, {}))
            row.results.setdefault(job.level, {})[job.photo] = kept[job]
    return list(rows.values())


def paired(one: Row, other: Row, metric: str, levels: Iterable[str]) -> Mean | None:
    """The mean difference over the photographs that both have, with its interval; None without any."""
    chosen = tuple(levels)
    photos = one.photos(chosen) & other.photos(chosen)
    if not photos:
        return None
    difference = np.subtract(one.values(metric, chosen, photos), other.values(metric, chosen, photos))
    return bootstrap(difference)
