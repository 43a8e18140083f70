"""What files beside a photograph are called, and which of them are ours."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

__all__ = ["is_ours", "record_path", "residual_name", "residuals_of", "restored_name", "sidecar_path"]

# <source>.nisp-<8 hex digits of the content>.dng: RawTherapee keeps a dark frame by its path for as long as it runs.
_RESIDUAL = re.compile(r"\.nisp-[0-9a-f]{8}\.dng$")
_RESTORED = ".restored.dng"


def sidecar_path(source: Path) -> Path:
    """RawTherapee's profile of a photograph."""
    return source.with_name(f"{source.name}.pp3")


def record_path(source: Path) -> Path:
    """What was attached to a photograph, and how."""
    return source.with_name(f"{source.name}.neural-isp.json")


def residual_name(source: Path, sha256: str) -> str:
    """A new name for new content."""
    return f"{source.name}.nisp-{sha256[:8]}.dng"


def restored_name(source: Path) -> str:
    """The DNG that stands in where no residual is possible; always the same name, for its own sidecar's sake."""
    return f"{source.name}{_RESTORED}"


def is_ours(name: str) -> bool:
    """True for a residual or a restored DNG of ours, by its name: nothing to restore."""
    return bool(_RESIDUAL.search(name)) or name.endswith(_RESTORED)


def residuals_of(source: Path) -> Iterator[Path]:
    """Every residual of a photograph that lies beside it."""
    with os.scandir(source.parent) as entries:
        for entry in entries:
            if entry.name.startswith(f"{source.name}.nisp-") and _RESIDUAL.search(entry.name[len(source.name) :]):
                yield source.parent / entry.name
