"""What the abuse tests share: one server for those that leave it running, and a good file to ask it with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from plugin_core.client import Client
from tests.abuse.place import Place, eventually, place_of_its_own
from tests.builders import make_frame, write_cfa_dng


@pytest.fixture(scope="session")
def good_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small DNG that every server restores."""
    return write_cfa_dng(tmp_path_factory.mktemp("good") / "good.dng", make_frame(96, 128), metadata=True)


@pytest.fixture(scope="package")
def place() -> Iterator[Place]:
    """The place of the server that all tests share which don't end it."""
    with place_of_its_own() as own:
        yield own


@pytest.fixture(scope="package")
def client(place: Place) -> Iterator[Client]:
    """A client of the shared server."""
    with place.connect() as connected:
        yield connected


@pytest.fixture
def unharmed(place: Place, client: Client, good_file: Path, tmp_path: Path) -> Iterator[Callable[[], None]]:
    """Checks after the test, and whenever called, that the server works and nothing is left behind."""

    def check() -> None:
        output = tmp_path / "unharmed.dng"
        client.denoise(good_file, output, overwrite=True)
        assert output.stat().st_size > 0
        assert eventually(lambda: not place.leftovers()), place.leftovers()
        partial = [
            path.name for path in tmp_path.iterdir() if path.suffix not in (".dng", ".arw", ".png") and path.is_file()
        ]
        assert not partial

    yield check
    check()
