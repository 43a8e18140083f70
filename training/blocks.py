"""What each residual block of a network is worth, and the network without some of them.

`python -m training.blocks WEIGHTS` prints how many dB the validation pieces lose when a block becomes the identity;
`--drop encoder.3.2 decoder.1.1 --out SMALLER` writes the weights without those blocks, to train on or to export.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Collection, Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from training.network import network_of
from training.validation import validate, validation_set

__all__ = ["block_names", "without"]

BLOCK = re.compile(r"((?:encoder|decoder)\.\d+)\.(\d+)\.")


def block_names(weights: Mapping[str, Tensor]) -> list[str]:
    """Every residual block, such as "encoder.1.0", in the order in which they compute."""
    return list(dict.fromkeys(found[0].rstrip(".") for name in weights if (found := BLOCK.match(name))))


def without(weights: Mapping[str, Tensor], dropped: Collection[str]) -> dict[str, Tensor]:
    """The state of the network without some blocks; those behind them move up. Raises ValueError on unknown ones."""
    blocks = block_names(weights)
    if unknown := set(dropped) - set(blocks):
        raise ValueError(f"no such block: {', '.join(sorted(unknown))}; there are {', '.join(blocks)}")
    places: dict[str, int] = {}
    moved = {}
    for block in blocks:
        level = block.rpartition(".")[0]
        if block not in dropped:
            moved[block] = f"{level}.{places.setdefault(level, 0)}"
            places[level] += 1
    result = {}
    for name, tensor in weights.items():
        found = BLOCK.match(name)
        block = found[0].rstrip(".") if found else ""
        if block not in dropped:
            result[name.replace(block, moved[block], 1) if block else name] = tensor
    return result


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--photos", type=Path, default=Path("../shared/data/photos"))
    parser.add_argument("--drop", nargs="*", default=[])
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    weights = load_file(given.weights)
    if given.out:
        save_file(without(weights, given.drop), given.out)
        return
    levels, device = validation_set(given.photos), torch.device("cpu")
    whole = validate(network_of(weights), levels, device)
    print("all blocks:", ", ".join(f"{label} {value:.3f}" for label, value in whole.items()))
    for block in block_names(weights):
        left = validate(network_of(without(weights, [block])), levels, device)
        print(
            f"without {block}:", ", ".join(f"{label} {left[label] - whole[label]:+.3f}" for label in whole), flush=True
        )


if __name__ == "__main__":
    main()
