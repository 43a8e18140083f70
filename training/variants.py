"""Networks to compare with: other domains, other blocks, fewer features. None of them ships."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.network import NetworkShape, RawUNet, Residual

__all__ = ["BLOCKS", "DOMAINS", "build_variant"]


class SigmaLinear(RawUNet):
    """Linear domain conditioned on sigma: the signal in units of its local noise, whose level comes from a blur."""

    def forward(self, planes: Tensor, colours: Tensor, a: Tensor, b: Tensor) -> Tensor:
        with torch.autocast(planes.device.type, enabled=False):
            level = F.conv2d(planes, self.blur, padding=1).clamp(min=0.0)
            sigma = torch.sqrt(a * level + b)
            features = self.features_of(planes, planes / sigma, colours, a, b + 0.375 * a * a)
        return planes - self.body(features) * sigma


class KSigma(RawUNet):
    """The k-sigma transform (Wang et al. 2020, PMRID): y = x / a + b / a^2, whose variance is y itself."""

    anchor = 16.0  # brings y near the size of the other domains' features

    def forward(self, planes: Tensor, colours: Tensor, a: Tensor, b: Tensor) -> Tensor:
        with torch.autocast(planes.device.type, enabled=False):
            y = (planes / a + b / (a * a)) / self.anchor
            features = self.features_of(planes, y, colours, a, b + 0.375 * a * a)
        restored = y - self.body(features)
        return (restored * self.anchor - b / (a * a)) * a


class Unguided(RawUNet):
    """Without the local means of each colour."""

    def features_of(self, planes: Tensor, z: Tensor, colours: Tensor, a: Tensor, c: Tensor) -> Tensor:
        features = super().features_of(planes, z, colours, a, c)
        return torch.cat([features[:, :21], torch.zeros_like(features[:, 21:])], 1)


class Undivided(RawUNet):
    """Without red and blue details apart."""

    def features_of(self, planes: Tensor, z: Tensor, colours: Tensor, a: Tensor, c: Tensor) -> Tensor:
        features = super().features_of(planes, z, colours, a, c)
        return torch.cat([features[:, :28], torch.zeros_like(features[:, 28:])], 1)


class Repacked(RawUNet):
    """Bayer only, packed to RGGB: the colours are known by the channel, so the planes that tell them stay empty."""

    def features_of(self, planes: Tensor, z: Tensor, colours: Tensor, a: Tensor, c: Tensor) -> Tensor:
        features = super().features_of(planes, z, colours, a, c)
        return torch.cat([features[:, :8], torch.zeros_like(features[:, 8:16]), features[:, 16:]], 1)


class Depthwise(nn.Module):
    """7x7 depthwise, then two 1x1 with a wider middle (after ConvNeXt, not normalised)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.spread = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.first = nn.Conv2d(width, 2 * width, 1)
        self.second = nn.Conv2d(2 * width, width, 1)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.leaky_relu(self.first(self.spread(x)), 0.1))


class Gated(nn.Module):
    """1x1 to twice the width, 3x3 depthwise, halves multiplied, 1x1 (after NAFNet, not normalised)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, 2 * width, 1)
        self.spread = nn.Conv2d(2 * width, 2 * width, 3, padding=1, groups=2 * width)
        self.second = nn.Conv2d(width, width, 1)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)

    def forward(self, x: Tensor) -> Tensor:
        left, right = self.spread(self.first(x)).chunk(2, 1)
        return x + self.second(left * torch.tanh(right))


class LargeKernel(Residual):
    """A plain block with a 7x7 depthwise convolution before it."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.spread = nn.Conv2d(width, width, 7, padding=3, groups=width)
        nn.init.dirac_(self.spread.weight, groups=width)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.leaky_relu(self.first(self.spread(x)), 0.1))


class Dilated(Residual):
    """A plain block whose first convolution takes every second place: twice the reach for the same price."""

    def forward(self, x: Tensor) -> Tensor:
        reached = F.conv2d(x, self.first.weight, self.first.bias, padding=2, dilation=2)
        return x + self.second(F.leaky_relu(reached, 0.1))


DOMAINS: dict[str, type[RawUNet]] = {
    "anscombe": RawUNet,
    "sigma-linear": SigmaLinear,
    "k-sigma": KSigma,
    "unguided": Unguided,
    "undivided": Undivided,
    "repacked": Repacked,
}
BLOCKS: dict[str, type[nn.Module]] = {
    "plain": Residual,
    "depthwise": Depthwise,
    "gated": Gated,
    "large-kernel": LargeKernel,
    "dilated": Dilated,
}


def build_variant(shape: NetworkShape, domain: str = "anscombe", block: str = "plain") -> RawUNet:
    """A network by the names of its parts. Raises KeyError for an unknown one."""
    return DOMAINS[domain](shape, BLOCKS[block])
