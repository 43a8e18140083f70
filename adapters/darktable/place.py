"""Putting the module where darktable finds it, and taking it away again: for one user, or for the whole system.

darktable knows no folder of the user's for modules. For one user it gets a module folder of its own, of links to the
installed modules beside ours, and launchers that name it.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from adapters.darktable.build import MODULE_NAME
from adapters.darktable.found import Darktable, data_home
from plugin_core.errors import OptionError

__all__ = ["Placed", "place_private", "place_system", "private_folder", "remove_private", "remove_system"]

LAUNCHER = "darktable-neural-isp"
CLI_LAUNCHER = "darktable-cli-neural-isp"
DESKTOP = f"{LAUNCHER}.desktop"
RECORD = "installed.json"

LAUNCHER_TEXT = """#!/bin/sh
# darktable with the module "neural isp"; made by `neural-isp darktable install`, removed by `... uninstall`
exec {program} --moduledir '{modules}' "$@"
"""
# what comes after --core goes to darktable's core, which knows --moduledir
CLI_TEXT = """#!/bin/sh
# darktable-cli with the module "neural isp"; made by `neural-isp darktable install`, removed by `... uninstall`
for argument in "$@"; do
    [ "$argument" = --core ] && exec {program}-cli "$@" --moduledir '{modules}'
done
exec {program}-cli "$@" --core --moduledir '{modules}'
"""
DESKTOP_TEXT = """[Desktop Entry]
Type=Application
Name=darktable with neural isp
Comment=Organize and develop images, with less noise
Exec={launcher} %U
TryExec={launcher}
Icon=darktable
Terminal=false
Categories=Graphics;Photography;GTK;
MimeType=application/x-darktable;image/x-dcraw;image/x-adobe-dng;image/x-sony-arw;image/x-canon-cr2;image/x-nikon-nef;
"""


@dataclass(frozen=True)
class Placed:
    """What was put where. launcher None: darktable itself has the module."""

    module: Path
    launcher: Path | None
    undo: str


def private_folder() -> Path:
    """The user's folder of all that a private installation consists of, launchers apart."""
    return data_home() / "neural-isp" / "darktable"


def _outside() -> tuple[Path, Path, Path]:
    """Launcher, launcher for darktable-cli, desktop entry."""
    programs = Path.home() / ".local/bin"
    return programs / LAUNCHER, programs / CLI_LAUNCHER, data_home() / "applications" / DESKTOP


def place_private(darktable: Darktable, module: Path) -> Placed:
    """Makes the module folder and the launchers, replacing those of an earlier installation."""
    folder = private_folder()
    modules = folder / "modules"
    launcher, cli_launcher, desktop = _outside()
    if "'" in str(modules):
        raise OptionError(f"{modules}: a quote in the path does not go into a launcher", "BAD_FOLDER")
    shutil.rmtree(folder, ignore_errors=True)
    (modules / "plugins").mkdir(parents=True)
    (modules / "views").symlink_to(darktable.modules / "views")
    for path in darktable.plugins.iterdir():
        if path.name != MODULE_NAME:
            (modules / "plugins" / path.name).symlink_to(path)
    placed = modules / "plugins" / MODULE_NAME
    shutil.copyfile(module, placed)
    texts = {
        launcher: LAUNCHER_TEXT.format(program=darktable.program, modules=modules),
        cli_launcher: CLI_TEXT.format(program=darktable.program, modules=modules),
        desktop: DESKTOP_TEXT.format(launcher=launcher),
    }
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(0o644 if path == desktop else 0o755)
    record = {"darktable": darktable.version, "files": [str(path) for path in texts]}
    (folder / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return Placed(placed, launcher, "neural-isp darktable uninstall")


def remove_private() -> list[Path]:
    """Removes what place_private made; what was there. Folders that are empty then go, too."""
    folder = private_folder()
    gone = [path for path in (*_outside(), folder) if os.path.lexists(path)]
    for path in gone:
        if path == folder:
            shutil.rmtree(path)
        else:
            path.unlink()
        for parent in _empty_parents(path):
            parent.rmdir()
    return gone


def _empty_parents(path: Path) -> Iterator[Path]:
    for parent in path.parents:
        if parent == Path.home() or parent == parent.parent or not parent.is_relative_to(Path.home()):
            return
        if any(parent.iterdir()):
            return
        yield parent


def place_system(darktable: Darktable, module: Path) -> Placed:
    """Puts the module among darktable's own. Raises OptionError without the right to."""
    target = darktable.plugins / MODULE_NAME
    part = target.with_suffix(".part")  # darktable loads lib*.so only
    try:
        shutil.copyfile(module, part)
        part.chmod(0o644)
        part.replace(target)
    except OSError as error:
        raise OptionError(f"{target}: can't be written ({error.strerror}); run as root", "NO_RIGHT") from error
    return Placed(target, None, "neural-isp darktable uninstall --system")


def remove_system(darktable: Darktable) -> list[Path]:
    """Removes the module from among darktable's own; what was there. Raises OptionError without the right to."""
    target = darktable.plugins / MODULE_NAME
    try:
        target.unlink()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise OptionError(f"{target}: can't be removed ({error.strerror}); run as root", "NO_RIGHT") from error
    return [target]
