"""What is set once, at the edge: limits, tiling and serving. Frozen, validated, the standard library only."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from plugin_core.errors import OptionError

__all__ = [
    "CacheConfig",
    "Limits",
    "ServerConfig",
    "TilingConfig",
    "cache_directory",
    "profiles_directory",
    "runtime_directory",
]


def runtime_directory() -> Path:
    """Where the private socket lives: $XDG_RUNTIME_DIR/neural-isp, else a folder of the user's in the temp folder."""
    base = os.environ.get("XDG_RUNTIME_DIR")
    if base:
        return Path(base) / "neural-isp"
    user = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
    return Path(tempfile.gettempdir()) / f"neural-isp-{user}"


def cache_directory() -> Path:
    """Where results are kept: $NEURAL_ISP_CACHE, else $XDG_CACHE_HOME/neural-isp, else ~/.cache/neural-isp."""
    own = os.environ.get("NEURAL_ISP_CACHE")
    if own:
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "neural-isp"


def profiles_directory() -> Path:
    """Where the user's noise calibrations lie: $NEURAL_ISP_PROFILES, else neural-isp/noise in the config folder.

    The config folder is $XDG_CONFIG_HOME, else ~/.config.
    """
    own = os.environ.get("NEURAL_ISP_PROFILES")
    if own:
        return Path(own)
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "neural-isp" / "noise"


@dataclass(frozen=True)
class Limits:
    """Caps on untrusted input; each holds unless the caller states another."""

    file_bytes: int = 1 << 30  # one input file
    pixels: int = 260_000_000  # photosites of one frame
    side: int = 40_000  # photosites of one side
    decode_memory_bytes: int = 3 << 30  # address space that decoding may add in the worker
    decode_time_s: float = 120.0  # wall clock of one decode or metadata request
    queue: int = 16  # jobs waiting per lane

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value <= 0:
                raise OptionError(f"limit {name} is {value}, expected more than 0", "BAD_LIMIT")


@dataclass(frozen=True)
class TilingConfig:
    """How large a tile's inner part may be, in photosites; the model's halo comes on top."""

    inner: int = 1536

    def __post_init__(self) -> None:
        if self.inner < 64:
            raise OptionError(f"tile of {self.inner} photosites, expected 64 or more", "BAD_TILE")


@dataclass(frozen=True)
class CacheConfig:
    """The content-addressed result cache; least recently used out first."""

    directory: Path = field(default_factory=cache_directory)
    size_bytes: int = 8 << 30


@dataclass(frozen=True)
class ServerConfig:
    """Everything a server is started with.

    address: "unix:///path" or "host:port". TCP beyond loopback needs tls_certificate, tls_key and token.
    idle_exit_s: leave after that long without a job; 0 stays for ever.
    """

    address: str = ""
    device: str = "cpu"
    threads: int = 0  # 0: all cores
    model_directories: tuple[Path, ...] = ()
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    token: str = ""
    idle_exit_s: float = 0.0
    limits: Limits = Limits()
    tiling: TilingConfig = TilingConfig()
    cache: CacheConfig = field(default_factory=CacheConfig)
    profiles: Path = field(default_factory=profiles_directory)  # the user's noise calibrations; need not be there

    def __post_init__(self) -> None:
        if not self.address:
            object.__setattr__(self, "address", f"unix://{runtime_directory() / 'server.sock'}")
