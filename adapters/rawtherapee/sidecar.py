"""The Dark Frame of a pp3 sidecar: set and taken back; the two keys it needs are all that changes."""

from __future__ import annotations

import os
from pathlib import Path

from adapters.rawtherapee import keyfile
from adapters.rawtherapee.names import is_ours, sidecar_path
from adapters.rawtherapee.record import SidecarState, read_file, sha256, write_file
from plugin_core.errors import OptionError

__all__ = ["check_free", "names_ours", "restore_sidecar", "set_dark_frame", "without_dark_frame"]

GROUP, DARK, AUTO = "RAW", "DarkFrame", "DarkFrameAuto"


def check_free(path: Path, content: bytes | None) -> None:
    """Raises OptionError if the sidecar has a dark frame of the user's own: RawTherapee takes one only."""
    if content is None:
        return
    dark = keyfile.get(content, GROUP, DARK)
    if dark and not is_ours(dark):
        raise OptionError(
            f"{path.name} has a dark frame of its own ({dark}); --force replaces it until detach", "DARK_FRAME_IN_USE"
        )
    if (keyfile.get(content, GROUP, AUTO) or "").lower() == "true":
        raise OptionError(
            f"{path.name} lets RawTherapee choose a dark frame; --force replaces that until detach", "DARK_FRAME_IN_USE"
        )


def names_ours(content: bytes) -> bool:
    """True if the sidecar's dark frame is a residual of ours."""
    return is_ours(keyfile.get(content, GROUP, DARK) or "")


def without_dark_frame(content: bytes) -> bytes:
    """The profile without a dark frame of any kind: for a DNG from which the noise is gone."""
    dark, auto = keyfile.get(content, GROUP, DARK), (keyfile.get(content, GROUP, AUTO) or "").lower()
    return keyfile.with_keys(content, GROUP, {DARK: "", AUTO: "false"}) if dark or auto == "true" else content


def set_dark_frame(
    source: Path, sidecar: Path, residual: Path, profile: bytes, state: SidecarState | None, new: bool
) -> SidecarState:
    """Points the sidecar at the residual; one that is missing begins as `profile`. Returns what undoes it.

    state: of an earlier change of this sidecar. new: what is there now was only just made for this photograph.
    """
    content = read_file(sidecar)
    dark = residual.name if sidecar.parent == residual.parent else str(residual)
    changed = keyfile.with_keys(profile if content is None else content, GROUP, {DARK: dark, AUTO: "false"})
    if changed != content:
        write_file(sidecar, changed)
    name = sidecar.name if sidecar.parent == source.parent else str(sidecar)
    if state is not None and state.path == name and content is not None:
        return SidecarState(name, state.before, sha256(changed))
    before = None if new or content is None else content.decode("utf-8", "surrogateescape")
    return SidecarState(name, before, sha256(changed))


def restore_sidecar(source: Path, state: SidecarState | None) -> str:
    """Takes the dark frame out again: to the byte where nobody has changed the sidecar since, else the two keys only.

    A sidecar that was made by attaching goes away, unless it was edited since. Returns a note for people, or "".
    """
    path = source.parent / state.path if state else sidecar_path(source)
    content = read_file(path)
    if content is None:
        return ""
    if state is not None and sha256(content) == state.written_sha256:
        if state.before_bytes is None:
            os.unlink(path)
        else:
            write_file(path, state.before_bytes)
        return ""
    if not names_ours(content):
        return f"{path.name} was edited since and is kept" if state and state.before is None else ""
    before = (state.before_bytes if state else None) or b""
    keys = {DARK: keyfile.get(before, GROUP, DARK) or "", AUTO: keyfile.get(before, GROUP, AUTO) or "false"}
    write_file(path, keyfile.with_keys(content, GROUP, keys))
    return ""
