"""`neural-isp` from end to end: the program, the server it starts, real files, and what is left after trouble."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from plugin_core.cli.done import provenance
from plugin_core.client import Client, ServerLost
from tests.builders import make_frame, write_cfa_dng

ROOT = Path(__file__).parents[2]
PATIENCE_S = 120.0  # the machine may be busy


@dataclass(frozen=True)
class Place:
    """A private runtime folder, temp folder and cache; servers that are started here are ended with the tests."""

    folder: Path
    environment: dict[str, str]

    @property
    def address(self) -> str:
        """Where the server that is started on demand listens."""
        return f"unix://{self.folder}/neural-isp/server.sock"

    def start(self, *arguments: object, **environment: str) -> subprocess.Popen[str]:
        """`neural-isp` with these arguments, running.

        A shell's background job is started deaf to Ctrl-C, and so are its children, but for a handler of ours. Not by
        preexec_fn: that forks, and gRPC's poller then may end the child (grpc/grpc issue 43055).
        """
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            return subprocess.Popen(
                [sys.executable, "-m", "plugin_core.cli", *map(str, arguments)],
                env={**self.environment, **environment},
                cwd=ROOT,
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        finally:
            signal.signal(signal.SIGINT, before)

    def run(self, *arguments: object, **environment: str) -> tuple[int, str, str]:
        """`neural-isp` with these arguments: exit code, stdout, stderr."""
        process = self.start(*arguments, **environment)
        out, err = process.communicate(timeout=PATIENCE_S)
        return process.returncode, out, err

    def server_pid(self) -> int | None:
        """The process of the server that answers; None if none does."""
        with Client(self.address) as client:
            try:
                return client.server_info(timeout_s=20).pid
            except ServerLost:
                return None


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    yield from _place()


@pytest.fixture
def another_place() -> Iterator[Place]:
    yield from _place()


def _place() -> Iterator[Place]:
    with tempfile.TemporaryDirectory(prefix="isp-") as name:
        folder = Path(name)
        (folder / "tmp").mkdir()
        own = {"XDG_RUNTIME_DIR": name, "TMPDIR": f"{name}/tmp", "NEURAL_ISP_CACHE": f"{name}/cache"}
        own["NEURAL_ISP_PROFILES"] = f"{name}/profiles"
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("NEURAL_ISP")}
        place = Place(folder, {**inherited, **own, "NEURAL_ISP_IDLE_EXIT": "60"})
        yield place
        pid = place.server_pid()
        if pid is not None:
            process = psutil.Process(pid)
            process.terminate()
            process.wait(30)


@pytest.fixture(scope="module")
def shoot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two good files in folders, and a truncated one."""
    folder = tmp_path_factory.mktemp("shoot")
    (folder / "day2").mkdir()
    write_cfa_dng(folder / "a.dng", make_frame(75, 97, noise=(2e-3, 1e-5)), metadata=True)
    write_cfa_dng(folder / "day2" / "c.dng", make_frame(60, 80, cfa="GBRG", seed=1))
    whole = (folder / "a.dng").read_bytes()
    (folder / "b.dng").write_bytes(whole[: len(whole) // 3])
    return folder


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that takes seconds."""
    return write_cfa_dng(tmp_path_factory.mktemp("large") / "large.dng", make_frame(3000, 3000, noise=(2e-3, 1e-5)))


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def _wait_for(condition: Callable[[], bool], timeout_s: float = 30.0) -> bool:
    give_up_s = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < give_up_s:
        time.sleep(0.05)
    return condition()


def _start_restoring(place: Place, large: Path, target: Path) -> tuple[subprocess.Popen[str], int]:
    """A `denoise` that has reached the network, whose server is halted there: however fast it is, it does not end.

    Returns both processes, the server's by number.
    """
    process = place.start("denoise", large, "-o", target, "--progress", "json")
    assert process.stderr is not None
    for line in process.stderr:
        if json.loads(line).get("stage") == "restore":
            server = place.server_pid()
            assert server is not None
            os.kill(server, signal.SIGSTOP)
            return process, server
    raise AssertionError(f"ended with {process.wait()} before the network ran")


def test_starts_a_server_and_prints_the_path_alone(place: Place, shoot: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.dng"
    assert place.server_pid() is None
    code, out, err = place.run("denoise", shoot / "a.dng", "-o", target)
    assert (code, out) == (0, f"{target}\n"), err
    assert "starting the local server" in err
    assert provenance(target)["ModelId"]
    assert _names(tmp_path) == ["out.dng"]
    assert place.server_pid() is not None
    code, out, err = place.run("denoise", shoot / "a.dng", "-o", target)
    assert (code, out) == (0, f"{target}\n")
    assert "skipped" in err
    code, out, err = place.run("denoise", shoot / "a.dng", "-o", target, "--strength", "0.5")
    assert (code, out) == (2, "")
    assert "was made with strength 1, not 0.5" in err


def test_strength_after_the_fact_comes_from_the_cache(place: Place, shoot: Path, tmp_path: Path) -> None:
    place.run("denoise", shoot / "a.dng", "-o", tmp_path / "full.dng")
    half = ["--strength", "0.5", "--change-map", tmp_path / "map.png", "--progress", "json"]
    code, _, err = place.run("denoise", shoot / "a.dng", "-o", tmp_path / "half.dng", *half)
    done = next(event for event in map(json.loads, err.splitlines()) if event["event"] == "done")
    assert (code, done["from_cache"]) == (0, True)
    assert done["change_map"] == str(tmp_path / "map.png")
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")


def test_a_folder_with_a_bad_file(place: Place, shoot: Path, tmp_path: Path) -> None:
    code, out, err = place.run("denoise", shoot, "-r", "-o", tmp_path / "out", "--strength", "0")
    assert code == 3, err
    assert out.splitlines() == [f"{tmp_path}/out/a.dng", f"{tmp_path}/out/day2/c.dng"]
    assert "b.dng" in err
    assert err.splitlines()[-1] == "2 restored, 1 failed"
    assert _names(tmp_path / "out") == ["a.dng", "c.dng"]


def test_info_and_verify(place: Place, shoot: Path, tmp_path: Path) -> None:
    code, out, err = place.run("info", shoot / "a.dng", "--json")
    assert code == 0, err
    assert json.loads(out)["cfa"] == "RGGB"
    assert place.run("info", shoot / "b.dng")[0] == 3
    place.run("denoise", shoot / "a.dng", "-o", tmp_path / "a.dng")
    code, out, err = place.run("verify", shoot / "a.dng", tmp_path / "a.dng")
    assert code == 0, out + err
    assert place.run("verify", shoot / "a.dng", shoot / "day2" / "c.dng")[0] == 7


def test_models(place: Place) -> None:
    code, out, _ = place.run("models", "list")
    assert code == 0
    assert out.splitlines()[0].startswith("* ")
    code, out, err = place.run("models", "verify")
    assert code == 0, err
    assert "checksums match" in out


def test_unknown_model(place: Place, shoot: Path, tmp_path: Path) -> None:
    code, out, err = place.run("denoise", shoot / "a.dng", "-o", tmp_path / "a.dng", "--model", "magic")
    assert (code, out) == (4, "")
    assert "magic" in err
    assert _names(tmp_path) == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupt(place: Place, large: Path, tmp_path: Path, number: int, code: int) -> None:
    process, server = _start_restoring(place, large, tmp_path / "x.dng")
    process.send_signal(number)
    out, _ = process.communicate(timeout=30)
    assert (process.returncode, out) == (code, "")
    assert _names(tmp_path) == []
    os.kill(server, signal.SIGCONT)
    assert place.server_pid() == server  # it goes on serving
    assert _wait_for(lambda: _names(place.folder / "tmp") == []), _names(place.folder / "tmp")


def test_server_killed_in_the_middle(place: Place, large: Path, shoot: Path, tmp_path: Path) -> None:
    process, pid = _start_restoring(place, large, tmp_path / "x.dng")
    os.kill(pid, signal.SIGKILL)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (6, "")
    assert "went away" in json.loads(err.splitlines()[-1])["message"]
    assert _names(tmp_path) == []
    code, _, err = place.run("denoise", shoot / "a.dng", "-o", tmp_path / "a.dng")  # another one is started
    assert code == 0, err


def test_the_documented_script(place: Place, shoot: Path, tmp_path: Path) -> None:
    place.run("models", "list")  # a server is there
    script = ROOT / "examples" / "denoise_with_grpcio.py"
    command = [sys.executable, script, place.address, shoot / "a.dng", tmp_path / "a.dng"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S)
    assert ended.returncode == 0, ended.stderr
    assert provenance(tmp_path / "a.dng")["Strength"] == "0.8"
    command[3] = shoot / "b.dng"
    failed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S)
    assert failed.returncode == 1
    assert failed.stderr.splitlines()[-1].startswith("INVALID_ARGUMENT: b.dng")
    assert _names(tmp_path) == ["a.dng"]


def test_two_programs_at_once_and_the_idle_exit(another_place: Place, shoot: Path, tmp_path: Path) -> None:
    idle = {"NEURAL_ISP_IDLE_EXIT": "2"}
    both = [another_place.start("denoise", shoot / "a.dng", "-o", tmp_path / f"{i}.dng", **idle) for i in range(2)]
    for process in both:
        _, err = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, err
    assert _wait_for(lambda: not (another_place.folder / "neural-isp" / "server.sock").exists())
    assert another_place.server_pid() is None
    log = (another_place.folder / "neural-isp" / "server.log").read_text()
    assert log.count("ready on") == 1
    assert "leaving" in log


def test_a_server_that_can_t_start_says_why(another_place: Place, shoot: Path, tmp_path: Path) -> None:
    code, out, err = another_place.run("denoise", shoot / "a.dng", "-o", tmp_path / "a.dng", NEURAL_ISP_DEVICE="abacus")
    assert (code, out) == (6, "")
    assert 'device "abacus" is not available' in err


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl makes the certificate")
def test_tls_and_token(another_place: Place, shoot: Path, tmp_path: Path) -> None:
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
    made = ["-keyout", tmp_path / "key.pem", "-out", tmp_path / "cert.pem"]
    subprocess.run([*request, *made], check=True, capture_output=True)
    (tmp_path / "token").write_text("s3cret\n")
    (tmp_path / "wrong").write_text("guess\n")
    secure = ["--tls-cert", tmp_path / "cert.pem", "--tls-key", tmp_path / "key.pem"]
    server = another_place.start("serve", "--address", "0.0.0.0:0", "--token-file", tmp_path / "token", *secure)
    try:
        assert server.stderr is not None
        ready = next(line for line in server.stderr if "ready on" in line)
        address = ["--server", f"localhost:{ready.split('ready on ')[1].split()[0].rpartition(':')[2]}"]
        trust = [*address, "--tls-root", tmp_path / "cert.pem"]
        target = tmp_path / "a.dng"
        code, _, err = another_place.run(
            "denoise", shoot / "a.dng", "-o", target, *trust, "--token-file", tmp_path / "token"
        )
        assert code == 0, err
        assert target.exists()
        code, _, err = another_place.run("info", shoot / "a.dng", *trust, "--token-file", tmp_path / "wrong")
        assert (code, err) == (2, "neural-isp: wrong or missing token\n")
        code, _, err = another_place.run("info", shoot / "a.dng", *address)  # in the clear, to a TLS port
        assert code == 6
        assert err.count("\n") == 1
    finally:
        server.terminate()
        server.communicate(timeout=60)
    code, _, err = another_place.run("serve", "--address", "0.0.0.0:0")
    assert code == 2
    assert "needs TLS and a token" in err
