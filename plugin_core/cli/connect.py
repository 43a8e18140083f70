"""Which server the commands talk to: options that they share, and the connection itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from plugin_core.errors import OptionError

if TYPE_CHECKING:
    from plugin_core.client.client import Client

__all__ = ["ServerChoice", "read_token", "server_options", "server_part"]

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True)
class ServerChoice:
    """The server as the options name it; address "" is the local one, started when none answers."""

    address: str
    root_certificates: Path | None
    token_file: Path | None

    def connect(self, note: Callable[[str], None]) -> Client:
        """A client; `note` is told in one line what is worth knowing. Raises ServerLost, OptionError."""
        from plugin_core.client.client import Client
        from plugin_core.client.local import IDLE_EXIT_S, connect_local

        if not self.address:
            return connect_local(idle_exit_s=_idle_exit_s(IDLE_EXIT_S), note=note)
        return Client(self.address, self.root_certificates, read_token(self.token_file))


def server_options(command: Command) -> Command:
    """Adds --server, --tls-root and --token-file, which make a ServerChoice."""
    for option in (
        click.option(
            "--token-file",
            type=click.Path(dir_okay=False, path_type=Path),
            envvar="NEURAL_ISP_TOKEN_FILE",
            help="File with the token that the server asks for.",
        ),
        click.option(
            "--tls-root",
            type=click.Path(dir_okay=False, path_type=Path),
            envvar="NEURAL_ISP_TLS_ROOT",
            help="PEM certificate that vouches for the server's (default: the system's).",
        ),
        click.option(
            "--server",
            metavar="ADDR",
            default="",
            envvar="NEURAL_ISP_SERVER",
            help="host:port or unix:///path (default: the local server, started if none answers).",
        ),
    ):
        command = option(command)
    return command


def read_token(path: Path | None) -> str:
    """The token in a file, without the blanks around it; "" for no file. Raises OptionError if it can't be read."""
    if path is None:
        return ""
    try:
        token = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not plain ASCII"
        raise OptionError(f"{path}: token can't be read ({reason})", "BAD_TOKEN") from error
    if not token:
        raise OptionError(f"{path}: holds no token", "BAD_TOKEN")
    return token


@contextmanager
def server_part() -> Iterator[None]:
    """Around an import from the server's half: says how to install it where it is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        text = f"the server's part is not installed here ({error.name} is missing): pip install 'neural-isp[server]'"
        raise OptionError(text, "SERVER_NOT_INSTALLED") from error


def _idle_exit_s(default: float) -> float:
    text = os.environ.get("NEURAL_ISP_IDLE_EXIT", "")
    try:
        return float(text) if text else default
    except ValueError:
        raise OptionError(f"NEURAL_ISP_IDLE_EXIT is {text!r}, expected seconds", "BAD_OPTION") from None
