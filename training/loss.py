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


def squared_error(restored: Tensor, wanted: Tensor, truth: Tensor, a: Tensor, b: Tensor, linear_share: float) -> Tensor:
    """The square of `restored` less `wanted` (N, 4, h, w) in units of the noise that `truth` has, capped."""
    c = b + 0.375 * a * a
    unit = torch.sqrt(a * truth.mean((1, 2, 3), keepdim=True) + b)
    sigma = torch.sqrt(a * truth + b)
    stabilised = capped(stabilise(restored, a, c) - stabilise(wanted, a, c))
    linear = capped((restored - wanted) / sigma) * (sigma / unit).clamp(max=4.0)
    return (1 - linear_share) * stabilised**2 + linear_share * linear**2


@torch.no_grad()
def taught_by(teacher: RawUNet, noisy: Tensor, colours: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """The teacher's result, float32."""
    return teacher(noisy, colours, a, b).float()


def loss_of(
    network: RawUNet,
    batch: tuple[Tensor, ...],
    balance: LevelBalance,
    squared: float,
    config: Config,
    device: torch.device,
    teacher: RawUNet | None = None,
) -> Tensor:
    """Error in units of the noise, partly in the stabilised domain and partly linear, balanced over noise levels.

    squared: 0 Charbonnier, 1 squared, between them a mix. config.linear_share: how much of the error is the linear one.
    config.evenness: between samples of a level, error^(1 - evenness) is what counts, so that smooth pictures, whose
    errors are small, weigh as they do in a mean of decibels.
    teacher: its result takes config.teacher_share of the target. Where several clean pictures fit the noisy one it
    gives their mean, which is what a squared error asks for; without what can't be known, gradients are quieter.
    """
    noisy, clean, colours, told = (part.to(device) for part in batch)
    a, b = told[:, 0].view(-1, 1, 1, 1), told[:, 1].view(-1, 1, 1, 1)
    with torch.autocast(device.type, torch.bfloat16):
        restored = network(noisy, colours, a, b)
        taught = taught_by(teacher, noisy, colours, a, b) if teacher else clean
    restored = restored.float()
    wanted = torch.lerp(clean, taught, config.teacher_share)
    square = squared_error(restored, wanted, clean, a, b, config.linear_share)
    per_square = square.mean((1, 2, 3))
    per_absolute = torch.sqrt(square + 0.01).mean((1, 2, 3)) - 0.1 + 1e-3
    with torch.no_grad():  # samples weigh by how far they are from the truth, whoever teaches
        off = per_square.detach()
        if teacher:
            off = squared_error(restored, clean, clean, a, b, config.linear_share).mean((1, 2, 3))
    weight = balance.weights(off.cpu(), balance.bins(told[:, 0], told[:, 1]).cpu()).to(device)
    if config.evenness:
        weight = weight * (off * weight + 0.03) ** -config.evenness
    absolute = (per_absolute * torch.sqrt(weight)).mean()
    return (1 - squared) * absolute + squared * 0.5 * (per_square * weight).clamp(max=50.0).mean()
