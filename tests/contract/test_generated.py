"""The generated code is what the proto gives, and nobody edited it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROTO = "protos/neural_isp/v1/restoration.proto"


@pytest.fixture(scope="module")
def regenerated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("protos")
    targets = [f"--{kind}_out={out}" for kind in ("python", "pyi", "grpc_python")]
    command = [sys.executable, "-m", "grpc_tools.protoc", "-Iplugin_core/rpc/v1=protos/neural_isp/v1", *targets, PROTO]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return out / "plugin_core" / "rpc" / "v1"


@pytest.mark.parametrize("name", ["restoration_pb2.py", "restoration_pb2.pyi", "restoration_pb2_grpc.py"])
def test_regenerating_changes_nothing(regenerated: Path, name: str) -> None:
    assert (ROOT / "plugin_core/rpc/v1" / name).read_text() == (regenerated / name).read_text(), "run `make protos`"
