"""A test scene made from nothing: text, edges, fabric, foliage, gradients and colour patches, as linear sRGB."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from simulation.cameras import FloatArray
from simulation.unprocess import srgb_to_linear

WORDS = [
    "light",
    "camera",
    "shutter",
    "aperture",
    "exposure",
    "night",
    "street",
    "window",
    "river",
    "harbour",
    "market",
    "signal",
    "noise",
    "photon",
    "grain",
    "lens",
    "mirror",
    "tripod",
    "shadow",
    "midnight",
    "lantern",
    "bridge",
    "station",
    "platform",
    "ticket",
    "coffee",
    "1/60",
    "f/2.8",
    "ISO",
    "12800",
    "24",
    "mm",
    "raw",
]

# The 24 patches of a colour target in sRGB, 8 bit, the usual published averages.
PATCHES = (
    (115, 82, 68), (194, 150, 130), (98, 122, 157), (87, 108, 67), (133, 128, 177), (103, 189, 170),
    (214, 126, 44), (80, 91, 166), (193, 90, 99), (94, 60, 108), (157, 188, 64), (224, 163, 46),
    (56, 61, 150), (70, 148, 73), (175, 54, 60), (231, 199, 31), (187, 86, 149), (8, 133, 161),
    (243, 243, 242), (200, 200, 200), (160, 160, 160), (122, 122, 121), (85, 85, 85), (52, 52, 52),
)  # fmt: skip


def fractal(rng: np.random.Generator, height: int, width: int, slope: float = 1.0) -> FloatArray:
    """Random texture with amplitude spectrum 1/f^slope, (height, width) float32 in [0, 1]."""
    fy = np.fft.fftfreq(height)[:, None]
    fx = np.fft.rfftfreq(width)[None, :]
    radius = np.maximum(np.hypot(fy, fx), 1.0 / max(height, width))
    spectrum = rng.standard_normal((height, fx.shape[1])) + 1j * rng.standard_normal((height, fx.shape[1]))
    field = np.fft.irfft2(spectrum / radius**slope, s=(height, width))
    low, high = np.percentile(field, (1, 99))
    return np.asarray(np.clip((field - low) / (high - low), 0, 1), dtype=np.float32)


def fabric(rng: np.random.Generator, height: int, width: int) -> FloatArray:
    """A woven texture of two threads, (height, width, 3) float32 sRGB in [0, 1]."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    angle = rng.uniform(0, np.pi)
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    period = rng.uniform(3.0, 9.0)
    weave = 0.5 + 0.25 * np.sin(2 * np.pi * u / period) + 0.25 * np.sin(2 * np.pi * v / period)
    warp, weft = rng.uniform(0.1, 0.9, 3), rng.uniform(0.1, 0.9, 3)
    return np.asarray(weave[..., None] * warp + (1 - weave[..., None]) * weft * 0.7, dtype=np.float32)


