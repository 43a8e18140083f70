"""Where four photosites of one colour form a parallelogram, for every CFA: what the noise measurement differences.

A quad p, p + u, p + v, p + u + v gives four orthonormal numbers: the mean, the steps along u and along v, and the twist
(x0 - x1 - x2 + x3) / 2. Planes cancel in the twist, so it holds the noise and the least of the picture; row and column
noise cancel as well where u and v follow the axes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product

from plugin_core.frame import CfaKind, CfaPattern

__all__ = ["Quad", "QuadPlan", "linear_quads", "mosaic_quads"]

LINEAR_LAG = 4  # pixels; bilinear and Malvar demosaicing correlate noise over 2, AHD and its kin a little further


@dataclass(frozen=True)
class Quad:
    """Four places of one colour, (row, column) inside a cell or just beyond it, in the order p, p+u, p+v, p+u+v."""

    color: int
    places: tuple[tuple[int, int], tuple[int, int], tuple[int, int], tuple[int, int]]


@dataclass(frozen=True)
class QuadPlan:
    """Quads that share no photosite, repeating over a frame in cells of `cell` rows and columns.

    reach: how many rows and columns of the next cells the quads touch.
    """

    cell: int
    quads: tuple[Quad, ...]

    @property
    def reach(self) -> int:
        """Rows (= columns) beyond the cell that the quads touch."""
        return max(max(place) for quad in self.quads for place in quad.places) + 1 - self.cell


def square(color: int, row: int, column: int, lag: int) -> Quad:
    """The quad of an upright square with side `lag`."""
    return Quad(color, ((row, column), (row, column + lag), (row + lag, column), (row + lag, column + lag)))


@lru_cache(maxsize=64)
def mosaic_quads(cfa: CfaPattern) -> QuadPlan:
    """The plan for a mosaic: squares in Bayer and monochrome cells of 4, the shortest parallelograms in X-Trans."""
    if cfa.kind is CfaKind.XTRANS:
        return QuadPlan(6, xtrans_quads(cfa))
    corners = product(range(2), range(2))
    if cfa.kind is CfaKind.BAYER:
        return QuadPlan(4, tuple(square(cfa.colors[r][c], r, c, 2) for r, c in corners))
    return QuadPlan(4, tuple(square(0, 2 * r, 2 * c, 1) for r, c in corners))


def xtrans_quads(cfa: CfaPattern) -> tuple[Quad, ...]:
    """Disjoint parallelograms of one colour in a 6x6 pattern, the shortest first; every phase of X-Trans is covered."""
    steps = [(r, c) for r in range(-3, 4) for c in range(-3, 4) if (r, c) > (0, 0)]
    found: list[tuple[int, int, int, int, tuple[int, int], tuple[int, int]]] = []
    for row, column in product(range(6), range(6)):
        for u, v in product(steps, steps):
            area = abs(u[0] * v[1] - u[1] * v[0])
            if area and u < v:
                found.append((u[0] ** 2 + u[1] ** 2 + v[0] ** 2 + v[1] ** 2, area, row, column, u, v))
    taken: set[tuple[int, int]] = set()
    quads = []
    for *_, row, column, u, v in sorted(found):
        places = [(row, column), (row + u[0], column + u[1]), (row + v[0], column + v[1])]
        places.append((row + u[0] + v[0], column + u[1] + v[1]))
        homes = {(r % 6, c % 6) for r, c in places}
        colors = {cfa.colors[r][c] for r, c in homes}
        if len(homes) == 4 and len(colors) == 1 and not homes & taken:
            taken |= homes
            down = 6 * (min(c for _, c in places) < 0)
            quads.append(Quad(colors.pop(), tuple((r, c + down) for r, c in places)))  # type: ignore[arg-type]
    return tuple(quads)


def linear_quads(channels: int) -> QuadPlan:
    """The plan for a demosaiced picture: squares of LINEAR_LAG, at all four phases of the mosaic that it came from."""
    corners = list(product(range(2), range(2)))
    quads = [square(color, r, c, LINEAR_LAG) for color in range(channels) for r, c in corners]
    return QuadPlan(2 * LINEAR_LAG, tuple(quads))
