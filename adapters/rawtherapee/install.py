"""RawTherapee's own option that calls us, set after a backup and put back; and ART's text files."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from importlib.resources import files
from pathlib import Path

from adapters.rawtherapee import host, keyfile
from adapters.rawtherapee.record import read_file, write_file
from plugin_core.errors import OptionError
from plugin_core.rpc.formats import RAW_ENDINGS

__all__ = ["art_folder", "install", "install_art", "undo", "undo_art"]

GROUP, PATH, KEYS = "Profiles", "CustomProfileBuilderPath", "CustomProfileBuilderKeys"
BACKUP = "options.before-neural-isp"  # empty: there were no options
MARK = "rawtherapee cpb"
ART_LOADER, ART_COMMANDS = "neural-isp-loader.txt", ("neural-isp-attach.txt", "neural-isp-detach.txt")


def program() -> list[str]:
    """How to call neural-isp from anywhere: the installed script, else this Python."""
    script = Path(sys.executable).with_name("neural-isp")
    found = str(script) if script.is_file() else shutil.which("neural-isp")
    return [found] if found else [sys.executable, "-m", "plugin_core.cli"]


def install(force: bool) -> list[str]:
    """Has RawTherapee call `neural-isp rawtherapee cpb`. Returns what was done. Raises OptionError, LimitError.

    force: also over another profile builder, or while RawTherapee runs (it writes its options when it leaves).
    """
    folder = host.settings_folder()
    path, backup = folder / "options", folder / BACKUP
    content = read_file(path)
    if not force:
        _refuse_running()
    before = keyfile.get(content or b"", GROUP, PATH) or ""
    if before and MARK not in before and not force:
        raise OptionError(
            f"RawTherapee already has a profile builder ({before}); --force replaces it until --undo", "BUILDER_IN_USE"
        )
    command = shlex.join([*program(), "rawtherapee", "cpb"])
    if before == command or before.startswith(f"{command} "):  # perhaps with options of the user's
        return [f"{path}: calls neural-isp already"]
    changed = keyfile.with_keys(content or b"", GROUP, {PATH: command, KEYS: "0"})
    _make(folder)
    if not backup.exists():
        write_file(backup, content or b"")
    write_file(path, changed)
    return [f"{path}: [{GROUP}] {PATH}={command}", f"{backup}: what it was before"]


def undo(force: bool) -> list[str]:
    """Puts RawTherapee's options back: to the byte where nothing else changed since, else these two keys only."""
    folder = host.settings_folder()
    path, backup = folder / "options", folder / BACKUP
    content, before = read_file(path), read_file(backup)
    if before is None and MARK not in (keyfile.get(content or b"", GROUP, PATH) or ""):
        return [f"{path}: does not call neural-isp"]
    if not force:
        _refuse_running()
    old = before or b""
    keys = {key: keyfile.get(content or b"", GROUP, key) or "" for key in (PATH, KEYS)}
    if content is not None and content == keyfile.with_keys(old, GROUP, keys):
        if old:
            write_file(path, old)
        else:
            path.unlink()
    elif content is not None:
        back = {PATH: keyfile.get(old, GROUP, PATH) or "", KEYS: keyfile.get(old, GROUP, KEYS) or "0"}
        write_file(path, keyfile.with_keys(content, GROUP, back))
    backup.unlink(missing_ok=True)
    _remove_empty(folder, folder.parent)
    return [f"{path}: as it was before"]


def art_folder() -> Path:
    """ART's configuration folder: $ART_SETTINGS, else ART in the user's configuration."""
    own = os.environ.get("ART_SETTINGS")
    return Path(own) if own else Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "ART"


def install_art() -> list[str]:
    """Writes ART's loaders, one for each ending of raw files, and its user commands."""
    texts = files("adapters.rawtherapee") / "art"
    call = shlex.join(program())
    for path, name, ending in _art_files():
        _make(path.parent)
        text = (texts / name).read_text(encoding="utf-8")
        write_file(path, text.replace("@PROGRAM@", call).replace("@EXTENSION@", ending).encode())
    return [f"{art_folder()}: loaders and user commands; restart ART"]


def undo_art() -> list[str]:
    """Removes what install_art wrote, and folders that are empty then."""
    for path, _, _ in _art_files():
        path.unlink(missing_ok=True)
    folder = art_folder()
    _remove_empty(folder / "imageio", folder / "usercommands", folder, folder.parent)
    return [f"{art_folder()}: nothing of neural-isp left"]


def _art_files() -> list[tuple[Path, str, str]]:
    """(where, which text, ending of raw files) of each of ART's files."""
    loaders = art_folder() / "imageio"
    endings = [ending.removeprefix(".") for ending in RAW_ENDINGS]
    return [
        *((loaders / f"neural-isp-{ending}.txt", ART_LOADER, ending) for ending in endings),
        *((art_folder() / "usercommands" / name, name, "") for name in ART_COMMANDS),
    ]


def _make(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    except OSError as error:
        raise OptionError(f"{folder}: can't be made ({error.strerror})", "OUTPUT_UNWRITABLE") from error


def _remove_empty(*folders: Path) -> None:
    for folder in folders:
        if folder.is_dir() and folder != Path.home() and not any(folder.iterdir()):
            folder.rmdir()


def _refuse_running() -> None:
    """Raises OptionError while this user's RawTherapee runs: it would write its options over ours when it leaves."""
    for name in Path("/proc").glob("[0-9]*/comm"):
        try:
            if name.read_text().strip() == "rawtherapee" and name.stat().st_uid == os.getuid():
                raise OptionError(
                    "RawTherapee is running and would overwrite its options when it leaves: close it first",
                    "HOST_RUNNING",
                )
        except OSError:
            continue
