"""The Python client of a neural-isp server: grpcio and the contract only; nothing is loaded before it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plugin_core.client.client import Client
    from plugin_core.client.errors import ServerError, ServerFault, ServerLost
    from plugin_core.client.local import connect_local
    from plugin_core.client.values import (
        Compression,
        DenoiseOptions,
        MosaicWindow,
        NoiseReport,
        Output,
        Progress,
        Restored,
        Stage,
    )

__all__ = [
    "Client",
    "Compression",
    "DenoiseOptions",
    "MosaicWindow",
    "NoiseReport",
    "Output",
    "Progress",
    "Restored",
    "ServerError",
    "ServerFault",
    "ServerLost",
    "Stage",
    "connect_local",
]

_ERRORS = dict.fromkeys(("ServerError", "ServerFault", "ServerLost"), "errors")
_HOMES = {"Client": "client", "connect_local": "local", **_ERRORS}


def __getattr__(name: str) -> Any:
    """Loads the one module that a name lives in, so that `neural-isp --help` doesn't load grpc."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES.get(name, 'values')}"), name)
