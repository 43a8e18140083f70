"""How weights move: AdamW, Muon for the inner convolutions, and the learning rate over a run."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from training.config import Config
from training.network import RawUNet

__all__ = ["OrthogonalMomentum", "build_optimisers", "orthogonalised", "schedule"]


def orthogonalised(x: Tensor) -> Tensor:
    """`x` (rows, columns) with its singular values brought near 1, by five steps of Newton-Schulz.

    Every step multiplies by a polynomial of the Gram matrix, so all five are taken on that small matrix alone.
    """
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    x = x / (x.norm() + 1e-7)
    gram = x @ x.T
    one = torch.eye(len(gram), device=x.device)
    product = one
    for _ in range(5):
        step = 3.4445 * one - 4.7750 * gram + 2.0315 * (gram @ gram)
        product = step @ product
        gram = step @ gram @ step
    x = product @ x
    return x.T if tall else x


class OrthogonalMomentum(torch.optim.Optimizer):
    """Muon for convolutions: momentum, orthogonalised per filter bank by Newton-Schulz (Jordan et al. 2024)."""

    def __init__(self, parameters: list[torch.nn.Parameter], lr: float, momentum: float = 0.95) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: object = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                buffer = state.setdefault("momentum", torch.zeros_like(p))
                buffer.lerp_(p.grad, 1 - group["momentum"])
                update = p.grad.lerp(buffer, group["momentum"]).reshape(len(p), -1)
                x = orthogonalised(update)
                scale = 0.2 * math.sqrt(max(x.shape))  # the size of an Adam step (Liu et al. 2025)
                p.mul_(1 - group["lr"] * 0.01).add_(x.view_as(p), alpha=-group["lr"] * scale)


def build_optimisers(network: RawUNet, config: Config) -> list[torch.optim.Optimizer]:
    """AdamW over everything, or Muon over the inner convolutions and AdamW over the rest."""
    inner = [
        p
        for name, p in network.named_parameters()
        if config.optimiser == "muon" and p.ndim == 4 and not name.startswith(("enter", "leave"))
    ]
    taken = {id(p) for p in inner}
    rest = [p for p in network.parameters() if id(p) not in taken]
    optimisers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(rest, lr=config.rate, betas=(0.9, 0.999), weight_decay=config.weight_decay)
    ]
    if inner:
        optimisers.append(OrthogonalMomentum(inner, config.rate))
    return optimisers


def schedule(config: Config, step: int, seconds: float) -> tuple[float, float]:
    """(share of the schedule done, factor on the learning rate): warm-up, then half a cosine to zero."""
    done = step / config.steps
    if config.max_seconds > 0:
        done = max(done, seconds / config.max_seconds)
    factor = 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
    return done, min(1.0, (step + 1) / config.warmup) * max(factor, 0.003)
