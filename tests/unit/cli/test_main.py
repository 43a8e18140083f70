"""plugin_core.cli.main: the light start, the help, and one exit code for each class of error."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest

from plugin_core.cli.exit_codes import ExitCode, exit_code, worst
from plugin_core.cli.main import cli
from plugin_core.client.errors import ServerFault, ServerLost
from plugin_core.errors import (
    FileFormatError,
    IspError,
    JobCancelledError,
    LimitError,
    ModelPackageError,
    NoModelError,
    OptionError,
)
from tests.unit.cli.running import Run

HEAVY = (
    "grpc",
    "google.protobuf",
    "numpy",
    "torch",
    "onnxruntime",
    "rawpy",
    "pyexiv2",
    "tifffile",
    "imagecodecs",
    "tqdm",
)


def test_help_loads_nothing_heavy() -> None:
    program = (
        "import sys; sys.argv = ['neural-isp', '--help']\n"
        "from plugin_core.cli.main import main\n"
        "try: main()\n"
        "except SystemExit as left: assert left.code == 0\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stderr.strip() == "[]"
    assert "denoise" in ended.stdout


@pytest.mark.parametrize("name", ["", *cli.commands])
def test_every_command_has_help(run: Run, name: str) -> None:
    ran = run(*([name] if name else []), "--help")
    assert ran.code == 0
    assert "Usage: neural-isp" in ran.out
    assert ran.err == ""


def test_version(run: Run) -> None:
    assert run("--version").out.startswith("neural-isp, version ")


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["denoise", "a.nef"],
        ["denoise", "a.nef", "-o", "a.dng", "--strength", "1.5"],
        ["denoise", "a.nef", "-o", "a.dng", "--chroma", "-0.1"],
        ["denoise", "a.nef", "-o", "a.dng", "--output", "jpeg"],
        ["denoise", "a.nef", "-o", "a.dng", "--noise-profile", "1"],
        ["denoise", "a.nef", "-o", "a.jpg"],
        ["denoise", "a.nef", "-o", "a.dng", "--server", "nowhere"],
        ["verify", "a.nef"],
        ["completion", "tcsh"],
        ["serve", "--token-file", "/nowhere/token"],
    ],
)
def test_wrong_usage_is_2(run: Run, arguments: list[str]) -> None:
    ran = run(*arguments)
    assert ran.code == 2
    assert ran.out == ""
    assert ran.err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (FileFormatError("", ""), 3),
        (OptionError("", ""), 2),
        (NoModelError("", ""), 4),
        (ModelPackageError("", ""), 4),
        (LimitError("", ""), 5),
        (JobCancelledError("", "DEADLINE_EXCEEDED"), 5),
        (JobCancelledError("", "CANCELLED"), 6),
        (ServerLost("", ""), 6),
        (ServerFault("", ""), 1),
        (KeyboardInterrupt(), 130),
        (ZeroDivisionError(), 1),
    ],
)
def test_exit_code_of_each_class(error: BaseException, code: int) -> None:
    assert exit_code(error) == code


def test_no_class_is_forgotten() -> None:
    assert all(exit_code(kind("", "")) != ExitCode.INTERNAL for kind in IspError.__subclasses__())


def test_the_most_urgent_code_counts() -> None:
    assert worst([]) == ExitCode.OK
    assert worst([ExitCode.BAD_FILE, ExitCode.LIMIT, ExitCode.USAGE]) == ExitCode.LIMIT
    assert worst([ExitCode.BAD_FILE, ExitCode.SERVER]) == ExitCode.SERVER


def test_a_bug_is_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(cli, "main", broken)
    ran = run()
    assert ran.code == 1
    assert ran.err.count("\n") == 1
    assert "ZeroDivisionError" in ran.err


def test_interrupt_is_130(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise click.exceptions.Abort

    monkeypatch.setattr(cli, "main", interrupted)
    assert run().code == 130


@pytest.mark.parametrize(("shell", "mark"), [("bash", "complete -o"), ("zsh", "#compdef"), ("fish", "complete ")])
def test_completion_script(run: Run, shell: str, mark: str) -> None:
    ran = run("completion", shell)
    assert ran.code == 0
    assert mark in ran.out
    assert "_NEURAL_ISP_COMPLETE" in ran.out


def test_completion_completes() -> None:
    environment = {"_NEURAL_ISP_COMPLETE": "bash_complete", "COMP_WORDS": "neural-isp deno", "COMP_CWORD": "1"}
    command = [sys.executable, "-m", "plugin_core.cli"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert ended.stdout.strip() == "plain,denoise"
