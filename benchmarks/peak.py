"""The machine's matrix-product rate in the runtime that serves: large products in float32 and in int8."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

__all__ = ["SIDE", "product"]

SIDE = 2048  # of the square matrices


def product(kind: str, threads: int) -> Callable[[], NDArray[np.float32] | NDArray[np.int32]]:
    """A product of SIDE x SIDE matrices, 2 SIDE^3 operations. kind: "float32", or "int8" (u8 times s8, into int32)."""
    rng = np.random.default_rng(1)
    if kind == "float32":
        op, given, made = "MatMul", TensorProto.FLOAT, TensorProto.FLOAT
        left, right = (rng.standard_normal((SIDE, SIDE), dtype=np.float32) for _ in range(2))
    elif kind == "int8":
        op, given, made = "MatMulInteger", TensorProto.UINT8, TensorProto.INT32
        left = rng.integers(0, 256, (SIDE, SIDE), dtype=np.uint8)
        right = rng.integers(-63, 64, (SIDE, SIDE), dtype=np.int8)
    else:
        raise ValueError(f"{kind}: float32 or int8")
    graph = helper.make_graph(
        [helper.make_node(op, ["left", "right"], ["made"])],
        "product",
        [helper.make_tensor_value_info("left", given, [SIDE, SIDE])],
        [helper.make_tensor_value_info("made", made, [SIDE, SIDE])],
        [numpy_helper.from_array(right, "right")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"left": left})[0]
