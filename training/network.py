"""The mosaic denoiser: a plain convolutional U-Net at half resolution in a variance-stabilised domain."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class NetworkShape:
    """Widths and residual blocks per level; level 0 is half the mosaic's resolution, each next one half of that."""

    widths: tuple[int, ...] = (32, 64, 128, 192)
    encoder_blocks: tuple[int, ...] = (1, 1, 1, 2)
    decoder_blocks: tuple[int, ...] = (1, 1, 1)

    @property
    def alignment(self) -> int:
        """Mosaic sides must be multiples of this."""
        return int(2 ** len(self.widths))


def shape_of(weights: Mapping[str, Tensor]) -> NetworkShape:
    """The shape of the network that a state belongs to."""
    down = sorted(name for name in weights if re.fullmatch(r"down\.\d+\.weight", name))
    widths = [weights["enter.weight"].shape[0], *(weights[name].shape[0] for name in down)]

    def blocks(part: str, levels: int) -> tuple[int, ...]:
        return tuple(sum(name.startswith(f"{part}.{i}.") and name.endswith("second.bias") for name in weights)
                     for i in range(levels))  # fmt: skip

    return NetworkShape(tuple(widths), blocks("encoder", len(widths)), blocks("decoder", len(widths) - 1))


class Residual(nn.Module):
    """x + conv(leaky(conv(x))), 3x3, no normalisation: nothing depends on the tile."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        nn.init.kaiming_normal_(self.first.weight, a=0.1)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.leaky_relu(self.first(x), 0.1))


def stabilise(signal: Tensor, a: Tensor, c: Tensor) -> Tensor:
    """Generalised Anscombe transform with value 0 at black, noise sigma 1; linear below black, so nothing is clipped.

    c = b + 3/8 a^2. Above black 2/a (sqrt(a x + c) - sqrt c), written so that a = 0 works; below black x / sqrt c,
    where the variance really is b. Source: Starck, Murtagh & Bijaoui 1998; Makitalo & Foi 2013.
    """
    positive = torch.clamp(signal, min=0.0)
    root = torch.sqrt(c)
    return 2.0 * positive / (torch.sqrt(a * positive + c) + root) + (signal - positive) / root


def unstabilise(z: Tensor, a: Tensor, c: Tensor) -> Tensor:
    """The algebraic inverse of `stabilise`; unbiased because targets are stabilised without noise."""
    positive = torch.clamp(z, min=0.0)
    return z * torch.sqrt(c) + a * positive * positive * 0.25


def compressed(z: Tensor) -> Tensor:
    """sign(z) log(1 + |z|): resolves one sigma in the shadows without growing large in the highlights."""
    return torch.sign(z) * torch.log(1.0 + torch.abs(z))


class RawUNet(nn.Module):
    """Noisy planes, CFA planes and noise parameters in; restored planes out, all in signal units.

    The body sees the signal in units of its noise, never in units of white, but for a feature that marks what is above
    80 % of white. So a frame exposed r times darker, (x / r, a / r, b / r^2), gives exactly 1 / r of the result.

    forward(planes, colours, a, b), N frames of H x W photosites, h = H / 2, w = W / 2:
        planes (N, 4, h, w) float32: the mosaic pixel-unshuffled by 2, channel 2 * row + column of the 2x2 cell.
            0 black, 1 white, negatives and overshoot kept; h and w multiples of `NetworkShape.alignment` / 2.
        colours (N, 8, h, w) float32: 1 where the photosite is red (channels 0..3), blue (4..7), else 0; monochrome 1/3.
        a, b (N, 4, h, w) or (N, 4, 1, 1) float32: variance = a * signal + b at each photosite; b > 0.
    Returns (N, 4, h, w) float32.
    """

    features = 36

    def __init__(self, shape: NetworkShape, block: Callable[[int], nn.Module] = Residual) -> None:
        super().__init__()
        self.shape = shape
        widths = shape.widths
        levels = range(len(widths))
        self.enter = nn.Conv2d(self.features, widths[0], 3, padding=1)
        self.encoder = nn.ModuleList(
            nn.Sequential(*[block(widths[i]) for _ in range(shape.encoder_blocks[i])]) for i in levels
        )
        self.decoder = nn.ModuleList(
            nn.Sequential(*[block(widths[i]) for _ in range(shape.decoder_blocks[i])]) for i in levels[:-1]
        )
        self.down = nn.ModuleList(nn.Conv2d(widths[i], widths[i + 1], 2, stride=2) for i in levels[:-1])
        self.up = nn.ModuleList(nn.Conv2d(widths[i + 1], widths[i], 1) for i in levels[:-1])
        self.leave = nn.Conv2d(widths[0], 4, 3, padding=1)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)
        kernel = torch.tensor([[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]) / 16.0
        self.register_buffer("blur", torch.einsum("oi,hw->oihw", torch.eye(4), kernel), persistent=False)
        self.register_buffer("window", kernel.expand(6, 1, 3, 3).clone(), persistent=False)

    def body(self, features: Tensor) -> Tensor:
        """(N, 36, h, w) to the noise estimate (N, 4, h, w) in units of sigma."""
        x = self.enter(features)
        skips = []
        for level, blocks in enumerate(self.encoder):
            x = blocks(x)
            if level < len(self.down):
                skips.append(x)
                x = F.leaky_relu(self.down[level](x), 0.1)
        for level in reversed(range(len(self.up))):
            x = skips[level] + F.interpolate(self.up[level](x), scale_factor=2.0, mode="nearest")
            x = self.decoder[level](x)
        estimate: Tensor = self.leave(F.leaky_relu(x, 0.1))
        return estimate

    def guides(self, z: Tensor, colours: Tensor) -> tuple[Tensor, Tensor]:
        """The local mean of each colour (N, 3, h, w), and of each photosite's own colour (N, 4, h, w).

        Means over the 6 x 6 photosites around a cell, binomially weighted: one period of X-Trans, so every CFA has each
        colour there and the body sees the same three planes whatever the mosaic.
        """
        red, blue = colours[:, :4], colours[:, 4:]
        masks = (red, 1.0 - red - blue, blue)
        sums = [(z * mask).sum(1, keepdim=True) for mask in masks] + [mask.sum(1, keepdim=True) for mask in masks]
        blurred = F.conv2d(torch.cat(sums, 1), self.window, padding=1, groups=6)
        means = blurred[:, :3] / (blurred[:, 3:] + 1e-6)
        own = sum(mask * means[:, k : k + 1] for k, mask in enumerate(masks))
        assert isinstance(own, Tensor)
        return means, own

    def features_of(self, planes: Tensor, z: Tensor, colours: Tensor, a: Tensor, c: Tensor) -> Tensor:
        """What the body sees, (N, 36, h, w), float32."""
        shot_share = (a / (a + torch.sqrt(c))).mean((1, 2, 3), keepdim=True)
        near_white = torch.clamp(5.0 * planes - 4.0, 0.0, 2.0)
        means, own = self.guides(z, colours)
        detail = compressed(z - own)
        return torch.cat(
            [
                0.3 * compressed(z),
                compressed(z - F.conv2d(z, self.blur, padding=1)),
                colours,
                near_white,
                shot_share.expand_as(z[:, :1]),
                0.3 * compressed(means),
                detail,
                colours[:, :4] * detail,  # red and blue apart: a convolution can weigh colours wherever they lie
                colours[:, 4:] * detail,
            ],
            1,
        )

    def forward(self, planes: Tensor, colours: Tensor, a: Tensor, b: Tensor) -> Tensor:
        c = b + 0.375 * a * a
        with torch.autocast(planes.device.type, enabled=False):  # z reaches hundreds of sigma: too much for 8 bits
            z = stabilise(planes, a, c)
            features = self.features_of(planes, z, colours, a, c)
        return unstabilise(z - self.body(features), a, c)


def network_of(weights: Mapping[str, Tensor]) -> RawUNet:
    """The network that a state belongs to, to compute with."""
    network = RawUNet(shape_of(weights)).eval()
    network.load_state_dict(weights)
    return network
