"""Evens the ranges of a network's channels, so that eight bits shared by all of them lose little; changes no result."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from training.network import RawUNet, Residual

__all__ = ["equalise"]

QUANTILE = 0.999  # of |activation|: a channel's range
SHARE = 0.75  # exponent: 1 gives every channel the same range, at the cost of the weights' ranges; .75 measured best
BOUND = 20.0  # a channel is scaled by no more than this


class _Ranges:
    """The largest range seen of each channel of some tensors, by name."""

    def __init__(self) -> None:
        self.of: dict[str, Tensor] = {}

    def see(self, name: str, values: Tensor) -> None:
        channels = values.abs().transpose(0, 1).flatten(1)[:, ::7]
        found = torch.quantile(channels, QUANTILE, dim=1)
        self.of[name] = torch.maximum(self.of.get(name, found), found)

    def factors(self, name: str) -> Tensor:
        """What each channel is divided by; their geometric mean is 1."""
        wanted = self.of[name].clamp(min=1e-6) ** SHARE
        return (wanted / wanted.log().mean().exp()).clamp(1 / BOUND, BOUND)


def _divide_outputs(convolution: nn.Module, by: Tensor) -> None:
    convolution.weight /= by.view(-1, 1, 1, 1)
    convolution.bias /= by


def _multiply_inputs(convolution: nn.Module, by: Tensor) -> None:
    convolution.weight *= by.view(1, -1, 1, 1)


def _blocks(network: RawUNet, level: int) -> dict[str, Residual]:
    """The residual blocks of one level, by path."""
    parts = {"encoder": network.encoder, "decoder": network.decoder}
    return {
        f"{part}.{level}.{place}": block
        for part, levels in parts.items()
        if level < len(levels)
        for place, block in enumerate(levels[level])
    }


def _watch(network: RawUNet, levels: Iterable[int], samples: Iterable[tuple[Tensor, ...]]) -> _Ranges:
    """Ranges inside each block, by its path, and of the sum that runs through a level, by its number."""
    ranges = _Ranges()
    hooks = []
    for level in levels:
        for path, block in _blocks(network, level).items():

            def see(_module: object, given: tuple[Tensor, ...], made: Tensor, stream: str = str(level)) -> None:
                ranges.see(stream, given[0])
                ranges.see(stream, made)

            def see_inside(_module: object, _given: object, made: Tensor, path: str = path) -> None:
                ranges.see(path, made)

            hooks += [block.register_forward_hook(see), block.first.register_forward_hook(see_inside)]
    for sample in samples:
        network(*sample)
    for hook in hooks:
        hook.remove()
    return ranges


@torch.no_grad()
def equalise(network: RawUNet, levels: Iterable[int], samples: Iterable[tuple[Tensor, ...]]) -> None:
    """Rescales channels inside `levels` (1 and deeper) in place: each by its range over the samples.

    Leaky ReLU commutes with positive factors, so what one convolution's outputs are divided by, the next one's inputs
    are multiplied with. A level's residual sum has one factor per channel for all that add to it or read it.
    Source: Nagel et al. 2019, "Data-free quantization through weight equalization and bias correction", section 4.1.
    """
    chosen = [level for level in levels if _blocks(network, level)]
    ranges = _watch(network, chosen, samples)
    for level in chosen:
        stream = ranges.factors(str(level))
        for path, block in _blocks(network, level).items():
            inside = ranges.factors(path)
            _multiply_inputs(block.first, stream)
            _divide_outputs(block.first, inside)
            _multiply_inputs(block.second, inside)
            _divide_outputs(block.second, stream)
        _divide_outputs(network.down[level - 1], stream)
        _multiply_inputs(network.up[level - 1], stream)
        if level < len(network.down):
            _multiply_inputs(network.down[level], stream)
            _divide_outputs(network.up[level], stream)
