"""Model packages: what ships, how it is checked, and where it is found."""

from plugin_core.models.package import Manifest, ModelPackage, load_package
from plugin_core.models.registry import Registry, shipped_directory

__all__ = ["Manifest", "ModelPackage", "Registry", "load_package", "shipped_directory"]
