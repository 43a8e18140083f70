"""The one door from the command line to the heavy half, for checks that need no server; opened only when they run.

Checking a result must not mean trusting the server that wrote it, and a model package is checked before a server loads
it. So this module, and no other of the command line, may import io, models and engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from plugin_core.config import Limits
from plugin_core.engine.session import OnnxSession, check_golden_tile
from plugin_core.errors import NoModelError, OptionError
from plugin_core.io.source_file import VerifyReport
from plugin_core.io.worker import DecodeWorker
from plugin_core.models.package import ModelPackage
from plugin_core.models.registry import Registry

__all__ = ["VerifyReport", "find_models", "verify_files", "verify_model"]


def verify_files(source: Path, result: Path) -> VerifyReport:
    """What of the source survived in the result. Raises OptionError, FileFormatError, NoModelError, LimitError."""
    for path in (source, result):
        if not path.is_file():
            found = "is a folder" if path.is_dir() else "no such file"
            raise OptionError(f"{path}: {found}", "INPUT_NOT_FOUND")
    with DecodeWorker(Limits()) as worker:
        return worker.verify(source.absolute(), result.absolute())


def find_models(folders: Sequence[Path], model_ids: Sequence[str]) -> list[ModelPackage]:
    """The packages of these ids, all of them for none. Raises NoModelError for an id that isn't there."""
    packages = {package.manifest.id: package for package in Registry(tuple(folders)).list()}
    names = ", ".join(packages) or "none"
    for model_id in model_ids:
        if model_id not in packages:
            raise NoModelError(f'no model "{model_id}"; installed: {names}', "NO_SUCH_MODEL")
    if not packages:
        raise NoModelError("no model packages are installed", "NO_SUCH_MODEL")
    return [packages[model_id] for model_id in model_ids] if model_ids else list(packages.values())


def verify_model(package: ModelPackage) -> tuple[float, float]:
    """How far the golden tile is from its record and how far it may be, once every checksum has matched.

    Raises ModelPackageError naming the file that differs, or the tile.
    """
    package.verify()
    difference = check_golden_tile(OnnxSession(package, "cpu", 0), package)
    return difference, package.golden_tile().tolerance
