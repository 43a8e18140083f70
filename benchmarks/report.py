"""Markdown for docs/benchmarks.md: tables, bars with pass or fail, and what a figure was measured on."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Bar:
    """One requirement: what, the figure that was found, and whether it holds (None: could not be measured)."""

    text: str
    found: str
    passed: bool | None

    @property
    def verdict(self) -> str:
        """pass, FAIL or not measured."""
        return {True: "pass", False: "**FAIL**", None: "not measured"}[self.passed]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; the first column left, the others right aligned."""
    lines = ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * (len(head) - 1)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def bar_table(bars: Iterable[Bar]) -> str:
    """Requirements with what was found."""
    return table(("Bar", "Found", "Verdict"), ((bar.text, bar.found, bar.verdict) for bar in bars))


def cpu_name() -> str:
    """The processor as the system names it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def core_count() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def machine() -> str:
    """Cores, processor and memory in one line."""
    memory = ""
    if hasattr(os, "sysconf"):
        memory = f", {os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB memory"
    return f"{core_count()} cores of {cpu_name()}{memory}, {platform.system()} {platform.machine()}"


def commit() -> str:
    """The commit that is checked out, with a plus if the tree has changes; "unknown" outside a checkout."""
    try:
        run = ["git", "-C", str(ROOT)]
        name = subprocess.run([*run, "rev-parse", "--short=10", "HEAD"], capture_output=True, text=True, check=True)
        changed = subprocess.run(
            [*run, "status", "--porcelain", "--untracked-files=no"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    others = [line for line in changed.stdout.splitlines() if not line.endswith("docs/benchmarks.md")]
    return name.stdout.strip() + ("+" if others else "")


def versions(names: Iterable[str]) -> str:
    """`python 3.11.2, numpy 2.4.6, ...`; packages that are not installed are left out."""
    found = [f"python {platform.python_version()}"]
    for name in names:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


def stamp(command: str, packages: Iterable[str], note: str = "") -> str:
    """What every section starts with: command, date, commit, machine, versions."""
    today = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    lines = [f"`{command}`, {today}, commit {commit()}.", f"{machine()}; {versions(packages)}.", note]
    return "\n".join(line for line in lines if line) + "\n"
