"""Puts the Lua panel into a darktable configuration folder and takes it out again, to the byte."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from plugin_core.errors import OptionError

__all__ = ["install_lua", "uninstall_lua"]

SCRIPTS = Path(__file__).parent / "lua"
FOLDER = "lua/neural_isp"  # below the configuration folder; script_manager shows it as a category of its own
INSTALLED = "lib/installed.lua"  # written here, read by the panel: which neural-isp installed it

# One line of luarc, ours by its end. The second form says that there was no luarc before.
_LINE = b'require "neural_isp/neural_isp" -- added by neural-isp\n'
_LINE_OF_NEW_FILE = b'require "neural_isp/neural_isp" -- file added by neural-isp\n'
_BOM = b"\xef\xbb\xbf"  # Lua skips it, and a line after it that starts with #, at the start of a file only


def install_lua(config_dir: Path, command: Path) -> Path:
    """Installs the panel, or brings it up to date; darktable loads it at its next start. Returns the scripts' folder.

    config_dir: darktable's configuration folder; made if missing. command: the neural-isp program that the panel runs.
    Every byte of a luarc that is there is kept. Raises OptionError if something can't be written or a folder of the
    same name is not ours.
    """
    folder = config_dir / FOLDER
    if folder.exists() and not (folder / INSTALLED).exists():
        raise OptionError(f"{folder}: exists and was not made by neural-isp; move it away", "OUTPUT_EXISTS")
    try:
        for script in _scripts():
            _replace(folder / script, (SCRIPTS / script).read_bytes())
        _replace(folder / INSTALLED, f"return {{ command = {_lua_string(str(command))} }}\n".encode())
        luarc = config_dir / "luarc"
        if not luarc.exists():
            _replace(luarc, _LINE_OF_NEW_FILE)
        elif not _is_ours(content := luarc.read_bytes()):
            head, rest = _split(content)
            _replace(luarc, head + _LINE + rest)
    except OSError as error:
        raise _unwritable(error) from error
    return folder


def uninstall_lua(config_dir: Path) -> bool:
    """Takes the panel out and leaves luarc as it was. False if there was nothing of ours.

    Other files in the scripts' folder stay. Raises OptionError if something can't be written.
    """
    folder = config_dir / FOLDER
    luarc = config_dir / "luarc"
    try:
        content = luarc.read_bytes() if luarc.exists() else b""
        found = _is_ours(content)
        if found:
            rest = content.replace(_LINE, b"").replace(_LINE_OF_NEW_FILE, b"")
            if rest or _LINE in content:
                _replace(luarc, rest)
            else:
                luarc.unlink()
        if (folder / INSTALLED).exists():
            found = True
            for script in (*_scripts(), Path(INSTALLED)):
                (folder / script).unlink(missing_ok=True)
            for emptied in (folder / "lib", folder, folder.parent, config_dir):
                with contextlib.suppress(OSError):  # something else is in there
                    emptied.rmdir()
    except OSError as error:
        raise _unwritable(error) from error
    return found


def _scripts() -> list[Path]:
    return sorted(path.relative_to(SCRIPTS) for path in SCRIPTS.rglob("*.lua"))


def _is_ours(content: bytes) -> bool:
    return _LINE in content or _LINE_OF_NEW_FILE in content


def _split(content: bytes) -> tuple[bytes, bytes]:
    """What must stay at the start of a Lua file, and the rest.

    Our line goes to the start, where a file that ends without a newline, or returns, doesn't matter.
    """
    start = len(_BOM) if content.startswith(_BOM) else 0
    if content[start : start + 1] == b"#":
        start = content.find(b"\n", start) + 1 or len(content)
    return content[:start], content[start:]


def _replace(path: Path, content: bytes) -> None:
    """Writes a file whole or not at all, through a link to where it points, with its mode."""
    target = path.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        if target.exists():
            part.chmod(target.stat().st_mode & 0o7777)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _lua_string(text: str) -> str:
    """A Lua string literal of the text's bytes."""
    safe = {**{code: chr(code) for code in range(32, 127)}, 34: '\\"', 92: "\\\\"}
    return '"' + "".join(safe.get(code, f"\\{code:03d}") for code in os.fsencode(text)) + '"'


def _unwritable(error: OSError) -> OptionError:
    return OptionError(f"{error.filename}: can't be written ({error.strerror})", "OUTPUT_UNWRITABLE")
