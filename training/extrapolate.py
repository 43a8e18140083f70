"""Weights moved on along the way a training took: later + share * (later - earlier).

`python -m training.extrapolate LATER EARLIER SHARE --deep SHARE --out WEIGHTS`. What a change of the mix taught is
taken a little further, at some cost in PSNR; the deep levels, which see coarse noise, by a share of their own.
Source: Ilharco et al., Editing Models with Task Arithmetic, ICLR 2023; a share for each level is ours.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor

__all__ = ["extrapolated"]

DEEP = 2  # the first deep level: a value there stands for 8 x 8 photosites


def is_deep(name: str) -> bool:
    """Whether a weight belongs to a deep level, or to the steps down to one and up from one."""
    part, place = name.split(".")[:2]
    if part in ("encoder", "decoder"):
        return int(place) >= DEEP
    return part in ("down", "up") and int(place) >= DEEP - 1


def extrapolated(
    later: Mapping[str, Tensor], earlier: Mapping[str, Tensor], share: float, deep: float | None = None
) -> dict[str, Tensor]:
    """The state beyond `later`, float32; deep: the share of the deep levels, the same if None.

    Raises ValueError if the two are not of the same network.
    """
    if {name: tensor.shape for name, tensor in later.items()} != {name: t.shape for name, t in earlier.items()}:
        raise ValueError("the two weights are not of the same network")

    def beyond(name: str) -> Tensor:
        to, by = later[name].float(), deep if deep is not None and is_deep(name) else share
        return to + by * (to - earlier[name].float())

    return {name: beyond(name) for name in later}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("later", type=Path)
    parser.add_argument("earlier", type=Path)
    parser.add_argument("share", type=float)
    parser.add_argument("--deep", type=float)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    save_file(extrapolated(load_file(given.later), load_file(given.earlier), given.share, given.deep), given.out)


if __name__ == "__main__":
    main()
