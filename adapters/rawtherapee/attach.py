"""Restores a photograph inside RawTherapee: a residual beside it, named by its sidecar as dark frame; and undoes it."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from adapters.rawtherapee import host, probe
from adapters.rawtherapee.names import (
    is_ours,
    record_path,
    residual_name,
    residuals_of,
    restored_name,
    sidecar_path,
)
from adapters.rawtherapee.record import (
    Record,
    SidecarState,
    Wish,
    locked,
    read_file,
    read_record,
    sha256,
    write_file,
    write_record,
)
from adapters.rawtherapee.sidecar import (
    check_free,
    names_ours,
    restore_sidecar,
    set_dark_frame,
    without_dark_frame,
)
from plugin_core.client.client import Client
from plugin_core.client.values import DenoiseOptions, Output, ProgressCallback, Restored
from plugin_core.errors import NoModelError, OptionError

__all__ = ["Attached", "Sidecar", "attach", "compute", "detach", "mark_for_art"]

UNKNOWN_AREA = (
    "RawTherapee could not be asked which part of the sensor it uses; neural-isp rawtherapee doctor checks it"
)


@dataclass(frozen=True)
class Sidecar:
    """path: None is beside the photograph. profile: how a new one begins; None: the user's default.

    new: what lies there now was only just made for this photograph, and goes when it is detached.
    """

    path: Path | None = None
    profile: Path | None = None
    new: bool = False


@dataclass(frozen=True)
class Attached:
    """What was done. result: the residual or the restored DNG; reason: why the latter, else ""; notes for people."""

    result: Path
    reason: str
    restored: Restored
    notes: tuple[str, ...] = ()


def compute(
    client: Client, source: Path, wish: Wish, progress: ProgressCallback | None = None
) -> tuple[Restored, tuple[str, ...]]:
    """The residual, or the restored DNG where that is better, as bytes; and notes for people.

    It covers the area of the frame that RawTherapee uses: where that is another one than the file says, it is made
    anew from the cache.
    """
    options = DenoiseOptions(
        model=wish.model,
        strength=wish.strength,
        luma=wish.luma,
        chroma=wish.chroma,
        output=Output.RESIDUAL,
        or_restored=True,
    )
    restored = client.denoise(source, options=options, progress=progress)
    report = restored.residual
    if report is None:
        raise NoModelError("the server knows no residuals; it is another version", "NO_RESIDUAL")
    if report.refusal:
        return restored, restored.warnings
    area = probe.host_area(source, report)
    if not area:
        return restored, (*restored.warnings, UNKNOWN_AREA)
    if area != report.host_area:
        restored = client.denoise(source, options=replace(options, host_area=area), progress=progress)
    return restored, restored.warnings


def attach(
    client: Client,
    source: Path,
    wish: Wish,
    sidecar: Sidecar = Sidecar(),
    force: bool = False,
    progress: ProgressCallback | None = None,
) -> Attached:
    """Attaches the residual of a photograph; where RawTherapee would spoil it, a restored DNG lies beside it instead.

    Attaching again changes what is attached; with the same options it changes nothing.
    force: replace a dark frame of the user's own, until detach.
    Raises the client's errors, and OptionError: a file of ours, a sidecar or folder that can't be used.
    """
    source = _checked(source)
    path = Path(os.path.abspath(sidecar.path)) if sidecar.path else sidecar_path(source)
    if not force:
        check_free(path, read_file(path))
    restored, notes = compute(client, source, wish, progress)
    assert restored.dng is not None
    assert restored.residual is not None
    reason = restored.residual.refusal
    with locked():
        record = read_record(source)
        if reason:
            result = _put_restored(source, path, restored.dng, record, Record("restored", wish, reason=reason))
            return Attached(result, reason, restored, notes)
        if not force:
            check_free(path, read_file(path))
        profile = _starting_profile(path, sidecar.profile)
        if record is not None and record.kind == "restored":
            _drop(source, record)
            record = None
        if record is not None and record.sidecar is not None and source.parent / record.sidecar.path != path:
            restore_sidecar(source, record.sidecar)  # it was attached by another one
        result = source.with_name(residual_name(source, restored.sha256))
        if not _holds(result, restored):
            write_file(result, restored.dng)
        state = set_dark_frame(
            source, path, result, profile.content, record.sidecar if record else None, new=sidecar.new
        )
        written = Record("residual", wish, result.name, sidecar=state)
        if written != record:
            write_record(source, written)
        for old in residuals_of(source):
            if old != result:
                old.unlink(missing_ok=True)
    return Attached(result, "", restored, (*notes, *filter(None, (profile.note,)), *_ignored_sidecars()))


def detach(source: Path) -> list[str]:
    """Removes what was attached: residual, restored DNG, record, and the sidecar's entry. Returns notes for people.

    Nothing attached is no error. The photograph itself need not be there.
    """
    source = Path(os.path.abspath(source))
    with locked():
        record = read_record(source)
        found = record is not None or _has_traces(source)
        notes = _drop(source, record) if found else ["nothing was attached"]
    return [f"{source.name}: {note}" for note in notes]


def mark_for_art(source: Path, wish: Wish) -> Path:
    """Marks a photograph for ART's loader, which restores it whenever ART opens it. Returns the mark."""
    source = _checked(source)
    with locked():
        record = read_record(source)
        if record is not None and record.kind != "art":
            _drop(source, record)
        write_record(source, Record("art", wish))
    return record_path(source)


