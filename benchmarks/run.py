"""Writes docs/benchmarks.md: `python -m benchmarks.run [--only p1,speed]`; sections not asked for stay as they are."""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Callable
from importlib import import_module

from benchmarks.report import ROOT

TARGET = ROOT / "docs" / "benchmarks.md"
SECTIONS = {
    "p1": ("benchmarks.p1_denoise", "Quality: table P1"),
    "noise": ("benchmarks.noise_estimate", "Noise parameters from the file"),
    "noise-scan": ("benchmarks.noise_scan", "Noise parameters from many files"),
    "camera-noise": ("benchmarks.camera_noise", "Noise as cameras make it"),
    "real-frames": ("benchmarks.real_frames", "Real frames"),
    "invariants": ("benchmarks.invariants", "Invariants"),
    "curve": ("benchmarks.curve", "Quality against speed"),
    "gallery": ("benchmarks.gallery", "Crops"),
    "speed": ("benchmarks.speed", "Speed and memory"),
    "files": ("benchmarks.files", "Files and hosts"),
    "rawtherapee": ("benchmarks.rawtherapee", "RawTherapee"),
    "darktable": ("benchmarks.darktable", "darktable's darkroom"),
}
HEAD = """# Benchmarks

Written by `make benchmarks` (`python -m benchmarks.run`); every table names its command, commit and machine. What the
figures mean and how scenes, noise and metrics are defined stands in each section. Verdicts are computed, never typed.
"""


def read_sections(text: str) -> dict[str, str]:
    """What stands between each section's markers."""
    found = re.findall(r"<!-- begin ([\w-]+) -->\n(.*?)<!-- end \1 -->", text, flags=re.DOTALL)
    return dict(found)


def compose(sections: dict[str, str]) -> str:
    """The page, sections in their fixed order."""
    parts = [HEAD]
    for key in SECTIONS:
        if key in sections:
            parts.append(f"<!-- begin {key} -->\n{sections[key].strip()}\n<!-- end {key} -->\n")
    return "\n".join(parts)


def main() -> int:
    """The command line. Exit code 1 if a section failed to run or a bar does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help=f"comma-separated, of {', '.join(SECTIONS)}; default: all")
    parser.add_argument("--quick", action="store_true", help="p1: take baselines as far as they are kept")
    given = parser.parse_args()
    chosen = [key for key in given.only.split(",") if key] or list(SECTIONS)
    if unknown := set(chosen) - set(SECTIONS):
        parser.error(f"unknown section {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}")
    sections = read_sections(TARGET.read_text(encoding="utf-8")) if TARGET.exists() else {}
    failed = False
    for key in chosen:
        module, title = SECTIONS[key]
        began = time.monotonic()
        print(f"{key}: running", file=sys.stderr, flush=True)
        try:
            section: Callable[..., str] = import_module(module).section
            text = section(quick=True) if given.quick and key == "p1" else section()
            sections[key] = f"## {title}\n\n{text}"
        except (ImportError, FileNotFoundError) as error:
            print(f"{key}: not run, the page keeps what it had: {error}", file=sys.stderr)
            failed = True
            continue
        failed |= "**FAIL**" in sections[key]
        TARGET.parent.mkdir(exist_ok=True)
        TARGET.write_text(compose(sections), encoding="utf-8")
        print(f"{key}: {time.monotonic() - began:.0f} s, written to {TARGET}", file=sys.stderr)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