def foliage(rng: np.random.Generator, height: int, width: int) -> FloatArray:
    """Many small overlapping leaves, (height, width, 3) float32 sRGB in [0, 1]."""
    picture = Image.new("RGB", (width * 2, height * 2), (20, 28, 14))
    draw = ImageDraw.Draw(picture)
    for _ in range(height * width // 60):
        x, y = rng.uniform(0, width * 2), rng.uniform(0, height * 2)
        length, angle, breadth = rng.uniform(6, 30), rng.uniform(0, 2 * np.pi), rng.uniform(0.15, 0.5)
        along = np.array([np.cos(angle), np.sin(angle)]) * length
        across = np.array([-along[1], along[0]]) * breadth * 0.5
        centre = np.array([x, y])
        shade = rng.uniform(0.3, 1.2)
        colour = tuple(int(np.clip(c * shade, 0, 255)) for c in (70 + 50 * rng.random(), 110 + 60 * rng.random(), 40))
        corners = (centre - along / 2, centre + across, centre + along / 2, centre - across)
        draw.polygon([(float(p[0]), float(p[1])) for p in corners], fill=colour)
    return np.asarray(picture.resize((width, height), Image.Resampling.LANCZOS), dtype=np.float32) / np.float32(255)


def page(rng: np.random.Generator, height: int, width: int) -> FloatArray:
    """Printed text of several sizes, (height, width, 3) float32 sRGB in [0, 1]."""
    light, dark = rng.uniform(150, 245, 3), rng.uniform(5, 90, 3)
    if rng.random() < 0.3:
        light, dark = dark, light
    picture = Image.new("RGB", (width * 2, height * 2), tuple(int(c) for c in light))
    draw = ImageDraw.Draw(picture)
    y = 8.0
    while y < height * 2:
        size = float(rng.choice([14, 18, 22, 28, 40, 64]))
        font = ImageFont.load_default(size)
        line = " ".join(rng.choice(WORDS, 40))
        draw.text((rng.uniform(0, 30), y), line, fill=tuple(int(c) for c in dark), font=font)
        y += size * 1.35
    return np.asarray(picture.resize((width, height), Image.Resampling.LANCZOS), dtype=np.float32) / np.float32(255)


def edges(rng: np.random.Generator, height: int, width: int) -> FloatArray:
    """Straight and round edges, thin lines and a fan of fine bars, (height, width, 3) float32 sRGB in [0, 1]."""
    picture = Image.new("RGB", (width * 2, height * 2), tuple(int(v) for v in rng.uniform(20, 220, 3)))
    draw = ImageDraw.Draw(picture)
    for _ in range(14):
        box = np.sort(rng.uniform(0, 2, (2, 2)), axis=0) * (width, height)
        colour = tuple(int(v) for v in rng.uniform(0, 255, 3))
        shape = draw.ellipse if rng.random() < 0.5 else draw.rectangle
        shape((float(box[0, 0]), float(box[0, 1]), float(box[1, 0]), float(box[1, 1])), fill=colour)
    for i in range(30):
        ends = [(float(v[0]), float(v[1])) for v in rng.uniform(0, 2, (2, 2)) * (width, height)]
        draw.line(ends, fill=tuple(int(v) for v in rng.uniform(0, 255, 3)), width=1 + i % 5)
    centre = (width * rng.uniform(0.5, 1.5), height * rng.uniform(0.5, 1.5))
    for i in range(36):
        a0, a1 = (np.pi * 2 * (i + f) / 36 for f in (0.0, 0.5))
        reach = min(height, width) * 0.6
        tips = [(centre[0] + reach * np.cos(t), centre[1] + reach * np.sin(t)) for t in (a0, a1)]
        draw.polygon([centre, *tips], fill=(240, 240, 236) if i % 2 else (16, 18, 20))
    return np.asarray(picture.resize((width, height), Image.Resampling.LANCZOS), dtype=np.float32) / np.float32(255)


def gradients(rng: np.random.Generator, height: int, width: int) -> FloatArray:
    """Smooth ramps between random colours with soft shadows, (height, width, 3) float32 sRGB in [0, 1]."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j].astype(np.float32)
    corners = rng.uniform(0, 1, (4, 3)) ** 1.5
    ramp = (
        ((1 - x) * (1 - y))[..., None] * corners[0]
        + (x * (1 - y))[..., None] * corners[1]
        + ((1 - x) * y)[..., None] * corners[2]
        + (x * y)[..., None] * corners[3]
    )
    return np.asarray(ramp * (0.6 + 0.4 * fractal(rng, height, width, 2.2))[..., None], dtype=np.float32)


def colour_target(rng: np.random.Generator, height: int, width: int) -> FloatArray:
    """A 4 x 6 colour target on dark grey, (height, width, 3) float32 sRGB in [0, 1]."""
    target = np.full((height, width, 3), 0.12, dtype=np.float32)
    order = rng.permutation(24) if rng.random() < 0.5 else np.arange(24)
    for place, patch in enumerate(order):
        row, column = divmod(place, 6)
        y0, y1 = (int(height * (row + f) / 4) for f in (0.08, 0.94))
        x0, x1 = (int(width * (column + f) / 6) for f in (0.06, 0.95))
        target[y0:y1, x0:x1] = np.array(PATCHES[patch], dtype=np.float32) / 255
    return target


def clouded(rng: np.random.Generator, height: int, width: int) -> FloatArray:
    """Coloured fractal texture: stone, cloud, bark, (height, width, 3) float32 sRGB in [0, 1]."""
    base, other = rng.uniform(0, 1, 3), rng.uniform(0, 1, 3)
    mix = fractal(rng, height, width, float(rng.uniform(0.7, 1.6)))[..., None]
    return np.asarray(mix * base + (1 - mix) * other, dtype=np.float32)


def make_scene(seed: int, height: int = 1024, width: int = 1536) -> FloatArray:
    """One picture of eight panels, (height, width, 3) float32, linear sRGB in [0, 1]; the same for the same seed."""
    rng = np.random.default_rng(seed)
    panels = [page, edges, foliage, fabric, gradients, colour_target, clouded, page]
    rows, columns = 2, 4
    picture = np.zeros((height, width, 3), dtype=np.float32)
    for place, panel in enumerate(panels):
        row, column = divmod(place, columns)
        y0, y1 = height * row // rows, height * (row + 1) // rows
        x0, x1 = width * column // columns, width * (column + 1) // columns
        picture[y0:y1, x0:x1] = panel(rng, y1 - y0, x1 - x0)
    return srgb_to_linear(np.clip(picture, 0, 1))
