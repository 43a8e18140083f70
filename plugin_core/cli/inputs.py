"""Which files a command line means, and where each result goes; decided, and refused, before anything runs."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from plugin_core.errors import OptionError
from plugin_core.rpc.formats import RAW_ENDINGS

__all__ = ["Job", "Plan", "plan"]

RESIDUAL = re.compile(r"\.nisp-[0-9a-f]{8}\.dng$")  # what adapters/rawtherapee puts beside a photograph


@dataclass(frozen=True)
class Job:
    """One RAW file, where its result goes, and where its change map goes if one is wanted."""

    source: Path
    target: Path
    change_map: Path | None = None


@dataclass(frozen=True)
class Plan:
    """What is to be done.

    batch: there is a summary at the end. folder: results go into folders, to be made if need be.
    notes: what was left out, and why.
    """

    jobs: tuple[Job, ...]
    batch: bool
    folder: bool
    notes: tuple[str, ...] = ()


def plan(inputs: Sequence[Path], output: str, recursive: bool = False, change_map: str | None = None) -> Plan:
    """The jobs for these inputs.

    output: a folder (exists, ends in a slash, or several inputs or a folder are given), else a name ending in .dng.
    change_map: a file for a single input, a folder otherwise.
    Raises OptionError if a folder has no RAW file, two inputs would be written to one file, or a result would be
    written over an input.
    """
    batch = len(inputs) > 1 or any(path.is_dir() for path in inputs)
    folder = batch or output.endswith(("/", os.sep)) or Path(output).is_dir()
    target = Path(output)
    if folder and target.exists() and not target.is_dir():
        raise OptionError(f"{output}: is a file, but several inputs need a folder", "OUTPUT_NOT_A_FOLDER")
    if not folder and target.suffix.lower() != ".dng":
        text = f"{output}: results are DNG files; write a name ending in .dng, or {output}/ for a folder"
        raise OptionError(text, "OUTPUT_NOT_DNG")
    notes: list[str] = []
    jobs: dict[str, Job] = {}
    for given in inputs:
        found = _walk(given, target, recursive, notes) if given.is_dir() else iter([(given, Path(given.name))])
        empty = given.is_dir()
        for source, relative in found:
            result = target / relative.with_suffix(".dng") if folder else target
            job = Job(source, result, _change_map_path(change_map, relative, folder))
            jobs.setdefault(str(source.resolve()), job)
            empty = False
        if empty:
            hint = "" if recursive else "; -r looks into its subfolders"
            raise OptionError(f"{given}: no RAW files in this folder{hint}", "NO_INPUT")
    _refuse_collisions(jobs)
    return Plan(tuple(jobs.values()), batch, folder, tuple(notes))


def _walk(folder: Path, output: Path, recursive: bool, notes: list[str]) -> Iterator[tuple[Path, Path]]:
    """The RAW files of a folder in order, each with its path below it; results of an earlier run are left out."""
    results = output.resolve()
    for root, folders, names in os.walk(folder):
        here = Path(root)
        folders[:] = sorted(
            f for f in folders if recursive and not f.startswith(".") and (here / f).resolve() != results
        )
        raws = sorted(n for n in names if not n.startswith(".") and Path(n).suffix.lower() in RAW_ENDINGS)
        raws = [n for n in raws if not RESIDUAL.search(n)]
        originals = {Path(n).stem for n in raws if Path(n).suffix.lower() != ".dng"}
        for name in raws:
            path = here / name
            writes_here = (results / path.relative_to(folder)).parent == here.resolve()
            if writes_here and path.suffix.lower() == ".dng" and path.stem in originals:
                notes.append(f"{path}: taken for a result of an earlier run, left out")
                continue
            yield path, path.relative_to(folder)


def _change_map_path(change_map: str | None, relative: Path, folder: bool) -> Path | None:
    if change_map is None:
        return None
    path = Path(change_map)
    if not folder and not path.is_dir():
        return path
    if path.suffix.lower() in (".png", ".tif", ".tiff"):
        raise OptionError(
            f"--change-map {change_map}: several results need a folder, found a file name", "BAD_CHANGE_MAP"
        )
    return path / relative.with_suffix(".change.png")


def _refuse_collisions(jobs: dict[str, Job]) -> None:
    taken: dict[str, Job] = {}
    for job in jobs.values():
        key = os.path.normcase(job.target.resolve())
        if key in taken:
            both = f"{taken[key].source} and {job.source}"
            raise OptionError(f"{both} would both be written to {job.target}; nothing was done", "SAME_OUTPUT")
        if key in {os.path.normcase(path) for path in jobs}:
            text = f"{job.target}: is an input; a source is never written over, choose another folder or name"
            raise OptionError(text, "OUTPUT_IS_INPUT")
        taken[key] = job
