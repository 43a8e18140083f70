"""What the decode worker and its owner say to each other: pickles of a few known classes, errors as plain words."""

from __future__ import annotations

import io
import pickle
from typing import Any

from plugin_core import errors
from plugin_core.errors import IspError

__all__ = ["decode", "decode_error", "encode", "encode_error"]

_KNOWN_MODULES = ("plugin_core.frame", "plugin_core.io.source_file")
_ERRORS: dict[str, type[IspError]] = {
    name: value for name in errors.__all__ if issubclass(value := getattr(errors, name), IspError)
}


class _Unpickler(pickle.Unpickler):
    """Builds our own value classes only: the worker parses hostile files, so its word is not trusted further."""

    def find_class(self, module: str, name: str) -> Any:
        if module in _KNOWN_MODULES and "." not in name and not name.startswith("_"):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"{module}.{name} does not belong here")


def encode(message: object) -> bytes:
    """The message as bytes."""
    return pickle.dumps(message, protocol=5)


def decode(content: bytes) -> Any:
    """The message of the bytes. Raises pickle.UnpicklingError for anything but our values."""
    return _Unpickler(io.BytesIO(content)).load()


def encode_error(error: IspError) -> tuple[str, str, str, dict[str, str]]:
    """Class, message, reason and metadata."""
    return type(error).__name__, error.message, error.reason, error.metadata


def decode_error(parts: tuple[str, str, str, dict[str, str]]) -> IspError:
    """The error that encode_error took apart."""
    kind, message, reason, metadata = parts
    return _ERRORS.get(kind, IspError)(message, reason, metadata)
