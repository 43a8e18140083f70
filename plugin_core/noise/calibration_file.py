"""A calibration as JSON text and back, as docs/calibration.md describes it; what is read may come from anywhere."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from plugin_core.errors import OptionError
from plugin_core.noise.calibration import Calibration, IsoCalibration, Method

__all__ = ["FORMAT", "MAX_SITES", "MAX_TEXT_BYTES", "VERSION", "from_text", "to_text"]

FORMAT = "neural-isp noise calibration"
VERSION = 1
MAX_TEXT_BYTES = 2 << 20  # a header of the contract holds it whole
MAX_SITES = 50_000  # hot, and as many dead, of one ISO
MAX_ISOS = 64
MAX_SIDE = 100_000  # photosites
CFA_PERIODS = {"RGGB": 2, "BGGR": 2, "GRBG": 2, "GBRG": 2, "XTRANS": 6, "MONOCHROME": 1}
MAX_POINTS = 1000


def to_text(calibration: Calibration) -> str:
    """The calibration as JSON, one line an ISO. Numbers to 6 digits, which is finer than any measurement."""
    head = {
        "format": FORMAT,
        "version": VERSION,
        "make": calibration.make,
        "model": calibration.model,
        "height": calibration.height,
        "width": calibration.width,
        "cfa": calibration.cfa,
    }
    lines = [json.dumps(head, ensure_ascii=False)[:-1] + ', "isos": [']
    entries = [json.dumps(entry_fields(entry), ensure_ascii=False) for entry in calibration.isos]
    return "\n".join([*lines, ",\n".join(entries), "]}"]) + "\n"


def entry_fields(entry: IsoCalibration) -> dict[str, object]:
    """One ISO's fields as the file has them."""
    return {
        "iso": entry.iso,
        "method": entry.method.value,
        "a": rounded(entry.a),
        "b": rounded(entry.b),
        "confidence": round(entry.confidence, 3),
        "row_sigma": rounded((entry.row_sigma,))[0],
        "column_sigma": rounded((entry.column_sigma,))[0],
        "black_offset": [rounded(row) for row in entry.black_offset],
        "hot": [list(site) for site in entry.hot],
        "dead": [list(site) for site in entry.dead],
        "detail": entry.detail,
        "points": [[plane, *rounded(point)] for plane, *point in entry.points],
    }


def rounded(values: Any) -> list[float]:
    """Each to 6 significant digits."""
    return [float(f"{value:.6g}") for value in values]


def from_text(text: str, name: str) -> Calibration:
    """The calibration that the text describes.

    name: what the text is called in messages. Raises OptionError (BAD_CALIBRATION) with one line that says what was
    found and what was expected, for anything that is not exactly such a text; unknown fields are left alone.
    """

    def refuse(why: str) -> NoReturn:
        raise OptionError(f"{name}: no noise calibration: {why}", "BAD_CALIBRATION")

    if len(text.encode("utf-8", "surrogatepass")) > MAX_TEXT_BYTES:
        refuse(f"more than {MAX_TEXT_BYTES} bytes")
    try:
        found = json.loads(text, parse_constant=lambda word: refuse(f"{word} is no number"))
    except (ValueError, RecursionError) as error:
        refuse(f"not JSON ({' '.join(str(error).split())[:80]})")
    return _Reader(refuse).calibration(found)


