"""`neural-isp darktable doctor`: what is right and what is wrong with darktable and the module, in words."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from adapters.darktable.build import MODULE_NAME, missing_tools
from adapters.darktable.found import Darktable, find_darktable
from adapters.darktable.place import LAUNCHER, RECORD, private_folder
from plugin_core.errors import OptionError

__all__ = ["Finding", "examine"]

AGAIN = "run `neural-isp darktable install` again"
BUILT_FOR = re.compile(rb"NEURALISP-BUILT-FOR:([0-9A-Za-z.+~-]+)")  # nisp_version.c
LOAD_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Finding:
    """One line of the report. good None: worth knowing, neither right nor wrong."""

    good: bool | None
    text: str


def examine() -> Iterator[Finding]:
    """Every finding, the most basic first; stops where the rest would say nothing."""
    try:
        darktable = find_darktable()
    except OptionError as error:
        yield Finding(False, error.message)
        return
    yield Finding(True, f"darktable {darktable.version}, modules in {darktable.modules}")
    missing = missing_tools()
    if missing:
        yield Finding(None, f"to build the module: apt-get install {' '.join(missing)}")
    private = private_folder() / "modules" / "plugins" / MODULE_NAME
    places = [path for path in (private, darktable.plugins / MODULE_NAME) if path.exists()]
    if not places:
        yield Finding(False, "the module is not installed: run `neural-isp darktable install`")
    for path in places:
        yield from _module(path, darktable)
    if private.exists():
        yield from _private(darktable)
    yield from _helper()


def _module(path: Path, darktable: Darktable) -> Iterator[Finding]:
    content = path.read_bytes()
    match = BUILT_FOR.search(content)
    built_for = match[1].decode() if match else "an unknown version"
    if built_for != darktable.version:
        yield Finding(False, f"{path}: was built for darktable {built_for}, installed is {darktable.version}; {AGAIN}")
        return
    yield Finding(True, f"{path}: built for darktable {built_for}")
    said = _load(path.parent.parent)
    if said:
        yield Finding(False, f"{path}: darktable does not load it: {said}")
    else:
        yield Finding(True, "darktable loads the module and gives it a place in the pipe")


def _load(modules: Path) -> str:
    """What darktable-cli says against the module when it starts with it; "" for nothing."""
    with tempfile.TemporaryDirectory(prefix="neural-isp-doctor-") as folder:
        # a file that is none: darktable starts, loads its modules and leaves
        command = ["darktable-cli", f"{folder}/none.dng", f"{folder}/none.tif", "--core", "--moduledir", str(modules)]
        command += ["--configdir", f"{folder}/config", "--library", ":memory:", "--disable-opencl", "-d", "ioporder"]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, errors="replace", check=False, timeout=LOAD_TIMEOUT_S
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
    lines = (done.stdout + done.stderr).splitlines()
    return next((line for line in lines if "neural" in line and "opening file" not in line and folder not in line), "")


def _private(darktable: Darktable) -> Iterator[Finding]:
    folder = private_folder()
    broken = [path.name for path in (folder / "modules").rglob("*") if path.is_symlink() and not path.exists()]
    if broken:
        yield Finding(False, f"{len(broken)} modules of darktable are gone from where they were; {AGAIN}")
    try:
        files = json.loads((folder / RECORD).read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError):
        yield Finding(False, f"{folder / RECORD}: can't be read; {AGAIN}")
        return
    for path in filter(lambda path: not Path(path).exists(), files):
        yield Finding(False, f"{path}: is missing; {AGAIN}")
    launcher = next((path for path in files if path.endswith(LAUNCHER)), "")
    if str(Path(launcher).parent) not in os.environ.get("PATH", "").split(os.pathsep):
        yield Finding(
            None, f"start darktable as {launcher} or from the desktop's menu ({darktable.program} has no module)"
        )


def _helper() -> Iterator[Finding]:
    from plugin_core.client.errors import ServerError
    from plugin_core.client.local import connect_local
    from plugin_core.errors import IspError

    try:
        with connect_local() as client:
            found = client.server_info()
    except (IspError, ServerError) as error:
        yield Finding(False, f"the server: {error.message}")
    else:
        yield Finding(True, f"the server answers: version {found.version}, model {found.default_model}")
