"""One decode worker for all tests of this folder that need no fresh one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from plugin_core.config import Limits
from plugin_core.io.source_file import SourceFile
from plugin_core.io.worker import DecodeWorker
from plugin_core.io.write_dng import Compression, WriteOptions, write_dng

Rewrite = Callable[..., SourceFile]


@pytest.fixture(scope="session")
def worker() -> Iterator[DecodeWorker]:
    with DecodeWorker(Limits()) as shared:
        yield shared


@pytest.fixture
def rewrite(worker: DecodeWorker, tmp_path: Path) -> Rewrite:
    """rewrite(path or SourceFile) -> the source read back from the DNG that write_dng made of it (tmp_path/out.dng)."""

    def run(source: Path | SourceFile, image: Any = None, *, noise: Any = None, none: bool = False) -> SourceFile:
        read = worker.read(source) if isinstance(source, Path) else source
        options = WriteOptions(Compression.NONE if none else Compression.LJPEG, overwrite=True)
        stamp = {"ModelId": "test", "SourceSHA256": read.image.source.sha256}
        out = tmp_path / "out.dng"
        report = write_dng(out, image if image is not None else read.image, read, stamp, noise, 1.0, options, worker)
        back = worker.read(out)
        return replace(back, warnings=report.warnings)

    return run
