"""The fit of a calibration as SVG: measured variances and the line through them, one panel an ISO.

Written as text: a picture of dots and lines needs no plotting library, and every browser shows it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from xml.sax.saxutils import escape

from plugin_core.noise.calibration import Calibration, IsoCalibration

__all__ = ["to_svg"]

WIDTH, HEIGHT, MARGIN = 460, 340, 62  # pixels of a panel, and what its axes take
COLOURS = {3: ("#c0392b", "#27864a", "#2e5fb8"), 1: ("#444444",)}
NAMES = {3: "RGB", 1: "Y"}


def to_svg(calibration: Calibration) -> str:
    """One file, panels side by side; both axes logarithmic, signal 1 is white."""
    panels = [panel(entry, index * WIDTH) for index, entry in enumerate(calibration.isos)]
    width, height = WIDTH * len(panels), HEIGHT + 24
    camera = f"{calibration.make} {calibration.model}"
    if calibration.model.startswith(calibration.make):
        camera = calibration.model
    title = escape(f"{camera}: variance = a * signal + b")
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif"'
            ' font-size="11">',
            f'<rect width="{width}" height="{height}" fill="white"/>',
            f'<text x="8" y="16" font-size="13">{title}</text>',
            *panels,
            "</svg>\n",
        ]
    )


def panel(entry: IsoCalibration, left: int) -> str:
    """One ISO at an offset to the right."""
    planes = len(entry.a)
    points = [(plane, signal, variance) for plane, signal, variance in entry.points if signal > 0 and variance > 0]
    signals = [signal for _, signal, _ in points] or [1e-3, 0.5]
    span = (math.floor(math.log10(min(signals))), 0)
    variances = [a * 10.0**at + b for a, b in zip(entry.a, entry.b, strict=True) for at in span]
    variances += [variance for _, _, variance in points]
    heights = (math.floor(math.log10(min(variances))), math.ceil(math.log10(max(variances))))

    def x(signal: float) -> float:
        share = (math.log10(signal) - span[0]) / max(span[1] - span[0], 1)
        return left + MARGIN + share * (WIDTH - MARGIN - 16)

    def y(variance: float) -> float:
        share = (math.log10(variance) - heights[0]) / max(heights[1] - heights[0], 1)
        return 24 + (HEIGHT - MARGIN) * (1 - share) + 10

    parts = [*grid(span, heights, x, y)]
    for plane in range(planes):
        colour, a, b = COLOURS[planes][plane], entry.a[plane], entry.b[plane]
        curve = [10 ** (span[0] + (span[1] - span[0]) * step / 40) for step in range(41)]
        line = " ".join(f"{x(s):.1f},{y(a * s + b):.1f}" for s in curve)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}"/>')
        parts += [
            f'<circle cx="{x(s):.1f}" cy="{y(v):.1f}" r="2.5" fill="{colour}"/>' for p, s, v in points if p == plane
        ]
        label = f"{NAMES[planes][plane]}: a {a:.3g}, b {b:.3g}"
        parts.append(f'<text x="{left + MARGIN + 8}" y="{62 + 14 * plane}" fill="{colour}">{label}</text>')
    head = f"ISO {entry.iso:g}, {entry.method.value.replace('_', ' ')}, confidence {entry.confidence:.0%}"
    parts.append(f'<text x="{left + MARGIN + 8}" y="48">{escape(head)}</text>')
    parts.append(f'<text x="{left + WIDTH // 2}" y="{HEIGHT + 14}">signal (1 = white)</text>')
    return "\n".join(parts)


def grid(span: tuple[int, int], heights: tuple[int, int], x: object, y: object) -> Iterator[str]:
    """Lines and labels at the powers of ten; x and y place a value."""
    assert callable(x)
    assert callable(y)
    low, high = (10.0**at for at in heights)
    left, right = (10.0**at for at in span)
    for at in range(span[0], span[1] + 1):
        place = x(10.0**at)
        yield f'<line x1="{place:.1f}" x2="{place:.1f}" y1="{y(low):.1f}" y2="{y(high):.1f}" stroke="#ddd"/>'
        yield f'<text x="{place - 12:.1f}" y="{y(low) + 15:.1f}">1e{at}</text>'
    for at in range(heights[0], heights[1] + 1):
        place = y(10.0**at)
        yield f'<line x1="{x(left):.1f}" x2="{x(right):.1f}" y1="{place:.1f}" y2="{place:.1f}" stroke="#ddd"/>'
        yield f'<text x="{x(left) - 34:.1f}" y="{place + 4:.1f}">1e{at}</text>'
