"""Trains a mosaic denoiser: `python -m training.denoise training/configs/denoise-standard.toml`. Resumes by itself."""

from __future__ import annotations

import argparse
import copy
import json
import math
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from plugin_core.ops.denoise import unshuffle
from simulation.cameras import BAYER
from simulation.sensor import add_noise, extreme_noise, unprocessing_noise
from simulation.unprocess import camera_rgb, cfa_colours, mosaic, random_colour
from training.network import NetworkShape, RawUNet, stabilise, unstabilise
from training.scenes import TO_LINEAR, CleanScenes, Mix, draw_sample, photograph_names

LEVEL_BINS = 24


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
    start_from: str = ""  # safetensors to go on from
    mix: Mix = field(default_factory=Mix)


def read_config(path: Path) -> Config:
    """The recipe in a TOML file. Raises TypeError on an unknown key."""
    table = tomllib.loads(path.read_text())
    shape = NetworkShape(**{k: tuple(v) for k, v in table.pop("shape").items()})
    return Config(shape=shape, mix=Mix(**table.pop("mix", {})), **table)


class Samples(IterableDataset[tuple[np.ndarray, ...]]):
    """Endless batches, drawn in the worker process so that the step is the network."""

    def __init__(self, folder: Path, config: Config, seed: int) -> None:
        self.folder, self.config, self.seed = folder, config, seed

    def __iter__(self) -> Iterator[tuple[np.ndarray, ...]]:
        torch.set_num_threads(1)
        scenes = CleanScenes(self.folder, synthetic=self.config.mix.synthetic_scenes)
        rng = np.random.default_rng(self.seed)
        while True:
            drawn = [draw_sample(rng, scenes, self.config.patch, self.config.mix) for _ in range(self.config.batch)]
            yield tuple(np.stack(part) for part in zip(*drawn, strict=True))


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


def loss_of(
    network: RawUNet, batch: tuple[Tensor, ...], balance: LevelBalance, squared: float, device: torch.device
) -> Tensor:
    """Error in units of the noise, half in the stabilised domain and half linear, balanced over noise levels."""
    noisy, clean, colours, told = (part.to(device) for part in batch)
    a, b = told[:, 0].view(-1, 1, 1, 1), told[:, 1].view(-1, 1, 1, 1)
    c = b + 0.375 * a * a
    with torch.autocast(device.type, torch.bfloat16):
        _, restored = network.stabilised(noisy, colours, a, b)
    restored = restored.float()
    target = stabilise(clean, a, c)
    mean_level = clean.mean((1, 2, 3), keepdim=True)
    unit = torch.sqrt(a * mean_level + b)
    # Capped: a hot photosite hundreds of sigma away, or one lamp in a dark patch, must not steer a whole step.
    stabilised_error = (restored - target).clamp(-8.0, 8.0)
    brightness = (torch.sqrt(a * clean + b) / unit).clamp(max=4.0)
    linear_error = ((unstabilise(restored, a, c) - clean) / torch.sqrt(a * clean + b)).clamp(-8.0, 8.0) * brightness
    square = 0.5 * stabilised_error**2 + 0.5 * linear_error**2
    per_square = square.mean((1, 2, 3))
    per_absolute = torch.sqrt(square + 0.01).mean((1, 2, 3)) - 0.1 + 1e-3
    bins = balance.bins(told[:, 0], told[:, 1]).cpu()
    weight = balance.weights(per_square.detach().cpu(), bins).to(device)
    absolute = (per_absolute * torch.sqrt(weight)).mean()
    return (1 - squared) * absolute + squared * 0.5 * (per_square * weight).clamp(max=50.0).mean()


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
                x = update.bfloat16()
                tall = x.shape[0] > x.shape[1]
                x = x.T if tall else x
                x = x / (x.norm() + 1e-7)
                for _ in range(5):
                    gram = x @ x.T
                    x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
                x = (x.T if tall else x).float()
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


def validation_set(folder: Path, patch: int = 256) -> list[tuple[str, tuple[Tensor, ...]]]:
    """Central pieces of a few validation photographs at three levels of each noise model, fixed seeds."""
    from PIL import Image

    levels = {"U.004": unprocessing_noise(0.004), "E10": extreme_noise(10), "E100": extreme_noise(100),
              "E300": extreme_noise(300)}  # fmt: skip
    names = photograph_names(folder, "val")[::3]
    sets = []
    for label, draw in levels.items():
        noisy, clean, colours = [], [], []
        for index, name in enumerate(names):
            rng = np.random.default_rng(9000 + index)
            picture = np.asarray(Image.open(folder / name).convert("RGB"))
            y, x = (picture.shape[0] - patch) // 2, (picture.shape[1] - patch) // 2
            rgb = camera_rgb(TO_LINEAR[picture[y : y + patch, x : x + patch]], random_colour(rng))
            cfa = cfa_colours(BAYER["RGGB"], patch, patch)
            truth = mosaic(rgb, cfa)
            clean.append(unshuffle(truth))
            noisy.append(unshuffle(add_noise(rng, truth, draw)))
            red, blue = (cfa == 0).astype(np.float32), (cfa == 2).astype(np.float32)
            colours.append(np.concatenate([unshuffle(red), unshuffle(blue)]))
        told = np.tile(np.array([draw.a, draw.b], dtype=np.float32), (len(names), 1))
        sets.append((label, tuple(torch.from_numpy(np.stack(v)) for v in (noisy, clean, colours, list(told)))))
    return sets


