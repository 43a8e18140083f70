"""Training with the roundings of eight bits in place, so that the weights settle where these cost little.

What training.quantise does to a graph is done to one level of the decoder: weights and tensors are rounded to the same
codes, gradients pass through as if they were not (Bengio et al. 2013; Jacob et al. 2018).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from training.equalise import equalise
from training.network import RawUNet, Residual
from training.quantise import VALUES, Ranges, best_code, weight_codes

__all__ = ["coded", "ranges_of", "read_ranges", "settle", "weights_of", "write_weights"]

RANGES = "ranges"  # key in the metadata of a file of weights, JSON: learnt ranges by the tensor's name


class Code(nn.Module):
    """Rounds a tensor to 256 steps. Until `settle` it only collects what it sees."""

    def __init__(self, before_leaky: bool = False) -> None:
        super().__init__()
        self.before_leaky = before_leaky
        self.seen: list[np.ndarray] = []
        self.limits: Tensor
        self.register_buffer("limits", torch.zeros(3))  # step, lowest and highest value

    def settle(self) -> None:
        """Takes the range of least squared error over what was seen."""
        code = best_code(np.concatenate(self.seen), self.before_leaky)
        self.limits = torch.tensor([1.0, -code.zero, 255 - code.zero], device=self.limits.device) * code.scale
        self.seen = []

    def forward(self, x: Tensor) -> Tensor:
        step, low, high = self.limits
        if not step:
            values = x.detach().float().flatten()
            self.seen.append(values[torch.randint(len(values), (VALUES,))].cpu().numpy())
            return x
        x = x.clamp(low, high)
        return x + (torch.round(x.detach() / step) * step - x.detach())


@torch.no_grad()
def rounded(weight: Tensor) -> Tensor:
    """The nearest weights that have codes."""
    codes, scales = weight_codes(weight.float().cpu().numpy())
    return torch.from_numpy(codes * scales.reshape(-1, 1, 1, 1)).to(weight.device)


def convolved(convolution: nn.Conv2d, x: Tensor) -> Tensor:
    """A 3 x 3 convolution with rounded weights."""
    weight = convolution.weight + (rounded(convolution.weight) - convolution.weight).detach()
    return F.conv2d(x, weight, convolution.bias, padding=1)


class CodedResidual(Residual):
    """A residual block in eight bits. It takes over a block's own convolutions."""

    def __init__(self, block: Residual, starts: bool) -> None:
        nn.Module.__init__(self)
        self.first, self.second = block.first, block.second
        self.given = Code() if starts else nn.Identity()
        self.inside, self.leaky, self.change, self.sum = Code(before_leaky=True), Code(), Code(), Code()

    def forward(self, x: Tensor) -> Tensor:
        x = self.given(x)
        inside = self.leaky(F.leaky_relu(self.inside(convolved(self.first, x)), 0.1))
        return self.sum(x + self.change(convolved(self.second, inside)))


def coded(network: RawUNet, level: int) -> None:
    """Lets the decoder's residual blocks of `level` compute in eight bits, in place; the names of their weights stay.

    Their ranges are to be loaded, or found by `settle`.
    """
    blocks = network.decoder[level]
    for place, block in enumerate(blocks):
        blocks[place] = CodedResidual(block, starts=place == 0)


def settle(network: RawUNet, level: int, samples: Iterable[tuple[Tensor, ...]]) -> None:
    """Evens the channels of a network that is not `coded` yet, codes it and finds the ranges of its tensors.

    samples: (planes, colours, a, b) over every noise level and CFA.
    """
    samples = list(samples)
    equalise(network, [level], samples)
    coded(network, level)
    with torch.no_grad():
        for sample in samples:
            network(*sample)
    for module in network.modules():
        if isinstance(module, Code):
            module.settle()


def ranges_of(network: RawUNet) -> dict[str, list[float]]:
    """What coding added to the state: of each coded tensor its step, lowest and highest value; empty if nothing did."""
    return {name: found.tolist() for name, found in network.state_dict().items() if name.endswith(".limits")}


def write_weights(weights: Mapping[str, Tensor], ranges: Ranges, path: Path) -> None:
    """A file of weights, with the ranges beside them."""
    save_file(dict(weights), path, metadata={RANGES: json.dumps(dict(ranges))} if ranges else None)


def read_ranges(path: Path) -> Ranges:
    """The ranges in a file of weights; empty if it has none."""
    with safe_open(path, "pt") as stream:
        found: Ranges = json.loads((stream.metadata() or {}).get(RANGES, "{}"))
    return found


def weights_of(network: RawUNet) -> dict[str, Tensor]:
    """The state without what coding added: what a plain network loads."""
    return {name: tensor for name, tensor in network.state_dict().items() if not name.endswith(".limits")}
