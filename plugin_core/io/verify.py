"""What of a source survived in a result, by group. Runs in the worker process."""

from __future__ import annotations

from pathlib import Path

from plugin_core.config import Limits
from plugin_core.io.source_file import VerifyReport

__all__ = ["verify"]


def verify(source: Path, result: Path, limits: Limits) -> VerifyReport:
    """Every group of facts, kept, changed on purpose, lost or absent. Raises as read_raw does, for either file."""
    raise NotImplementedError
