"""What the host tests share: a running server, and results made once."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from plugin_core.client import Client, DenoiseOptions, connect_local
from plugin_core.errors import OptionError
from tests.builders import write_cfa_dng
from tests.hosts.darktable_module import InstalledModule, run_command
from tests.hosts.sources import scene_frame, write_plain_arw

SERVER_IDLE_S = 1200.0  # the other tests run between its last use and its end
Restore = Callable[[str, float], tuple[Path, Path]]

SOURCES: dict[str, Callable[[Path], Path]] = {
    **{
        cfa: (lambda path, cfa=cfa: write_cfa_dng(path, scene_frame(cfa), metadata=True))  # type: ignore[misc]
        for cfa in ("RGGB", "BGGR", "GRBG", "GBRG", "XTRANS", "MONOCHROME")
    },
    "ODD": lambda path: write_cfa_dng(path, scene_frame(height=535, width=641), two_matrices=True),
    "BORDER": lambda path: write_cfa_dng(path, scene_frame("GBRG", border=(24, 36, 12, 8)), metadata=True),
    "ARW": lambda path: write_plain_arw(path.with_suffix(".arw"), scene_frame(height=832, width=1248)),
}


@pytest.fixture(scope="session")
def client() -> Iterator[Client]:
    """A client of a server that this run started on a socket of its own and ends afterwards."""
    with tempfile.TemporaryDirectory(prefix="isp-") as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", folder)
        patch.setenv("NEURAL_ISP_CACHE", f"{folder}/cache")
        with connect_local(idle_exit_s=SERVER_IDLE_S) as local:
            process = local.server_info().pid
            yield local
            with contextlib.suppress(ProcessLookupError):  # idle for that long on a slow machine
                os.kill(process, signal.SIGTERM)


@pytest.fixture(scope="session")
def darktable_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source tree of the installed darktable; skips where it can't be had or the module not be built."""
    from adapters.darktable.build import missing_tools
    from adapters.darktable.found import find_darktable
    from adapters.darktable.source import fetch_source

    if not shutil.which("darktable"):
        pytest.skip("darktable is not installed")
    if missing := missing_tools():
        pytest.skip(f"not installed: {' '.join(missing)}")
    try:
        return fetch_source(find_darktable(), tmp_path_factory.mktemp("source"))
    except OptionError as error:
        pytest.skip(f"no source of darktable: {error.message}")


@pytest.fixture(scope="session")
def module(darktable_source: Path, tmp_path_factory: pytest.TempPathFactory) -> InstalledModule:
    """The darktable module, installed by the command into a home of its own."""
    home = tmp_path_factory.mktemp("home")
    done = run_command(home, "install", "--source", str(darktable_source))
    assert done.returncode == 0, done.stderr
    return InstalledModule(home, darktable_source)


@pytest.fixture(scope="session")
def restore(client: Client, tmp_path_factory: pytest.TempPathFactory) -> Restore:
    """Source and result of a kind of SOURCES at a strength, each made once."""
    folder = tmp_path_factory.mktemp("hosts")
    made: dict[tuple[str, float], tuple[Path, Path]] = {}

    def make(kind: str, strength: float) -> tuple[Path, Path]:
        if (kind, strength) not in made:
            existing = next((pair[0] for key, pair in made.items() if key[0] == kind), None)
            source = existing or SOURCES[kind](folder / f"{kind}.dng")
            result = folder / f"{kind}-{strength:g}-result.dng"
            client.denoise(source, result, DenoiseOptions(strength=strength))
            made[kind, strength] = source, result
        return made[kind, strength]

    return make
