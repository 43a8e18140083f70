"""The network as an ONNX graph, shaped so that ONNX Runtime's blocked convolutions take all of it."""

from __future__ import annotations

import copy
import io

import onnx
import torch
from torch import Tensor, nn

from training.network import RawUNet

__all__ = ["float_graph"]

STEP = 4  # ONNX Runtime leaves convolutions of other channel counts out of its blocked layout (NCHWc)


class _Padded(nn.Module):
    """The first convolution with its inputs filled up to a multiple of STEP; the filling has weight 0."""

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.missing = -convolution.in_channels % STEP
        self.convolution = convolution
        nothing = convolution.weight.new_zeros(convolution.out_channels, self.missing, 3, 3)
        convolution.weight = nn.Parameter(torch.cat([convolution.weight.detach(), nothing], 1))

    def forward(self, x: Tensor) -> Tensor:
        filled: Tensor = self.convolution(torch.cat([x, x[:, : self.missing]], 1) if self.missing else x)
        return filled


def float_graph(network: RawUNet) -> onnx.ModelProto:
    """The float32 graph with free tile sizes; inputs planes, colors, a, b, output restored."""
    network = copy.deepcopy(network).eval()
    network.enter = _Padded(network.enter)  # type: ignore[assignment]
    side = network.shape.alignment
    given = torch.zeros(1, 4, side, side), torch.zeros(1, 8, side, side), *[torch.ones(1, 4, 1, 1)] * 2
    free = {2: "height", 3: "width"}
    written = io.BytesIO()
    torch.onnx.export(
        network,
        given,
        written,
        input_names=["planes", "colors", "a", "b"],
        output_names=["restored"],
        dynamic_axes={"planes": free, "colors": free, "restored": free},
        opset_version=17,
        dynamo=False,
    )
    return onnx.load_from_string(written.getvalue())
