"""The matrix products that speed is measured against are products."""

import numpy as np
import pytest

pytest.importorskip("onnx", reason="onnx is in the train extra")

from benchmarks import peak


@pytest.mark.parametrize("kind", ["float32", "int8"])
def test_products_are_what_they_say(kind, monkeypatch):
    monkeypatch.setattr(peak, "SIDE", 64)
    made = peak.product(kind, 1)()
    rng = np.random.default_rng(1)
    if kind == "float32":
        left, right = (rng.standard_normal((64, 64), dtype=np.float32) for _ in range(2))
        np.testing.assert_allclose(made, left @ right, atol=1e-3)
    else:
        left, right = rng.integers(0, 256, (64, 64), dtype=np.uint8), rng.integers(-63, 64, (64, 64), dtype=np.int8)
        np.testing.assert_array_equal(made, left.astype(np.int32) @ right.astype(np.int32))


def test_other_kinds_are_refused():
    with pytest.raises(ValueError, match="bfloat16"):
        peak.product("bfloat16", 1)
