"""A run of the command line, and a scripted server for it to talk to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.cli.running import Run, runner
from tests.unit.client.serving import Service, serving


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(monkeypatch, capsys)


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def server(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The server that every command uses unless told otherwise."""
    with serving(service, f"unix://{tmp_path}/server.sock") as address:
        monkeypatch.setenv("NEURAL_ISP_SERVER", address)
        yield address
