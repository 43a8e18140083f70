"""Weights moved on along the way a training took: later + share * (later - earlier).

`python -m training.extrapolate LATER EARLIER SHARE --out WEIGHTS`. What a change of the mix taught is taken a little
further, at some cost in PSNR. Source: Ilharco et al., Editing Models with Task Arithmetic, ICLR 2023.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor

__all__ = ["extrapolated"]


def extrapolated(later: Mapping[str, Tensor], earlier: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """The state beyond `later`, float32. Raises ValueError if the two are not of the same network."""
    if {name: tensor.shape for name, tensor in later.items()} != {name: t.shape for name, t in earlier.items()}:
        raise ValueError("the two weights are not of the same network")
    return {name: tensor.float() + share * (tensor.float() - earlier[name].float()) for name, tensor in later.items()}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("later", type=Path)
    parser.add_argument("earlier", type=Path)
    parser.add_argument("share", type=float)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    save_file(extrapolated(load_file(given.later), load_file(given.earlier), given.share), given.out)


if __name__ == "__main__":
    main()
