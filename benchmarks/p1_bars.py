"""The bars that table P1 is held against: those of the pipeline, and the higher ones of the network."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from benchmarks import baselines, p1_run
from benchmarks.p1_rows import NAMES, Row, paired
from benchmarks.report import Bar
from benchmarks.scenes import HEAVY_TAILED

DARK = ("E x100", "E x200", "E x300")
EXTREME = ("E x10", *DARK)
TAILED = tuple(level.name for level in HEAVY_TAILED)

__all__ = ["bars", "least"]


def least(one: Row, other: Row) -> tuple[float, str]:
    """The smallest raw gain of the one over the other on any file, and where."""
    gains = [
        (one.results[level][photo].raw - other.results[level][photo].raw, f"{photo}, {level}")
        for level in NAMES
        for photo in one.photos((level,)) & other.photos((level,))
    ]
    return min(gains) if gains else (float("nan"), "")


class Rows:
    """The table's rows, to be asked for by method, CFA and whether the noise was known."""

    def __init__(self, rows: list[Row]) -> None:
        self.rows = rows

    def get(self, method: str, cfa: str, blind: bool = False) -> Row | None:
        """The row, or None if nothing of it was measured."""
        return next((r for r in self.rows if (r.method, r.cfa, r.blind) == (method, cfa, blind)), None)

    def ours(self, cfa: str) -> list[Row]:
        """Every shipped model's rows on one CFA, known and blind."""
        return [r for r in self.rows if r.method not in baselines.VERSIONS and r.cfa == cfa]


def compare(text: str, one: Row | None, other: Row | None, metric: str, levels: Iterable[str], bar: float) -> Bar:
    """A bar on the paired difference of two rows."""
    mean = paired(one, other, metric, levels) if one and other else None
    if mean is None:
        return Bar(text, "", None)
    return Bar(text, f"{mean.text(sign=True)} dB, n = {mean.count}", mean.value >= bar)


def pipeline_bars(rows: Rows, default: str) -> Iterator[Bar]:
    """What a usable denoiser must keep: never below its input, above the baselines, blind as good as known."""
    for cfa in p1_run.CFAS:
        noisy = rows.get("noisy", cfa)
        for mine in rows.ours(cfa) if noisy else []:
            assert noisy is not None
            gain, where = least(mine, noisy)
            text = f"{cfa}: {mine.label} never below the input on any file (raw)"
            yield Bar(text, f"least gain {gain:+.2f} dB ({where})", gain >= 0)
    known = rows.get(default, "RGGB")
    for metric, least_gain in (("raw", 0.45), ("srgb", 0.3)):
        for method in ("PMRID", "PMRID clipped"):
            text = f"{default} ≥ {least_gain:g} dB above {method}, {metric}, mean of seven levels, RGGB, known"
            yield compare(text, known, rows.get(method, "RGGB"), metric, NAMES, least_gain)
    for cfa in p1_run.CFAS:
        mine = rows.get(default, cfa)
        for method in ("BM3D", "BM3D mosaic") if cfa == "RGGB" else ("BM3D",):
            text = f"{default} ≥ 1 dB above {method} in the dark (E ×100, ×200, ×300), raw, {cfa}"
            yield compare(text, mine, rows.get(method, cfa), "raw", DARK, 1.0)
        for metric in ("raw", "srgb"):
            text = f"{default}: blind costs ≤ .25 dB against known, {metric}, mean of seven levels, {cfa}"
            yield compare(text, rows.get(default, cfa, True), mine, metric, NAMES, -0.25)


def at_every_level(text: str, one: Row | None, other: Row | None, metric: str) -> Bar:
    """A bar on the mean at each level: the one is better than the other everywhere."""
    sign = -1 if metric == "lpips" else 1
    digits = 4 if metric in ("ssim", "lpips") else 2
    found = {level: paired(one, other, metric, (level,)) if one and other else None for level in NAMES}
    means = {level: mean.value for level, mean in found.items() if mean is not None}
    if len(means) < len(NAMES):
        return Bar(text, "", None)
    worst = min(means, key=lambda level: sign * means[level])
    return Bar(text, f"least at {worst}: {means[worst]:+.{digits}f}", all(sign * v > 0 for v in means.values()))


def network_bars(rows: Rows, default: str) -> Iterator[Bar]:
    """What makes it the denoiser to choose: above PMRID everywhere, three models on one curve, every CFA alike."""
    known, pmrid = rows.get(default, "RGGB"), rows.get("PMRID", "RGGB")
    for metric in ("raw", "srgb", "ssim", "lpips"):
        yield at_every_level(f"{default} better than PMRID at every level, {metric}, RGGB", known, pmrid, metric)
    text = f"{default} ≥ .7 dB above PMRID, raw, mean of the E levels, RGGB"
    yield compare(text, known, pmrid, "raw", EXTREME, 0.7)
    yield compare(f"fine ≥ .25 dB above {default}, raw, RGGB", rows.get("fine", "RGGB"), known, "raw", NAMES, 0.25)
    yield compare(f"fast within .4 dB of {default}, raw, RGGB", rows.get("fast", "RGGB"), known, "raw", NAMES, -0.4)
    for mine in rows.ours("RGGB"):
        if not mine.blind:
            text = f"{mine.method}: X-Trans within .8 dB of RGGB, raw, mean of levels"
            yield compare(text, rows.get(mine.method, "XTRANS"), mine, "raw", NAMES, -0.8)
    yield heavy_tails(known, default)


def heavy_tails(known: Row | None, default: str) -> Bar:
    """E with Tukey-lambda read noise against E with Gaussian, the same photographs."""
    text = f"{default}: E-TL within .3 dB of E, raw, mean of its levels, RGGB"
    if known is None or not known.photos(TAILED):
        return Bar(text, "", None)
    photos = known.photos(TAILED) & known.photos(EXTREME)
    tailed, gaussian = (known.values("raw", levels, photos) for levels in (TAILED, EXTREME))
    apart = sum(tailed) / len(tailed) - sum(gaussian) / len(gaussian)
    return Bar(text, f"{apart:+.2f} dB, n = {len(photos)}", apart >= -0.3)


def bars(rows: list[Row], default: str) -> list[Bar]:
    """Every bar for table P1."""
    return [*pipeline_bars(Rows(rows), default), *network_bars(Rows(rows), default)]
