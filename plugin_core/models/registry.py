"""Which model packages there are: those that ship, and those in the folders a server is started with."""

from __future__ import annotations

from pathlib import Path

from plugin_core.errors import ModelPackageError, NoModelError
from plugin_core.models.package import ModelPackage, load_package

__all__ = ["Registry", "shipped_directory"]


def shipped_directory() -> Path:
    """The folder of the packages that come with the program."""
    return Path(__file__).parent / "store"


class Registry:
    """All packages found in some folders, by id; a package in a later folder replaces one of the same id."""

    def __init__(self, directories: tuple[Path, ...] = ()) -> None:
        """directories: folders of package folders, searched after the shipped one.

        Raises ModelPackageError if a folder is not there or a package in it is broken.
        """
        self._packages: dict[str, ModelPackage] = {}
        for directory in (shipped_directory(), *directories):
            if not directory.is_dir():
                raise ModelPackageError(f"{directory}: no such model folder", "MODEL_FOLDER_MISSING")
            for manifest in sorted(directory.glob("*/manifest.json")):
                package = load_package(manifest.parent)
                self._packages[package.manifest.id] = package

    def list(self) -> list[ModelPackage]:
        """Every package, the default of each op first, then by id."""
        return sorted(self._packages.values(), key=lambda p: (p.manifest.op, not p.manifest.default, p.manifest.id))

    def get(self, model_id: str = "", op: str = "denoise") -> ModelPackage:
        """The package of this id, or the op's default for "". Raises NoModelError naming what there is."""
        mine = [p for p in self.list() if p.manifest.op == op]
        for package in mine:
            if package.manifest.id == model_id or (not model_id and package.manifest.default):
                return package
        names = ", ".join(p.manifest.id for p in mine) or "none"
        wanted = f'no model "{model_id}"' if model_id else "no default model"
        raise NoModelError(f"{wanted} for {op}; installed: {names}", "NO_SUCH_MODEL", {"installed": names})
