"""What the host tests share: a running server, and results made once."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from plugin_core.client import Client, DenoiseOptions, connect_local
from tests.builders import write_cfa_dng
from tests.hosts.sources import scene_frame, write_plain_arw

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
        with connect_local(idle_exit_s=120.0) as local:
            process = local.server_info().pid
            yield local
            os.kill(process, signal.SIGTERM)


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
