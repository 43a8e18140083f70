"""The RawTherapee on this machine: its program, its settings folder, its options, its default profile."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from adapters.rawtherapee import keyfile
from plugin_core.errors import OptionError

__all__ = [
    "CLI",
    "Profile",
    "default_profile",
    "find_cli",
    "installation",
    "neutral",
    "option",
    "profile_at",
    "settings_folder",
    "version",
]

CLI = "rawtherapee-cli"
FACTORY_DEFAULT = "${G}/Auto-Matched Curve - ISO Low"  # [Profiles] RawDefault of a fresh 5.9
BUNDLED = ("/usr/share/rawtherapee/profiles", "/usr/local/share/rawtherapee/profiles")


@dataclass(frozen=True)
class Profile:
    """A pp3's content; note: what could not be had as the user set it, in one line."""

    content: bytes
    note: str = ""


def find_cli() -> str:
    """The path of rawtherapee-cli. Raises OptionError where it is not installed."""
    found = shutil.which(CLI)
    if not found:
        raise OptionError(f"{CLI} is not installed, or not on the PATH", "HOST_NOT_FOUND")
    return found


def version() -> str:
    """RawTherapee's version, such as "5.9"; "" if it doesn't say. Raises OptionError where it is not installed."""
    try:
        said = subprocess.run([find_cli(), "-v"], capture_output=True, text=True, timeout=60, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
    match = re.search(r"version ([\w.+-]+)", said)
    return match[1].rstrip(".,") if match else ""


def installation() -> str:
    """What changes with every other RawTherapee, found without starting it. Raises OptionError without one."""
    program = Path(find_cli()).resolve()
    found = program.stat()
    return f"{program} {found.st_size} {found.st_mtime_ns}"


def settings_folder() -> Path:
    """Where RawTherapee keeps its options: $RT_SETTINGS, else RawTherapee in the user's configuration."""
    own = os.environ.get("RT_SETTINGS")
    if own:
        return Path(own)
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "RawTherapee"


def option(group: str, key: str) -> str | None:
    """One of RawTherapee's options; None where it was never set. Raises OptionError if they can't be read."""
    path = settings_folder() / "options"
    try:
        return keyfile.get(path.read_bytes(), group, key)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise OptionError(f"{path}: can't be read ({error.strerror})", "INPUT_UNREADABLE") from error


def neutral(app_version: str = "5.9", pp3_version: str = "349") -> bytes:
    """A profile that changes nothing: RawTherapee's neutral values."""
    return f"[Version]\nAppVersion={app_version}\nVersion={pp3_version}\n".encode()


def profile_at(path: Path) -> Profile:
    """A profile by its path; neutral, with a note, where it can't be read or is empty."""
    try:
        content = path.read_bytes()
    except OSError as error:
        return Profile(neutral(), f"{path}: can't be read ({error.strerror}); the profile begins neutral")
    return Profile(content) if content.strip() else Profile(neutral(), f"{path}: is empty; the profile begins neutral")


def default_profile() -> Profile:
    """What RawTherapee gives a raw photograph without a sidecar, by its option RawDefault."""
    name = option("Profiles", "RawDefault") or FACTORY_DEFAULT
    if name == "Neutral":
        return Profile(neutral())
    if name.startswith("Dynamic"):
        return Profile(neutral(), "your default profile is Dynamic, which only RawTherapee can work out: begun neutral")
    own = settings_folder() / (option("Profiles", "Directory") or "profiles")
    for folder in _bundled() if name.startswith("${G}/") else (own,):
        path = folder / f"{name.removeprefix('${G}/').removeprefix('${U}/')}.pp3"
        if path.is_file():
            return profile_at(path)
    return Profile(neutral(), f"your default profile {name} was not found; the profile begins neutral")


def _bundled() -> tuple[Path, ...]:
    """Where the profiles that came with RawTherapee may lie."""
    program = shutil.which(CLI) or shutil.which("rawtherapee")
    beside = [Path(program).resolve().parent.parent / "share" / "rawtherapee" / "profiles"] if program else []
    return (*beside, *map(Path, BUNDLED))