def _checked(source: Path) -> Path:
    """The absolute path. Raises OptionError for what is no photograph or lies where nothing can be put beside it."""
    path = Path(os.path.abspath(source))
    if not path.exists():
        raise OptionError(f"{source}: no such file", "INPUT_NOT_FOUND")
    if path.is_dir():
        raise OptionError(f"{source}: is a folder, expected a file", "INPUT_NOT_FOUND")
    if is_ours(path.name):
        raise OptionError(f"{source}: is a result of neural-isp, not a photograph to restore", "INPUT_IS_RESULT")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise OptionError(f"{source}: nothing can be put beside it, {path.parent} is read-only", "OUTPUT_UNWRITABLE")
    return path


def _starting_profile(sidecar: Path, given: Path | None) -> host.Profile:
    if given is not None:
        if not given.is_file():
            raise OptionError(f"{given}: no such profile", "INPUT_NOT_FOUND")
        return host.profile_at(given)
    return host.Profile(b"") if sidecar.exists() else host.default_profile()


def _holds(path: Path, restored: Restored) -> bool:
    """True if the residual lies there already; its name is made of its content."""
    return path.exists() and path.stat().st_size == restored.size_bytes and sha256(path.read_bytes()) == restored.sha256


def _put_restored(source: Path, sidecar: Path, dng: bytes, record: Record | None, made: Record) -> Path:
    """The restored DNG beside the photograph, with a copy of its sidecar if it has one and the DNG none yet."""
    if record is not None and record.kind != "restored":
        _drop(source, record)
        record = None
    result = source.with_name(restored_name(source))
    write_file(result, dng)
    state = record.sidecar if record else None
    copy, edits = sidecar_path(result), read_file(sidecar)
    if edits is not None and not copy.exists():
        edits = without_dark_frame(edits)
        write_file(copy, edits)
        state = SidecarState(copy.name, None, sha256(edits))
    write_record(source, replace(made, result=result.name, sidecar=state))
    return result


def _has_traces(source: Path) -> bool:
    """True where a residual or a sidecar's entry was left without its record."""
    content = read_file(sidecar_path(source))
    return any(residuals_of(source)) or (content is not None and names_ours(content))


def _drop(source: Path, record: Record | None) -> list[str]:
    """Removes every file that belongs to the record; without one, what its name shows to be ours."""
    notes = [note for note in [restore_sidecar(source, record.sidecar if record else None)] if note]
    if record is not None and record.kind == "restored":
        source.with_name(restored_name(source)).unlink(missing_ok=True)
    for residual in list(residuals_of(source)):
        residual.unlink(missing_ok=True)
    record_path(source).unlink(missing_ok=True)
    return notes


def _ignored_sidecars() -> tuple[str, ...]:
    """A note where RawTherapee is set to look for profiles elsewhere."""
    if host.option("Profiles", "LoadParamsFromLocation") == "0":
        return ("RawTherapee is set to prefer profiles from its cache to sidecars: it may not see this one",)
    return ()
