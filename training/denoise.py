"""Trains a mosaic denoiser: `python -m training.denoise training/configs/denoise-standard.toml`. Resumes by itself."""

from __future__ import annotations

import argparse
import copy
import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from training.coding import coded, ranges_of, settle, weights_of, write_weights
from training.config import Config, read_config
from training.grow import grown
from training.loss import LevelBalance, loss_of
from training.network import RawUNet, network_of
from training.optimisers import build_optimisers, schedule
from training.precision import as_tensors, calibration_samples
from training.scenes import CleanScenes, draw_sample
from training.validation import validate, validation_set

REPORT_EVERY = 500  # steps
SETTLING = 300  # steps in which gradients grow, since the last layer starts at zero
LOST_AFTER = 20  # outlier steps in a row: the network has left for good


class Samples(IterableDataset[tuple[np.ndarray, ...]]):
    """Endless batches, drawn in the worker process so that the step is the network."""

    def __init__(self, folder: Path, config: Config, seed: int) -> None:
        self.folder, self.config, self.seed = folder, config, seed

    def __iter__(self) -> Iterator[tuple[np.ndarray, ...]]:
        torch.set_num_threads(1)
        scenes = CleanScenes(self.folder, self.config.mix.synthetic_scenes, self.config.mix.rounded)
        rng = np.random.default_rng(self.seed)
        while True:
            drawn = [draw_sample(rng, scenes, self.config.patch, self.config.mix) for _ in range(self.config.batch)]
            yield tuple(np.stack(part) for part in zip(*drawn, strict=True))