class _Reader:
    """Takes parsed JSON apart; `refuse` is called with the first thing that is wrong."""

    def __init__(self, refuse: Any) -> None:
        self._refuse = refuse

    def calibration(self, found: Any) -> Calibration:
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            self._refuse(f'"format" is not "{FORMAT}"')
        if found.get("version") != VERSION:
            version = found.get("version") if isinstance(found.get("version"), int | str) else "missing"
            self._refuse(f"version {str(version)[:20]}, this program reads version {VERSION}")
        cfa = self.word(found, "cfa")
        if cfa not in CFA_PERIODS:
            self._refuse(f"cfa {cfa[:20]!r}, expected one of {', '.join(CFA_PERIODS)}")
        size = self.whole(found, "height"), self.whole(found, "width")
        isos = found.get("isos")
        if not isinstance(isos, list) or not 0 < len(isos) <= MAX_ISOS:
            self._refuse(f'"isos" is not a list of 1 to {MAX_ISOS}')
        entries = sorted((self.entry(one, cfa, size) for one in isos), key=lambda entry: entry.iso)
        if len({entry.iso for entry in entries}) < len(entries):
            self._refuse("an ISO stands there twice")
        return Calibration(self.word(found, "make"), self.word(found, "model"), *size, cfa, tuple(entries))

    def entry(self, found: Any, cfa: str, size: tuple[int, int]) -> IsoCalibration:
        if not isinstance(found, dict):
            self._refuse('an entry of "isos" is no object')
        planes = 1 if cfa == "MONOCHROME" else 3
        a, b = (tuple(self.numbers(found.get(key), key, planes, 0.0, 1.0)) for key in ("a", "b"))
        if any(slope + offset <= 0 for slope, offset in zip(a, b, strict=True)):
            self._refuse("a and b of a plane are both 0")
        methods = {method.value: method for method in Method}
        method = self.word(found, "method")
        if method not in methods:
            self._refuse(f"method {method[:20]!r}, expected one of {', '.join(methods)}")
        return IsoCalibration(
            iso=self.number(found.get("iso"), "iso", 1.0, 1e8),
            method=methods[method],
            a=a,
            b=b,
            confidence=self.number(found.get("confidence"), "confidence", 0.0, 1.0),
            row_sigma=self.number(found.get("row_sigma", 0.0), "row_sigma", 0.0, 1.0),
            column_sigma=self.number(found.get("column_sigma", 0.0), "column_sigma", 0.0, 1.0),
            black_offset=self.pattern(found.get("black_offset", [[0.0]]), CFA_PERIODS[cfa]),
            hot=self.sites(found.get("hot", []), "hot", size),
            dead=self.sites(found.get("dead", []), "dead", size),
            detail=" ".join(self.word(found, "detail").split())[:300] if "detail" in found else "",
            points=self.points(found.get("points", []), planes),
        )

    def word(self, found: dict[str, Any], key: str) -> str:
        value = found.get(key)
        if not isinstance(value, str) or len(value) > 1000:
            self._refuse(f'"{key}" is no text')
        return str(value)

    def whole(self, found: dict[str, Any], key: str) -> int:
        value = found.get(key)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= MAX_SIDE:
            self._refuse(f'"{key}" is no whole number from 1 to {MAX_SIDE}')
        return int(value)  # type: ignore[arg-type]

    def number(self, value: Any, key: str, low: float, high: float) -> float:
        good = isinstance(value, int | float) and not isinstance(value, bool)
        if not good or not low <= value <= high or not math.isfinite(value):
            self._refuse(f'"{key}" has something else than a number from {low:g} to {high:g}')
        return float(value)

    def numbers(self, value: Any, key: str, count: int, low: float, high: float) -> list[float]:
        if not isinstance(value, list) or len(value) != count:
            self._refuse(f'"{key}" is no list of {count}')
        return [self.number(one, key, low, high) for one in value]

    def pattern(self, value: Any, period: int) -> tuple[tuple[float, ...], ...]:
        side = len(value) if isinstance(value, list) else 0
        if side not in (1, period):
            self._refuse(f'"black_offset" has not {period} rows')
        return tuple(tuple(self.numbers(row, "black_offset", side, -0.1, 0.1)) for row in value)

    def sites(self, value: Any, key: str, size: tuple[int, int]) -> tuple[tuple[int, int], ...]:
        if not isinstance(value, list) or len(value) > MAX_SITES:
            self._refuse(f'"{key}" is no list of at most {MAX_SITES} photosites')
        for site in value:
            good = isinstance(site, list) and len(site) == 2 and all(type(one) is int for one in site)
            if not good or not (0 <= site[0] < size[0] and 0 <= site[1] < size[1]):
                self._refuse(f'"{key}" holds something else than [row, column] within {size[0]} x {size[1]}')
        return tuple((site[0], site[1]) for site in value)

    def points(self, value: Any, planes: int) -> tuple[tuple[int, float, float], ...]:
        if not isinstance(value, list) or len(value) > MAX_POINTS:
            self._refuse(f'"points" is no list of at most {MAX_POINTS}')
        rows = [self.numbers(row, "points", 3, -1.0, 10.0) for row in value]
        if any(row[0] not in range(planes) for row in rows):
            self._refuse('"points" names a plane that is not there')
        return tuple((int(plane), signal, variance) for plane, signal, variance in rows)
