"""What is minimised: the error in units of the noise, every noise level weighing the same."""

from __future__ import annotations

import torch
from torch import Tensor

from training.config import Config
from training.network import RawUNet, stabilise

__all__ = ["LevelBalance", "capped", "loss_of"]

LEVEL_BINS = 24


class LevelBalance:
    """Running mean error per noise level, so that every level weighs the same in dB."""

    def __init__(self) -> None:
        self.mean = torch.full((LEVEL_BINS,), 0.1)  # what a half-trained network leaves, in sigma squared

    def bins(self, a: Tensor, b: Tensor) -> Tensor:
        """The level of each sample by its sigma at 5 % of white, (N,) long."""
        sigma = torch.sqrt(a * 0.05 + b)
        place = (torch.log10(sigma) + 3.5) / 3.0 * LEVEL_BINS
        return place.long().clamp(0, LEVEL_BINS - 1)

    def weights(self, error: Tensor, bins: Tensor) -> Tensor:
        """1 / running mean of `error` (N,) in each sample's bin; updates the means."""
        for e, k in zip(error.tolist(), bins.tolist(), strict=True):
            old = float(self.mean[k])
            self.mean[k] = 0.98 * old + 0.02 * min(max(e, 0.3 * old), 3 * old)
        return 1.0 / self.mean[bins].clamp(min=0.005)


def capped(error: Tensor, limit: float = 8.0) -> Tensor:
    """`error` up to the limit, then its logarithm: a lamp in a dark patch is felt, but can't steer a whole step."""
    size = error.abs()
    return torch.sign(error) * torch.where(size < limit, size, limit + torch.log1p((size - limit).clamp(min=0.0)))


def loss_of(
    network: RawUNet,
    batch: tuple[Tensor, ...],
    balance: LevelBalance,
    squared: float,
    config: Config,
    device: torch.device,
) -> Tensor:
    """Error in units of the noise, partly in the stabilised domain and partly linear, balanced over noise levels.

    squared: 0 Charbonnier, 1 squared, between them a mix. config.linear_share: how much of the error is the linear one.
    config.evenness: between samples of a level, error^(1 - evenness) is what counts, so that smooth pictures, whose
    errors are small, weigh as they do in a mean of decibels.
    """
    noisy, clean, colours, told = (part.to(device) for part in batch)
    a, b = told[:, 0].view(-1, 1, 1, 1), told[:, 1].view(-1, 1, 1, 1)
    c = b + 0.375 * a * a
    with torch.autocast(device.type, torch.bfloat16):
        restored = network(noisy, colours, a, b)
    restored = restored.float()
    target = stabilise(clean, a, c)
    mean_level = clean.mean((1, 2, 3), keepdim=True)
    unit = torch.sqrt(a * mean_level + b)
    stabilised_error = capped(stabilise(restored, a, c) - target)
    brightness = (torch.sqrt(a * clean + b) / unit).clamp(max=4.0)
    linear_error = capped((restored - clean) / torch.sqrt(a * clean + b)) * brightness
    share = config.linear_share
    square = (1 - share) * stabilised_error**2 + share * linear_error**2
    per_square = square.mean((1, 2, 3))
    per_absolute = torch.sqrt(square + 0.01).mean((1, 2, 3)) - 0.1 + 1e-3
    bins = balance.bins(told[:, 0], told[:, 1]).cpu()
    weight = balance.weights(per_square.detach().cpu(), bins).to(device)
    if config.evenness:
        weight = weight * (per_square.detach() * weight + 0.03) ** -config.evenness
    absolute = (per_absolute * torch.sqrt(weight)).mean()
    return (1 - squared) * absolute + squared * 0.5 * (per_square * weight).clamp(max=50.0).mean()