class Trainer:
    """A run: network, its moving average, optimisers, and where it stands; all of it in one state file."""

    def __init__(
        self,
        config: Config,
        photos: Path,
        out: Path,
        network: RawUNet | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Starts anew, from `config.start_from`, or from out/<name>.state where there is one.

        network: another than the config's plain one. clock: what `config.max_seconds` is counted by.
        """
        torch.manual_seed(config.seed)
        self.config, self.photos, self.out = config, photos, out
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        network = network or RawUNet(config.shape)
        self.network = network.to(self.device, memory_format=torch.channels_last)
        self.clock = clock
        if config.start_from:
            self.network.load_state_dict(grown(load_file(config.start_from), self.network))
        self.average = copy.deepcopy(self.network)
        self.teacher = self._read_teacher()
        self.optimisers = build_optimisers(self.network, config)
        self.balance = LevelBalance()
        self.step, self.seconds, self.waited = 0, 0.0, 0.0
        self.typical, self.rescues = 0.0, 0  # gradient norm; returns to the average
        self.skipped, self.skipped_in_a_row, self.loss = 0, 0, 0.0
        self.coded = False
        out.mkdir(parents=True, exist_ok=True)
        self.state_file = out / f"{config.name}.state"
        if self.state_file.exists():
            self._resume(torch.load(self.state_file, weights_only=False))
        self.levels = validation_set(photos)

    def _code(self) -> None:
        """From here on one level computes in eight bits; begins at the average."""
        self.network.load_state_dict(self.average.state_dict())
        samples = [as_tensors(feed) for feed in calibration_samples(self.photos, self.config)]
        settle(self.network, self.config.coded_level, [tuple(t.to(self.device) for t in sample) for sample in samples])
        self.average = copy.deepcopy(self.network)
        self.optimisers, self.typical, self.coded = build_optimisers(self.network, self.config), 0.0, True

    def _read_teacher(self) -> RawUNet | None:
        if not self.config.teacher:
            return None
        teacher = network_of(load_file(self.config.teacher))
        return teacher.to(self.device, memory_format=torch.channels_last)

    def _resume(self, state: dict[str, Any]) -> None:
        self.coded = state["coded"]
        for network in (self.network, self.average) if self.coded else ():
            coded(network, self.config.coded_level)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        self.balance.mean, self.rescues = state["balance"], state["rescues"]
        self.step, self.seconds, self.typical = state["step"], state["seconds"], state["typical"]

    def save(self) -> None:
        """Writes the average as <name>.safetensors and everything as <name>.state, the latter by renaming."""
        weights = {name: tensor.contiguous() for name, tensor in weights_of(self.average).items()}
        write_weights(weights, ranges_of(self.average), self.out / f"{self.config.name}.safetensors")
        temporary = self.state_file.with_suffix(".tmp")
        torch.save(
            {"network": self.network.state_dict(), "average": self.average.state_dict(), "balance": self.balance.mean,
             "optimisers": [o.state_dict() for o in self.optimisers], "step": self.step, "seconds": self.seconds,
             "typical": self.typical, "rescues": self.rescues, "coded": self.coded}, temporary)  # fmt: skip
        temporary.rename(self.state_file)

    def report(self, done: float) -> None:
        """One line to stdout and <name>.log.jsonl; `network_share` is what is not waiting for data."""
        left = self.seconds / done * (1 - done) / 60 if done else 0.0
        line = {
            "step": self.step,
            "seconds": round(self.seconds),
            "done": round(done, 4),
            "minutes_left": round(left, 1),
            "loss": round(self.loss, 5),
            "skipped": self.skipped,
            "network_share": round(1 - self.waited / self.seconds, 3) if self.seconds else None,
            "validation": validate(self.average, self.levels, self.device) if self.step else {},
        }
        with open(self.out / f"{self.config.name}.log.jsonl", "a") as stream:
            stream.write(json.dumps(line) + "\n")
        print(json.dumps(line), flush=True)

    def run(self, stop_after_s: float = 0.0) -> None:
        """Trains to the end of the schedule, or for `stop_after_s` seconds (0: no limit)."""
        seed = self.config.seed * 1_000_003 + self.step
        loader = DataLoader(Samples(self.photos, self.config, seed), batch_size=None, num_workers=1, prefetch_factor=4)
        batches = iter(loader)
        began, last = time.monotonic(), self.clock()
        while True:
            done, factor = schedule(self.config, self.step, self.seconds)
            finished = done >= 1.0 or (stop_after_s > 0 and time.monotonic() - began > stop_after_s)
            if self.step % REPORT_EVERY == 0 or finished:
                self.report(done)
                self.save()
                last = self.clock()
            if finished:
                return
            if self.config.coded_level and not self.coded and done >= self.config.coded_from:
                self._code()
            fetch = self.clock()
            batch = next(batches)
            self.waited += self.clock() - fetch
            self.advance(batch, done, factor)
            now = self.clock()
            self.seconds += now - last
            last = now

    def advance(self, batch: tuple[Tensor, ...], done: float, factor: float) -> None:
        """One step; one whose gradient is far out of the ordinary is left out."""
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = self.config.rate * factor * 0.6**self.rescues
            optimiser.zero_grad(set_to_none=True)
        squared = min(max((done - self.config.squared_from) / 0.1, 0.0), 1.0)
        loss = loss_of(self.network, batch, self.balance, squared, self.config, self.device, self.teacher)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = float(torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1e9))
        if math.isfinite(norm) and (self.step < SETTLING or self.typical == 0 or norm < 10 * self.typical):
            self._move(norm)
        else:
            self.skipped += 1
            self.skipped_in_a_row += 1
        if self.skipped_in_a_row == LOST_AFTER:
            self._return_to_average()
        value = float(loss.detach())
        self.loss = value if self.loss == 0 else 0.99 * self.loss + 0.01 * value
        self.step += 1

    def _move(self, norm: float) -> None:
        slowness = 0.0 if self.typical == 0 else 0.9 if self.step < SETTLING else 0.99
        seen = norm if self.step < SETTLING else min(norm, 3 * (self.typical or norm))
        self.typical = slowness * self.typical + (1 - slowness) * seen
        if norm > self.typical:
            torch._foreach_mul_([p.grad for p in self.network.parameters() if p.grad is not None], self.typical / norm)
        for optimiser in self.optimisers:
            optimiser.step()
        decay = min(self.config.ema, (self.step + 1) / (self.step + 10))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), list(self.network.parameters()), 1 - decay)
        self.skipped_in_a_row = 0

    def _return_to_average(self) -> None:
        self.network.load_state_dict(self.average.state_dict())
        self.optimisers, self.balance = build_optimisers(self.network, self.config), LevelBalance()
        self.rescues, self.skipped_in_a_row, self.typical = self.rescues + 1, 0, 0.0
        print(json.dumps({"step": self.step, "rescue": self.rescues}), flush=True)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("--photos", type=Path, default=Path("../shared/data/photos"))
    parser.add_argument("--out", type=Path, default=Path("runs"))
    parser.add_argument("--stop-after", type=float, default=0.0, help="seconds, then save and stop; resume later")
    parser.add_argument("--start-from", default="", help="safetensors to go on from, also of a smaller shape")
    parser.add_argument("--threads", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    config = read_config(arguments.config)
    if arguments.start_from:
        config = replace(config, start_from=arguments.start_from)
    Trainer(config, arguments.photos, arguments.out).run(arguments.stop_after)


if __name__ == "__main__":
    main()