@torch.no_grad()
def validate(network: RawUNet, sets: list[tuple[str, tuple[Tensor, ...]]], device: torch.device) -> dict[str, float]:
    """Mean raw PSNR in dB per level, in float32."""
    result = {}
    for label, (noisy, clean, colours, told) in sets:
        a, b = told[:, :1, None, None].to(device), told[:, 1:, None, None].to(device)
        restored = network(noisy.to(device), colours.to(device), a, b).cpu().clamp(0, 1)
        mse = ((restored - clean) ** 2).mean((1, 2, 3))
        result[label] = round(float((-10 * torch.log10(mse)).mean()), 3)
    result["mean"] = round(sum(result.values()) / len(result), 3)
    return result


def train(config: Config, photos: Path, out: Path, stop_after_s: float, threads: int) -> None:
    """Runs or resumes; writes out/<name>.safetensors (EMA), <name>.state and <name>.log.jsonl."""
    torch.manual_seed(config.seed)
    if threads:
        torch.set_num_threads(threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    out.mkdir(parents=True, exist_ok=True)
    network = RawUNet(config.shape).to(device, memory_format=torch.channels_last)
    if config.start_from:
        network.load_state_dict(load_file(config.start_from))
    average = copy.deepcopy(network)
    optimisers = build_optimisers(network, config)
    balance = LevelBalance()
    step, seconds, typical, rescues, in_a_row = 0, 0.0, 0.0, 0, 0
    state_file, log_file = out / f"{config.name}.state", out / f"{config.name}.log.jsonl"
    if state_file.exists():
        state = torch.load(state_file, weights_only=False)
        network.load_state_dict(state["network"])
        average.load_state_dict(state["average"])
        for optimiser, saved in zip(optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        balance.mean, step, seconds, typical = state["balance"], state["step"], state["seconds"], state["typical"]
        rescues = state.get("rescues", 0)
    sets = validation_set(photos)
    loader = DataLoader(Samples(photos, config, config.seed * 1_000_003 + step), batch_size=None, num_workers=1,
                        prefetch_factor=4)  # fmt: skip
    began, last = time.monotonic(), time.monotonic()
    running, skipped, waited = 0.0, 0, 0.0
    batches = iter(loader)
    while True:
        done, factor = schedule(config, step, seconds)
        finished = done >= 1.0 or (stop_after_s > 0 and time.monotonic() - began > stop_after_s)
        if step % 500 == 0 or finished:
            figures = validate(average, sets, device) if step else {}
            line = {"step": step, "seconds": round(seconds), "done": round(done, 4), "loss": round(running, 5),
                    "skipped": skipped, "waited": round(waited, 1), "validation": figures}  # fmt: skip
            with open(log_file, "a") as stream:
                stream.write(json.dumps(line) + "\n")
            print(json.dumps(line), flush=True)
            save_file({k: v.contiguous() for k, v in average.state_dict().items()}, out / f"{config.name}.safetensors")
            torch.save(
                {"network": network.state_dict(), "average": average.state_dict(), "balance": balance.mean,
                 "optimisers": [o.state_dict() for o in optimisers], "step": step, "seconds": seconds,
                 "typical": typical, "rescues": rescues}, state_file.with_suffix(".tmp"))  # fmt: skip
            state_file.with_suffix(".tmp").rename(state_file)
            last = time.monotonic()
        if finished:
            return
        for optimiser in optimisers:
            for group in optimiser.param_groups:
                group["lr"] = config.rate * factor * 0.6**rescues
            optimiser.zero_grad(set_to_none=True)
        fetch = time.monotonic()
        batch = next(batches)
        waited += time.monotonic() - fetch
        squared = min(max((done - config.squared_from) / 0.1, 0.0), 1.0)
        loss = loss_of(network, batch, balance, squared, device)
        loss.backward()
        norm = float(torch.nn.utils.clip_grad_norm_(network.parameters(), 1e9))
        if math.isfinite(norm) and (step < 300 or typical == 0 or norm < 10 * typical):
            # The last layer starts at zero, so gradients grow before they settle.
            slowness = 0.0 if typical == 0 else 0.9 if step < 300 else 0.99
            typical = slowness * typical + (1 - slowness) * (norm if step < 300 else min(norm, 3 * (typical or norm)))
            if norm > typical:
                torch._foreach_mul_([p.grad for p in network.parameters() if p.grad is not None], typical / norm)
            for optimiser in optimisers:
                optimiser.step()
            decay = min(config.ema, (step + 1) / (step + 10))
            with torch.no_grad():
                torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), 1 - decay)
            in_a_row = 0
        else:
            skipped += 1
            in_a_row += 1
        if in_a_row == 20:  # the network has left for good: go back to its average, slower
            network.load_state_dict(average.state_dict())
            optimisers, balance = build_optimisers(network, config), LevelBalance()
            rescues, in_a_row, typical = rescues + 1, 0, 0.0
            print(json.dumps({"step": step, "rescue": rescues}), flush=True)
        value = float(loss.detach())
        running = value if running == 0 else 0.99 * running + 0.01 * value
        step += 1
        now = time.monotonic()
        seconds += now - last
        last = now


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("--photos", type=Path, default=Path("../shared/data/photos"))
    parser.add_argument("--out", type=Path, default=Path("runs"))
    parser.add_argument("--stop-after", type=float, default=0.0, help="seconds, then save and stop; resume later")
    parser.add_argument("--threads", type=int, default=0)
    arguments = parser.parse_args()
    train(read_config(arguments.config), arguments.photos, arguments.out, arguments.stop_after, arguments.threads)


if __name__ == "__main__":
    main()
