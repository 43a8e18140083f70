"""An adapter is thin: it speaks the contract by way of the client, and does no arithmetic on images."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ADAPTERS = Path(__file__).parents[3] / "adapters"
ALLOWED = ("plugin_core.client", "plugin_core.config", "plugin_core.errors", "plugin_core.io.atomic")
ALSO = {
    "rawtherapee/cpb.py": ("plugin_core.rpc.formats",),  # which endings are raw: constants
    "rawtherapee/install.py": ("plugin_core.rpc.formats",),
    "rawtherapee/doctor.py": ("plugin_core.io.compare",),  # the self-test looks at renders
}
BANNED = {"numpy", "tifffile", "imagecodecs", "rawpy", "pyexiv2", "PIL", "onnxruntime", "torch"}


@pytest.mark.parametrize("path", sorted(ADAPTERS.rglob("*.py")), ids=lambda path: str(path.relative_to(ADAPTERS)))
def test_imports(path: Path) -> None:
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.append(node.module)
    allowed = ALLOWED + ALSO.get(path.relative_to(ADAPTERS).as_posix(), ())
    assert not {name.split(".")[0] for name in names} & BANNED
    assert [name for name in names if name.startswith("plugin_core") and not name.startswith(allowed)] == []
