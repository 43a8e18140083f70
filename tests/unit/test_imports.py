"""Who may import whom, as a table; docs/architecture.md says why."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORE = ROOT / "plugin_core"

# room -> what it may import of ours, beside itself
ALLOWED: dict[str, set[str]] = {
    "__init__": set(),
    "frame": set(),
    "errors": set(),
    "config": {"errors"},
    "cache": {"errors", "config"},
    "io": {"frame", "errors", "config"},
    "noise": {"frame", "errors", "config"},
    "models": {"frame", "errors", "config"},
    "engine": {"frame", "errors", "config", "models"},
    "ops": {"frame", "errors", "config", "models", "engine", "noise"},
    "rpc": {"__init__", "rpc.v1", "frame", "errors", "config", "cache", "io", "noise", "models", "engine", "ops"},
    "rpc.v1": set(),
    "client": {"__init__", "errors", "config", "rpc.v1", "io.atomic"},
    "cli": {"__init__", "errors", "config", "rpc.v1", "rpc.formats", "client"},
}
# A module's own exceptions, each with its reason.
ALSO: dict[str, set[str]] = {
    # `verify` and `models verify` must not trust a server
    "cli.local_checks": {"io", "models", "engine"},
    # `calibrate` measures the user's own frames on this machine
    "cli.local_calibration": {"io", "noise"},
    # which files of a folder are RAW: one list for the server and for walks, constants only
    "cli.inputs": {"rpc.formats"},
    "cli.photographs": {"rpc.formats"},
    # `doctor` compares renders here, inside the command
    "cli.rawtherapee": {"io.compare"},
    # `cache show` and `cache clear`, inside the commands
    "cli.cache": {"cache"},
    # `serve`, inside the command
    "cli.serve": {"rpc"},
}
# The commands of a host, whose work is done by its adapter, loaded when they run.
HOST_COMMANDS = {
    "cli.darktable": {"adapters"},
    "cli.darktable_lua": {"adapters"},
    "cli.photographs": {"adapters"},
    "cli.rawtherapee": {"adapters"},
}
# A giant -> where it lives
HOMES: dict[str, tuple[str, ...]] = {
    "rawpy": ("io",),
    "pyexiv2": ("io",),
    "tifffile": ("io",),
    "imagecodecs": ("io",),
    "PIL": ("io",),
    "onnxruntime": ("engine",),
    "scipy": ("ops",),
    "torch": (),
    "diffusers": (),
    "grpc": ("rpc", "rpc.v1", "client", "cli"),
    "grpc_health": ("rpc", "client", "cli"),
    "google": ("rpc", "rpc.v1", "client", "cli"),
    "click": ("cli",),
    "tqdm": ("cli",),
}


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(CORE.rglob("*.py")):
        parts = path.relative_to(CORE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)
        yield name, ast.parse(path.read_text(encoding="utf-8"), str(path))


MODULES = dict(modules())


def room_of(module: str) -> str:
    """The row of the table that a module belongs to."""
    return "rpc.v1" if module.startswith("rpc.v1") else module.split(".")[0]


def imports_of(tree: ast.Module) -> Iterator[str]:
    """Dotted names of all that a module imports, at its top or within functions; what only types need is free."""
    for_types = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for child in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import: absolute ones can be searched for"
            assert node.module
            for alias in node.names:
                yield f"{node.module}.{alias.name}"


def may(module: str, imported: str) -> bool:
    """True if `module` may import `imported` (both without "plugin_core.")."""
    allowed = ALLOWED[room_of(module)] | ALSO.get(module, set())
    room = room_of(imported)
    if room == room_of(module):
        return True
    return any(imported == one or imported.startswith(f"{one}.") or (one == room) for one in allowed)


def test_every_room_is_in_the_table() -> None:
    assert {room_of(module) for module in MODULES} <= set(ALLOWED)


@pytest.mark.parametrize("module", MODULES)
def test_imports_follow_the_table(module: str) -> None:
    wrong = []
    for name in imports_of(MODULES[module]):
        if name == "plugin_core" or name.startswith("plugin_core.__"):
            name = "plugin_core.__init__"
        if name.startswith("plugin_core.") and not may(module, name.removeprefix("plugin_core.")):
            wrong.append(name)
    assert wrong == []


@pytest.mark.parametrize("module", MODULES)
def test_giants_stay_at_home(module: str) -> None:
    found = {name.split(".")[0] for name in imports_of(MODULES[module])}
    assert {giant for giant in found & HOMES.keys() if room_of(module) not in HOMES[giant]} == set()


def test_core_imports_nothing_that_is_built_on_it() -> None:
    outside = {"training", "benchmarks", "simulation", "adapters", "tests"}
    for module, tree in MODULES.items():
        found = {name.split(".")[0] for name in imports_of(tree)} & outside
        assert found <= HOST_COMMANDS.get(module, set()), module


def test_generated_packages_import_light() -> None:
    assert (CORE / "rpc" / "__init__.py").read_text().count("\n") <= 2, "the client passes through it"


@pytest.mark.parametrize("module", ["plugin_core.cli.main", "plugin_core.client", "plugin_core.rpc.v1.restoration_pb2"])
def test_doors_are_light(module: str) -> None:
    heavy = ["numpy", "rawpy", "pyexiv2", "tifffile", "imagecodecs", "PIL", "onnxruntime", "scipy", "torch", "psutil"]
    code = f"import sys, {module}; print(*[name for name in {heavy} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert found.stdout.split() == []


def test_client_loads_no_giant_but_grpc() -> None:
    heavy = ["rawpy", "pyexiv2", "tifffile", "imagecodecs", "PIL", "onnxruntime", "scipy", "torch", "psutil"]
    code = f"import sys; from plugin_core.client import Client; print(*[n for n in {heavy} if n in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert found.stdout.split() == []
