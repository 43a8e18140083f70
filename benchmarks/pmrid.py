"""PMRID (Wang et al. 2020, "Practical Deep Raw Image Denoising on Mobile Devices") as a baseline.

The weights are evaluation material and never ship. The network was trained on one phone sensor; the k-sigma transform
is what its paper offers for others.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plugin_core.frame import NoiseProfile
from simulation.cameras import FloatArray

ALIGNMENT = 16  # planes are halved four times


def separable(inputs: int, outputs: int, size: int, stride: int = 1) -> nn.Sequential:
    """Depthwise then pointwise convolution; only the pointwise one has a bias."""
    layers = nn.Sequential()
    layers.add_module("depthwise", nn.Conv2d(inputs, inputs, size, stride, size // 2, groups=inputs, bias=False))
    layers.add_module("pointwise", nn.Conv2d(inputs, outputs, 1))
    return layers


class Encoder(nn.Module):
    """Two separable 5x5 convolutions through a quarter of the width, with a projection where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = separable(inputs, outputs // 4, 5, stride)
        self.conv2 = separable(outputs // 4, outputs, 5)
        self.proj = nn.Identity() if stride == 1 else separable(inputs, outputs, 3, stride)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.conv2(F.relu(self.conv1(x))) + self.proj(x))


class Smooth(nn.Module):
    """x + two separable 3x3 convolutions."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv0 = separable(width, width, 3)
        self.conv1 = separable(width, width, 3)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv1(F.relu(self.conv0(x)))


class Decoder(nn.Module):
    """Doubles the resolution and adds the projected skip connection."""

    def __init__(self, inputs: int, skip: int, outputs: int) -> None:
        super().__init__()
        self.decode_conv = Smooth(inputs)
        self.upsample = nn.ConvTranspose2d(inputs, outputs, 2, stride=2)
        self.proj_conv = separable(skip, outputs, 3)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        return self.upsample(self.decode_conv(x)) + F.relu(self.proj_conv(skip))


class Network(nn.Module):
    """RGGB planes (N, 4, h, w) to restored planes, both in anchor-ISO k-sigma units times 256; names as published."""

    def __init__(self) -> None:
        super().__init__()
        self.conv0 = nn.Sequential()
        self.conv0.add_module("conv", nn.Conv2d(4, 16, 3, padding=1))
        widths, blocks = (16, 64, 128, 256, 512), (2, 2, 4, 4)
        for index, count in enumerate(blocks):
            stage = [Encoder(widths[index], widths[index + 1], 2)]
            stage += [Encoder(widths[index + 1], widths[index + 1], 1) for _ in range(count - 1)]
            self.add_module(f"enc{index + 1}", nn.Sequential(*stage))
        self.encdec = separable(512, 64, 3)
        self.dec1, self.dec2 = Decoder(64, 256, 64), Decoder(64, 128, 32)
        self.dec3, self.dec4 = Decoder(32, 64, 32), Decoder(32, 16, 16)
        self.out0 = Smooth(16)
        self.out1 = nn.Sequential()
        self.out1.add_module("conv", nn.Conv2d(16, 4, 3, padding=1))

    def forward(self, planes: Tensor) -> Tensor:
        skips = [F.relu(self.conv0(planes))]
        for name in ("enc1", "enc2", "enc3", "enc4"):
            skips.append(getattr(self, name)(skips[-1]))
        x = F.relu(self.encdec(skips.pop()))
        for decoder in (self.dec1, self.dec2, self.dec3, self.dec4):
            x = decoder(x, skips.pop())
        restored: Tensor = planes + self.out1(self.out0(x))
        return restored


@dataclass(frozen=True)
class Anchor:
    """The sensor the network was trained for, at its anchor ISO: variance = k * DN + s above black, range v DN."""

    k: float
    s: float
    v: float
    scale: float

    def line(self, a: float, b: float) -> tuple[float, float]:
        """(gain, offset) that turn a signal of variance a * x + b into the anchor's signal units, and only that.

        k-sigma: x / k + s / k^2 has variance equal to its mean whatever the sensor; forward with ours (k = a, s = b in
        signal units), back with the anchor's: y = x * k_a / a + (b / a^2 - s_a / k_a^2) * k_a. The gain turns variance
        a x + b into (k_a / a)^2 (a x + b) = k_a y + s_a, the anchor's line. Source: PMRID, section 3.2, eq. 5 to 7.
        """
        k_a, s_a = self.k / self.v, self.s / self.v**2
        return k_a / a, (b / a**2 - s_a / k_a**2) * k_a


def read_anchor(path: Path) -> Anchor:
    """The anchor line from pmrid_ksigma.json."""
    table = json.loads(path.read_text())
    iso = table["anchor_iso"]
    return Anchor(
        k=float(np.polyval(table["K_coeff_k1_k0"], iso)), s=float(np.polyval(table["S_coeff_s2_s1_s0"], iso)),
        v=table["V"], scale=table["network_input_scale"],
    )  # fmt: skip


def read_network(path: Path) -> Network:
    """The network with published weights (MegEngine layout: biases (1, c, 1, 1), depthwise (c, 1, 1, k, k))."""
    network = Network()
    shapes = {name: tensor.shape for name, tensor in network.state_dict().items()}
    with np.load(path) as file:
        state = {k: torch.from_numpy(file[k].astype(np.float32)).reshape(shapes[k]) for k in file.files}
    network.load_state_dict(state)
    return network.eval()


@lru_cache(maxsize=1)
def load(folder: Path) -> tuple[Network, Anchor]:
    """Network and anchor from the data folder."""
    return read_network(folder / "weights/pmrid_mge_fp16.npz"), read_anchor(folder / "noise/pmrid_ksigma.json")


def restore(signal: FloatArray, profile: NoiseProfile, folder: Path, clip: bool) -> FloatArray:
    """An RGGB signal (H, W) denoised with known noise, same shape and units.

    clip: values below black are cut before the network, as the authors' script does; that costs it .3 dB raw at E x300
    and gains it in sRGB at U .012, so both ways are rows of table P1.
    """
    network, anchor = load(folder)
    gain, offset = anchor.line(profile.a[1], profile.b[1])
    planes = np.stack([signal[row::2, column::2] for row in (0, 1) for column in (0, 1)]).astype(np.float32)
    if clip:
        planes = np.clip(planes, 0, 1)
    height, width = planes.shape[1:]
    pad = [(16, 16 + -side % ALIGNMENT) for side in (height, width)]
    planes = np.pad(planes, [(0, 0), *pad], mode="reflect")
    with torch.inference_mode():
        out = network(torch.from_numpy((planes * gain + offset) * anchor.scale)[None])[0].numpy()
    out = (out[:, 16 : 16 + height, 16 : 16 + width] / anchor.scale - offset) / gain
    restored = np.empty_like(signal)
    for channel in range(4):
        restored[channel // 2 :: 2, channel % 2 :: 2] = out[channel]
    return restored
