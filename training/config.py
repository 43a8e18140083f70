"""One model's recipe, from its TOML file."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from training.network import NetworkShape
from training.scenes import Mix

__all__ = ["Config", "read_config"]


@dataclass(frozen=True)
class Config:
    """One model's recipe; every field can stand in the TOML file."""

    name: str
    shape: NetworkShape
    steps: int = 30000
    batch: int = 8
    patch: int = 192
    rate: float = 8e-4
    optimiser: str = "adamw"
    weight_decay: float = 1e-4
    ema: float = 0.999
    seed: int = 1
    warmup: int = 300
    max_seconds: float = 0.0  # > 0: the schedule ends after this much training time if that comes before `steps`
    squared_from: float = 0.6  # share of the schedule after which the loss turns from Charbonnier to squared
    start_from: str = ""  # safetensors to go on from; may be of a smaller shape, see training/grow.py
    linear_share: float = 0.5  # of the error in signal units, the rest in the stabilised domain
    evenness: float = 0.0  # 0: the sum of errors counts; towards 1: the sum of their logarithms, as PSNR has it
    teacher: str = ""  # safetensors of a larger network whose result is part of what this one learns
    teacher_share: float = 0.7  # of the target; the rest is the truth
    coded_level: int = 0  # level whose decoder learns to compute in int8, see training/coding.py; 0: none
    coded_from: float = 0.7  # share of the schedule after which they do
    tile_ratio: float = 1.0  # for the manifest
    views: dict[str, int] = field(default_factory=dict)  # for the manifest
    coarser_scales: int = 0  # for the manifest
    mix: Mix = field(default_factory=Mix)


def read_config(path: Path) -> Config:
    """The recipe in a TOML file. Raises TypeError on an unknown key."""
    table = tomllib.loads(path.read_text())
    shape = NetworkShape(**{k: tuple(v) for k, v in table.pop("shape").items()})
    return Config(shape=shape, mix=Mix(**table.pop("mix", {})), **table)
