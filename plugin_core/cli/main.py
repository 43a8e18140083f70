"""The `neural-isp` command: its subcommands, and what an error looks like."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import NoReturn

import click

from plugin_core import __version__
from plugin_core.cli.cache import cache
from plugin_core.cli.completion import completion
from plugin_core.cli.darktable import darktable
from plugin_core.cli.denoise import denoise
from plugin_core.cli.exit_codes import ExitCode, exit_code
from plugin_core.cli.info import info
from plugin_core.cli.models import models
from plugin_core.cli.serve import serve
from plugin_core.cli.verify import verify
from plugin_core.client.errors import ServerError
from plugin_core.errors import IspError

__all__ = ["cli", "main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="neural-isp")
def cli() -> None:
    """Less noise in RAW photographs: RAW in, restored DNG out, all metadata kept.

    \b
    neural-isp denoise IMG_0001.CR3 -o IMG_0001.dng
    neural-isp denoise ~/Pictures/concert -r -o ~/Pictures/concert-restored
    neural-isp info IMG_0001.CR3

    A server on this machine does the work; it is started when needed and leaves when idle.
    Results' paths go to stdout, everything else to stderr. Exit codes: 0 fine, 2 wrong option, 3 bad file,
    4 no model for it, 5 limit or disk full, 6 no server, 7 verify found losses, 130 interrupted, 1 a bug.
    """


for command in (denoise, info, verify, models, serve, cache, darktable, completion):
    cli.add_command(command)


def main() -> NoReturn:
    """Runs the command line and leaves with the exit code of what happened."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # grpc's own log lines would break up ours
    signal.signal(signal.SIGTERM, _terminated)
    try:
        result = cli.main(prog_name="neural-isp", standalone_mode=False)
        code = int(result) if isinstance(result, int) else int(ExitCode.OK)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except click.exceptions.Abort:
        click.echo("neural-isp: interrupted", err=True)
        code = int(ExitCode.INTERRUPTED)
    except (IspError, ServerError) as error:
        click.echo(f"neural-isp: {error.message}", err=True)
        code = int(exit_code(error))
    except BrokenPipeError:  # whoever read our output has seen enough: `neural-isp info X | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = int(ExitCode.OK)
    except Exception as error:
        if os.environ.get("NEURAL_ISP_TRACEBACK"):
            raise
        where = "set NEURAL_ISP_TRACEBACK=1 to see where"
        click.echo(f"neural-isp: this is a bug: {type(error).__name__}: {error} ({where})", err=True)
        code = int(ExitCode.INTERNAL)
    sys.exit(code)


def _terminated(signal_number: int, _: FrameType | None) -> None:
    """SIGTERM leaves like Ctrl-C does: the job is cancelled, temporary files go."""
    sys.exit(128 + signal_number)
