"""int8 for the deeper convolutions of an exported denoiser: QuantizeLinear and DequantizeLinear around them.

ONNX Runtime fuses those into integer kernels. Features, the first levels, the last convolution and the stabiliser stay
float32. Ranges come from pictures, or from a network that was trained with them (training/coding.py).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper, numpy_helper

__all__ = ["Feed", "Ranges", "quantised"]

Feed = dict[str, NDArray[np.float32]]  # the graph's inputs by name
Ranges = Mapping[str, Sequence[float]]  # a coded tensor's step, lowest and highest value, by its name in the network

# Processors without VNNI add two products of u8 and s8 in 16 bits, which saturates; with weights in -63..63 the sum
# stays below 2^15 (2 * 255 * 63), so every processor computes the same integers. Costs about .006 dB.
LARGEST_WEIGHT = 63
SLOPE = 0.1  # of the network's leaky ReLU
VALUES = 4000  # of each tensor that a sample adds to the search for its range
TAILS = (0.0, 1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3)  # shares of values that a range may leave out at one end
LOW_TAILS = (0.01, 0.03, 0.1, 0.3)  # before a leaky ReLU what is below zero counts a tenth


@dataclass(frozen=True)
class _Code:
    """value = scale * (code - zero), code 0..255."""

    scale: float
    zero: int


def _level_of(node: NodeProto) -> tuple[str, int]:
    """(part, level) that a convolution computes on, by its name; ("", -1) for the first and last ones."""
    found = re.search(r"(encoder|decoder|down|up)\.(\d+)", node.name)
    if node.op_type != "Conv" or not found:
        return "", -1
    return found[1], int(found[2]) + (found[1] in ("down", "up"))


def _is_inner(node: NodeProto, first_level: int, decoder_only: bool) -> bool:
    """True if the convolution neither comes from nor leads to a part above the first coded one."""
    part, level = _level_of(node)
    parts = ("decoder",) if decoder_only else ("encoder", "decoder")
    return level > first_level or (level == first_level and part in parts)


def best_code(values: NDArray[np.float32], before_leaky: bool) -> _Code:
    """The range of least squared error; of the leaky ReLU of the values if that is what comes next."""

    def seen(x: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.where(x > 0, x, SLOPE * x) if before_leaky else x

    wanted = seen(values)
    lows = {min(0.0, float(v)) for v in np.quantile(values, TAILS + (LOW_TAILS if before_leaky else ()))}
    highs = {max(0.0, float(v)) for v in np.quantile(values, [1 - tail for tail in TAILS])}
    best, least = _Code(1.0, 0), np.inf
    for low in lows:
        for high in highs:
            scale = max((high - low) / 255, 1e-9)
            zero = round(-low / scale)
            coded = (np.clip(np.rint(values / scale) + zero, 0, 255) - zero) * scale
            error = float(np.mean((seen(coded) - wanted) ** 2))
            if error < least:
                best, least = _Code(scale, int(zero)), error
    return best


def weight_codes(weights: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """(codes, scale per output channel), the scale of least squared error for each."""
    flat = weights.reshape(len(weights), -1)
    largest = np.abs(flat).max(axis=1) + 1e-12
    least = np.full(len(weights), np.inf)
    scales = np.ones(len(weights), dtype=np.float32)
    for share in (1.0, 0.95, 0.9, 0.85, 0.8, 0.7):
        tried = (largest * share / LARGEST_WEIGHT).astype(np.float32)
        error = ((_rounded(flat, tried) * tried[:, None] - flat) ** 2).sum(axis=1)
        better = error < least
        least[better], scales[better] = error[better], tried[better]
    return _rounded(flat, scales).astype(np.int8).reshape(weights.shape), scales


def _rounded(flat: NDArray[np.float32], scales: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.clip(np.rint(flat / scales[:, None]), -LARGEST_WEIGHT, LARGEST_WEIGHT)


def _seen(model: ModelProto, names: list[str], samples: Iterable[Feed]) -> dict[str, NDArray[np.float32]]:
    """Values of each tensor while the float graph runs over the samples, drawn at random."""
    watched = ModelProto()
    watched.CopyFrom(model)
    watched.graph.output.extend(helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, None) for n in names)
    session = onnxruntime.InferenceSession(watched.SerializeToString(), providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    drawn: dict[str, list[NDArray[np.float32]]] = {name: [] for name in names}
    for sample in samples:
        for name, values in zip(names, session.run(names, sample), strict=True):
            drawn[name].append(values.ravel()[rng.integers(0, values.size, VALUES)])
    return {name: np.concatenate(parts) for name, parts in drawn.items()}


def _coded_tensors(nodes: Collection[NodeProto], inner: list[NodeProto]) -> tuple[dict[str, bool], dict[str, str]]:
    """(tensor -> whether a leaky ReLU is next, enlarged tensor -> the tensor whose code it shares)."""
    readers: dict[str, list[NodeProto]] = {}
    for node in nodes:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    coded: dict[str, bool] = {}
    enlarged: dict[str, str] = {}
    for node in inner:
        made = node.output[0]
        coded.setdefault(node.input[0], False)
        leaky = [reader for reader in readers[made] if reader.op_type == "LeakyRelu"]
        coded[made] = bool(leaky)
        coded.update({reader.output[0]: False for reader in leaky})
        enlarged.update({reader.output[0]: made for reader in readers[made] if reader.op_type == "Resize"})
    for node in nodes:  # sums of coded tensors
        if node.op_type == "Add" and all(name in coded or name in enlarged for name in node.input):
            coded.setdefault(node.output[0], False)
    return coded, enlarged


PLACES = {("first", "input"): "given", ("first", "output"): "inside", ("second", "input"): "leaky",
          ("second", "output"): "change", ("Add", "output"): "sum"}  # fmt: skip


def _learnt_codes(nodes: Collection[NodeProto], ranges: Ranges) -> dict[str, _Code]:
    """The codes of the tensors whose ranges the network was trained with, see training.coding."""
    codes = {}
    for node in nodes:
        found = re.search(r"(decoder\.\d+\.\d+)/(?:(first|second)/Conv|(Add))$", node.name)
        if found is None:
            continue
        block, part = found[1], found[2] or found[3]
        for side, name in (("input", node.input[0]), ("output", node.output[0])):
            given = ranges.get(f"{block}.{PLACES.get((part, side))}.limits")
            if given is not None:
                step, low, _ = (float(value) for value in given)
                codes[name] = _Code(step, round(-low / step))
    return codes


class _Rewriter:
    """The graph with coded tensors in place of floats, built node by node."""

    def __init__(self, model: ModelProto, codes: dict[str, _Code]) -> None:
        self._codes = codes
        self.constants = {constant.name: numpy_helper.to_array(constant) for constant in model.graph.initializer}
        self.nodes: list[NodeProto] = []
        self._renamed: dict[str, str] = {}

    def _decode(self, name: str, scale: NDArray[np.float32], zero: NDArray[np.integer], axis: int | None) -> str:
        self.constants |= {f"{name}_scale": scale, f"{name}_zero": zero}
        given = [f"{name}_coded", f"{name}_scale", f"{name}_zero"]
        extra = {} if axis is None else {"axis": axis}
        self.nodes.append(helper.make_node("DequantizeLinear", given, [f"{name}_decoded"], f"{name}_decode", **extra))
        return f"{name}_decoded"

    def add(self, node: NodeProto, is_inner: bool) -> None:
        copy = NodeProto()
        copy.CopyFrom(node)
        inputs = [self._renamed.get(name, name) for name in node.input]
        if is_inner:
            inputs[1:] = self._weights(node)
        del copy.input[:]
        copy.input.extend(inputs)
        self.nodes.append(copy)
        for name in node.output:
            if name in self._codes:
                self._code(name)

    def _code(self, name: str) -> None:
        code = self._codes[name]
        given = [name, f"{name}_scale", f"{name}_zero"]
        self.nodes.append(helper.make_node("QuantizeLinear", given, [f"{name}_coded"], f"{name}_code"))
        self._renamed[name] = self._decode(name, np.float32(code.scale), np.uint8(code.zero), None)

    def _weights(self, node: NodeProto) -> list[str]:
        read, weight, bias = node.input
        codes, scales = weight_codes(self.constants[weight])
        self.constants[f"{weight}_coded"] = codes
        steps = (scales * np.float32(self._codes[read].scale)).astype(np.float32)
        self.constants[f"{bias}_coded"] = np.rint(self.constants[bias] / steps).astype(np.int32)
        zeros = np.zeros(len(scales))
        return [
            self._decode(weight, scales, zeros.astype(np.int8), 0),
            self._decode(bias, steps, zeros.astype(np.int32), 0),
        ]


def quantised(
    model: ModelProto,
    first_level: int,
    samples: Iterable[Feed],
    decoder_only: bool = False,
    ranges: Ranges = MappingProxyType({}),
) -> ModelProto:
    """A copy of the float graph whose convolutions at `first_level` and deeper compute in int8, sums included.

    model: as training.export writes RawUNet, with its names. samples: inputs over every noise level and CFA.
    decoder_only: at `first_level` itself the encoder stays float32. ranges: those of a network that was trained in
    8 bits (training.coding.ranges_of); the others are found on the samples.
    """
    nodes = list(model.graph.node)
    inner = [node for node in nodes if _is_inner(node, first_level, decoder_only)]
    coded, enlarged = _coded_tensors(nodes, inner)
    values = _seen(model, list(coded), samples)
    codes = {name: best_code(values[name], leaky) for name, leaky in coded.items()}
    codes |= {name: code for name, code in _learnt_codes(nodes, ranges).items() if name in coded}
    codes |= {name: codes[source] for name, source in enlarged.items()}
    rewriter = _Rewriter(model, codes)
    names = {node.name for node in inner}
    for node in nodes:
        rewriter.add(node, node.name in names)
    used = {name for node in rewriter.nodes for name in node.input}
    result = ModelProto()
    result.CopyFrom(model)
    del result.graph.node[:], result.graph.initializer[:]
    result.graph.node.extend(rewriter.nodes)
    result.graph.initializer.extend(
        numpy_helper.from_array(np.asarray(value), name) for name, value in rewriter.constants.items() if name in used
    )
    onnx.checker.check_model(result)
    return result
