"""RawTherapee's Custom Processing Profile Builder: called when a photograph without profile is opened in the editor.

RawTherapee waits for it and then reads the profile, so there is one from the first moment, and it never waits for long.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from adapters.rawtherapee import host, keyfile
from adapters.rawtherapee.names import is_ours, record_path
from adapters.rawtherapee.record import write_file
from plugin_core.config import runtime_directory
from plugin_core.errors import IspError, OptionError
from plugin_core.rpc.formats import RAW_ENDINGS

__all__ = ["RESET", "Request", "build", "read_request", "tell"]

RESET = "restored now; to see it: file browser, Processing profile operations > Reset to default"
LOG_BYTES = 1 << 20  # then it begins anew
TELL_S = 5.0  # a notification that takes longer is not waited for


@dataclass(frozen=True)
class Request:
    """What RawTherapee asks for. flagging: a rank or label is being set; the photograph was not opened.

    default: the profile that would be used without us; None: neutral, or one that only RawTherapee can work out.
    """

    image: Path
    sidecar: Path
    default: Path | None
    flagging: bool
    app_version: str
    pp3_version: str

    @property
    def restorable(self) -> bool:
        """True for an opened raw photograph that is no result of ours."""
        raw = self.image.suffix.lower() in RAW_ENDINGS
        return raw and not self.flagging and not is_ours(self.image.name)


def read_request(path: Path) -> Request:
    """The request in RawTherapee's parameter file. Raises OptionError for one that names no image or no profile."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise OptionError(f"{path}: can't be read ({error.strerror})", "INPUT_UNREADABLE") from error

    def value(key: str) -> str:
        return keyfile.get(content, "RT General", key) or ""

    if not value("ImageFileName") or not value("OutputProfileFileName"):
        raise OptionError(f"{path}: is no parameter file of RawTherapee's profile builder", "BAD_REQUEST")
    default = Path(value("DefaultProcParams"))
    return Request(
        Path(value("ImageFileName")),
        Path(value("OutputProfileFileName")),
        default if default.is_file() else None,
        value("FlaggingMode").lower() == "true",
        value("AppVersion") or "5.9",
        value("ProcParamsVersion") or "349",
    )


def build(request: Request, limit_s: float, attach_options: list[str]) -> str:
    """Puts the default profile in place, and has the photograph attached to it within limit_s seconds.

    What takes longer goes on in the background; a message then says that the profile may be reset.
    Returns what happened, in one line. attach_options: of `neural-isp rawtherapee attach`.
    Raises OptionError or LimitError only where not even the default profile could be written.
    """
    if request.default is not None:
        content = host.profile_at(request.default).content
    else:
        content = host.neutral(request.app_version, request.pp3_version)
    write_file(request.sidecar, content)
    if not request.restorable:
        return f"{request.image.name}: left as it is"
    with contextlib.suppress(OSError):
        record_path(request.image).unlink(missing_ok=True)  # "Reset to default" starts anew
    log = runtime_directory() / "rawtherapee-cpb.log"
    try:
        process = _start(request, [*attach_options, "--tell-after", f"{limit_s:g}"], log)
    except (OSError, IspError) as error:
        return f"{request.image.name}: could not be started ({error})"
    try:
        code = process.wait(limit_s)
    except subprocess.TimeoutExpired:
        tell(f"{request.image.name} is still being restored; it opens as shot until then.")
        return f"{request.image.name}: not done within {limit_s:g} s, goes on in the background"
    said = _last_line(log)
    if code:
        tell(said)
    return said


def _start(request: Request, options: list[str], log: Path) -> subprocess.Popen[bytes]:
    """`attach` in a process and session of its own, which RawTherapee's end does not end."""
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    command = [sys.executable, "-m", "plugin_core.cli", "rawtherapee", "attach", str(request.image)]
    command += ["--sidecar", str(request.sidecar), "--new-sidecar", *options]
    grown = log.exists() and log.stat().st_size > LOG_BYTES
    with log.open("wb" if grown else "ab") as stream:
        stream.write(time.strftime("%Y-%m-%d %H:%M:%S ").encode() + os.fsencode(request.image) + b"\n")
        stream.flush()
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
            cwd=Path(__file__).parents[2],
        )


def tell(text: str) -> None:
    """A notification on the desktop, where there is a program for it: RawTherapee shows nothing of what we say."""
    program = shutil.which("notify-send")
    if program:
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run([program, "neural-isp", text], timeout=TELL_S, check=False, capture_output=True)


def _last_line(log: Path) -> str:
    try:
        lines = log.read_text(errors="replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1] if lines else ""
