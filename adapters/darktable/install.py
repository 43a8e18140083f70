"""`neural-isp darktable install`: find darktable, get its headers, build the module, put it in place."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from adapters.darktable.build import build, missing_tools
from adapters.darktable.found import find_darktable
from adapters.darktable.place import Placed, place_private, place_system, remove_private, remove_system
from adapters.darktable.source import check_source, fetch_source
from plugin_core.errors import OptionError

__all__ = ["install", "uninstall"]


def install(source: Path | None, system: bool, tell: Callable[[str], None]) -> Placed:
    """Builds the module for the installed darktable and puts it in place, this user's or the system's.

    source: darktable's source tree; None: the distribution's source package is fetched. tell: told of each step.
    Raises OptionError with what is missing and which command helps; nothing is changed then.
    """
    darktable = find_darktable()
    tell(f"darktable {darktable.version} in {darktable.modules}")
    missing = missing_tools()
    if missing:
        raise OptionError(f"to build the module, run as root: apt-get install {' '.join(missing)}", "NO_BUILD_TOOLS")
    with tempfile.TemporaryDirectory(prefix="neural-isp-darktable-") as name:
        folder = Path(name)
        if source is None:
            tell(f"fetching the source of darktable {darktable.version} for its headers")
            tree = fetch_source(darktable, folder)
        else:
            tree = check_source(source.absolute(), darktable)
        tell("building the module")
        module = build(darktable, tree, folder / "build")
        return place_system(darktable, module) if system else place_private(darktable, module)


def uninstall(system: bool) -> list[Path]:
    """Takes away what `install` has put in place; the paths that were removed. Raises OptionError without the right."""
    return remove_system(find_darktable()) if system else remove_private()
