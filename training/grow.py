"""Weights of a smaller network as the start of a larger one that computes the same (Chen et al. 2016, Net2Net)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from training.network import RawUNet

__all__ = ["grown"]


def grown(weights: Mapping[str, Tensor], network: RawUNet) -> dict[str, Tensor]:
    """A state for `network` with `weights` where they fit: further blocks are identities, further features unheard.

    Only the number of residual blocks and of features may have grown; raises ValueError on any other difference.
    """
    state = network.state_dict()
    for name, given in weights.items():
        if name not in state:
            raise ValueError(f"{name}: the larger network has no such tensor")
        wanted = state[name]
        if given.shape == wanted.shape:
            state[name] = given.clone()
        elif name == "enter.weight" and given.shape[0] == wanted.shape[0] and given.shape[1] < wanted.shape[1]:
            state[name] = torch.zeros_like(wanted)
            state[name][:, : given.shape[1]] = given
        else:
            raise ValueError(f"{name}: shape {tuple(given.shape)} does not fit {tuple(wanted.shape)}")
    for name in state.keys() - weights.keys():
        if not ((name.startswith(("encoder", "decoder")) and ".first." in name) or ".second." in name):
            raise ValueError(f"{name}: not in the smaller network, and not part of a residual block")
    return state
