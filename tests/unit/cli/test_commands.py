"""The small commands: models, cache, serve and verify."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from plugin_core.cache import ResultCache
from plugin_core.cli.verify import report_text
from plugin_core.config import CacheConfig, ServerConfig
from plugin_core.io.source_file import Check, CheckGroup, VerifyReport
from tests.unit.cli.running import Run


@pytest.mark.usefixtures("server")
def test_models_list_and_show(run: Run) -> None:
    listed = run("models", "list")
    assert [line.split()[:2] for line in listed.paths] == [["*", "standard"], ["fast", "1.0.0"]]
    assert json.loads(run("models", "list", "--json").paths[1])["cfa_kinds"] == ["bayer", "xtrans"]
    assert "For every day." in run("models", "show").out
    assert run("models", "show", "fast").out.startswith("fast 1.0.0")
    missing = run("models", "show", "magic")
    assert missing.code == 4
    assert "standard, fast" in missing.err


def test_models_verify_names_what_is_broken(run: Run, tmp_path: Path) -> None:
    assert run("models", "verify", "no-such-model").code == 4
    broken = tmp_path / "mine"
    broken.mkdir()
    (broken / "manifest.json").write_text("{")
    ran = run("models", "verify", "--model-dir", tmp_path)
    assert ran.code == 4
    assert "manifest.json" in ran.err


def test_cache(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEURAL_ISP_CACHE", str(tmp_path / "kept"))
    assert f"{tmp_path}/kept: 0 results" in run("cache", "show").out
    ResultCache(CacheConfig()).put("0" * 64, np.zeros(4096, np.uint8))
    assert "1 results, 4.13 KiB of at most 8 GiB" in run("cache", "show").out
    assert "1 results removed" in run("cache", "clear").out
    assert ResultCache(CacheConfig()).entries() == []


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[ServerConfig]:
    """The configurations that would have been served."""
    configs: list[ServerConfig] = []
    monkeypatch.setattr("plugin_core.rpc.server.serve", lambda config: configs.append(config) or 0)
    return configs


def test_serve_hands_on_its_options(run: Run, served: list[ServerConfig], tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret\n")
    options = "--address localhost:50051 --idle-exit 7 --threads 2 --device cpu --queue 3 --tile 512 --cache-size 0.5"
    more = ["--model-dir", tmp_path, "--token-file", tmp_path / "token", "--tls-cert", "c.pem", "--tls-key", "k.pem"]
    assert run("serve", *options.split(), *more).code == 0
    (config,) = served
    assert (config.address, config.idle_exit_s, config.threads, config.device) == ("localhost:50051", 7, 2, "cpu")
    assert (config.limits.queue, config.tiling.inner, config.cache.size_bytes) == (3, 512, 1 << 29)
    assert (config.model_directories, config.token) == ((tmp_path,), "s3cret")
    assert (config.tls_certificate, config.tls_key) == (Path("c.pem"), Path("k.pem"))


def test_serve_by_default_is_private(run: Run, served: list[ServerConfig], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1000")
    assert run("serve").code == 0
    assert served == [ServerConfig()]
    assert served[0].address == "unix:///run/user/1000/neural-isp/server.sock"


@pytest.mark.parametrize("content", ["", " \n", "gr\u00fcn"])
def test_serve_refuses_a_useless_token(run: Run, served: list[ServerConfig], tmp_path: Path, content: str) -> None:
    (tmp_path / "token").write_text(content, encoding="utf-8")
    assert run("serve", "--token-file", tmp_path / "token").code == 2
    assert served == []


def test_without_the_server_s_part(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "plugin_core.rpc.server", None)
    ran = run("serve")
    assert ran.code == 2
    assert "pip install 'neural-isp[server]'" in ran.err


REPORT = VerifyReport(
    "a.nef",
    "a.dng",
    (
        CheckGroup("geometry", Check.KEPT, "6000 x 4000"),
        CheckGroup("GPS", Check.LOST, "", ("GPSLatitude is missing",)),
        CheckGroup("IPTC", Check.ABSENT),
    ),
)


def test_verify_text() -> None:
    assert report_text(REPORT).splitlines() == [
        "a.nef -> a.dng",
        "  geometry  kept     6000 x 4000",
        "  GPS       LOST",
        "              GPSLatitude is missing",
        "  IPTC      absent",
    ]


def test_verify_exit_codes(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plugin_core.cli.local_checks.verify_files", lambda source, result: REPORT)
    ran = run("verify", "a.nef", "a.dng", "--json")
    assert ran.code == 7
    assert json.loads(ran.out)["passed"] is False
    assert "lost of a.nef: GPS" in ran.err
    monkeypatch.undo()
    assert run("verify", tmp_path / "none.nef", "a.dng").code == 2
