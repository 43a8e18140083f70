"""One server on a Unix socket for all contract tests that leave it running."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from plugin_core.models import shipped_directory
from tests.builders import make_frame, write_cfa_dng
from tests.server_fixture import LiveServer, live_server

QUEUE = 3
TILE = 128


@pytest.fixture(scope="package")
def broken_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with one package, "broken", of whose weights one bit is wrong."""
    shipped = next(shipped_directory().glob("*/manifest.json")).parent
    folder = tmp_path_factory.mktemp("models")
    package = shutil.copytree(shipped, folder / "broken")
    manifest = package / "manifest.json"
    text = manifest.read_text().replace(f'"id": "{shipped.name}"', '"id": "broken"')
    manifest.write_text(text.replace('"default": true', '"default": false'))
    weights = bytearray((package / "model.onnx").read_bytes())
    weights[len(weights) // 2] ^= 1
    (package / "model.onnx").write_bytes(weights)
    return folder


@pytest.fixture(scope="package")
def server(broken_models: Path) -> Iterator[LiveServer]:
    """The shared server."""
    config = {"limits": {"queue": QUEUE, "file_bytes": 1 << 26}, "tiling": {"inner": TILE}}
    with live_server(model_directories=[broken_models], **config) as running:
        yield running


@pytest.fixture
def stub(server: LiveServer) -> Iterator[Any]:
    """A stub of the shared server; afterwards nothing of the test's jobs may be left."""
    with server.stub() as opened:
        yield opened


@pytest.fixture(scope="package")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small, noisy, odd-sized DNG."""
    return write_cfa_dng(
        tmp_path_factory.mktemp("raw") / "small.dng", make_frame(75, 97, noise=(2e-3, 1e-5)), metadata=True
    )


@pytest.fixture(scope="package")
def large_raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DNG that takes many tiles: seconds of work."""
    return write_cfa_dng(tmp_path_factory.mktemp("raw") / "large.dng", make_frame(640, 640, noise=(2e-3, 1e-5)))
