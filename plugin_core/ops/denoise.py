"""Denoise: a frame and its noise parameters in, the residual out. The network runs here, once; blend.py does more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plugin_core.engine.cancel import CancelToken
from plugin_core.engine.session import Session
from plugin_core.engine.tiles import Tile, continued, plan_tiles
from plugin_core.engine.views import averaged
from plugin_core.errors import NoModelError, OptionError
from plugin_core.frame import (
    BAYER_PATTERNS,
    XTRANS_PATTERN,
    CfaKind,
    CfaPattern,
    FloatArray,
    LinearImage,
    NoiseProfile,
    RawFrame,
)
from plugin_core.ops.mosaic import Mosaic, shuffle, unshuffle
from plugin_core.ops.scales import SHIPPED, Recomposition, add_coarse, coarse_mosaic, coarse_profile, windows_of

__all__ = ["Residual", "restore"]

Residual = NDArray[np.float16]
MONOCHROME = CfaPattern(((0,),))
SMALLEST_B = 1e-12  # signal units squared: a hundredth of a 16-bit step; keeps the stabiliser finite


def cell_origin(cfa: CfaPattern) -> tuple[int, int]:
    """Rows and columns (0 or 1) above and left of the frame at which the 2x2 cells start.

    Cells then always hold RGGB, and X-Trans starts on one of its two kinds of places, so that a network has to know one
    arrangement of each CFA, not all. (0, 0) for any other pattern.
    """
    if cfa.kind is CfaKind.BAYER:
        wanted = {BAYER_PATTERNS["RGGB"]}
    else:
        wanted = {XTRANS_PATTERN.shifted(rows, columns) for rows in (0, 2, 4) for columns in (0, 2, 4)}
    places = [(rows, columns) for rows in (0, 1) for columns in (0, 1)]
    return next((place for place in places if cfa.shifted(-place[0], -place[1]) in wanted), (0, 0))


def cell_profile(cfa: CfaPattern, profile: NoiseProfile) -> tuple[FloatArray, FloatArray]:
    """(a, b) of each position of the 2x2 cell, each (1, 4, 1, 1) float32.

    X-Trans positions change colour from cell to cell; they share the mean over photosites (the gain is one for all
    colours; only a profile measured per plane differs, by its error). Raises OptionError if the planes don't match.
    """
    if len(profile.a) != cfa.plane_count or len(profile.b) != cfa.plane_count:
        raise OptionError(
            f"noise profile has {len(profile.a)} planes, the sensor has {cfa.plane_count}", "NOISE_PROFILE_PLANES"
        )
    a, b = np.array(profile.a, dtype=np.float64), np.array(profile.b, dtype=np.float64)
    if cfa.kind is CfaKind.BAYER:
        cell = np.array(cfa.colors).ravel()
        a, b = a[cell], b[cell]
    else:
        shares = np.array(cfa.colors).ravel()
        a, b = np.full(4, a[shares].mean()), np.full(4, b[shares].mean())
    b = np.maximum(b, SMALLEST_B)
    return a.astype(np.float32).reshape(1, 4, 1, 1), b.astype(np.float32).reshape(1, 4, 1, 1)


class _ColorPlanes:
    """The (1, 8, h, w) colour planes of each tile; tiles that see the same phases share them."""

    def __init__(self, cfa: CfaPattern, height: int, width: int) -> None:
        self._cfa, self._height, self._width = cfa, height, width
        self._pattern = np.array(cfa.colors, dtype=np.uint8)
        self._kept: tuple[bytes, FloatArray] | None = None

    def of(self, tile: Tile) -> FloatArray:
        shape = (1, 8, tile.outer.height // 2, tile.outer.width // 2)
        if self._cfa.kind is CfaKind.MONOCHROME:
            return np.broadcast_to(np.float32(1 / 3), shape)
        period = self._cfa.period
        rows = continued(tile.outer.top, tile.outer.height, self._height, period) % period
        columns = continued(tile.outer.left, tile.outer.width, self._width, period) % period
        key = rows.astype(np.uint8).tobytes() + b"x" + columns.astype(np.uint8).tobytes()
        if self._kept is None or self._kept[0] != key:
            colors = self._pattern[np.ix_(rows, columns)]
            red, blue = (colors == 0).astype(np.float32), (colors == 2).astype(np.float32)
            self._kept = key, np.concatenate([unshuffle(red), unshuffle(blue)])[None]
        return self._kept[1]


@dataclass(frozen=True)
class _Restorer:
    """One request's model, tile side and cancellation; a residual is in its mosaic's units, progress the share done."""

    session: Session
    inner: int
    cancel: CancelToken
    how: Recomposition = SHIPPED

    def at_one_scale(
        self, mosaic: Mosaic, profile: NoiseProfile, residual: NDArray[np.floating], advance: Callable[[float], None]
    ) -> None:
        """Writes source minus restored of a mosaic into `residual`, tile by tile."""
        cfa = mosaic.cfa
        height, width = mosaic.samples.shape
        lead = cell_origin(cfa)
        a, b = cell_profile(cfa.shifted(-lead[0], -lead[1]), profile)
        manifest = self.session.manifest
        views = manifest.views_of(cfa.kind)
        tiles = plan_tiles(height, width, self.inner, manifest.halo_of(cfa.kind), manifest.alignment, lead)
        colors = _ColorPlanes(cfa, height, width)
        for index, tile in enumerate(tiles):
            self.cancel.check()
            planes = unshuffle(mosaic.signal(tile.outer))[None]
            restored = averaged(self.session.run, views, planes, np.ascontiguousarray(colors.of(tile)), a, b)
            low, span = mosaic.levels(tile.inner)
            raw = mosaic.samples[tile.inner.slices].astype(np.float32)
            change = raw - (shuffle(restored[0])[tile.inner_in_outer] * span + low)
            change[mosaic.clipped(tile.inner)] = 0.0  # a clipped photosite is only known to be >= white
            residual[tile.inner.slices] = np.clip(change, -65504.0, 65504.0)
            advance((index + 1) / len(tiles))

    def at_scales(
        self,
        mosaic: Mosaic,
        profile: NoiseProfile,
        residual: NDArray[np.floating],
        sides: tuple[int, ...],
        advance: Callable[[float], None],
    ) -> None:
        """As `at_one_scale`, with the low frequencies of a coarser scale for each side of windows (ops/scales.py)."""
        windows = windows_of(mosaic.cfa, sides[0]) if sides else None
        coarse = coarse_mosaic(mosaic, windows) if windows else None
        if windows is None or coarse is None:
            self.at_one_scale(mosaic, profile, residual, advance)
            return
        share = mosaic.samples.size / (mosaic.samples.size + coarse.samples.size)
        self.at_one_scale(mosaic, profile, residual, lambda done: advance(share * done))
        noise = coarse_profile(profile, windows)
        theirs = np.empty(coarse.samples.shape, dtype=np.float32)
        self.at_scales(coarse, noise, theirs, sides[1:], lambda done: advance(1 - (1 - share) * (1 - done)))
        add_coarse(residual, mosaic, windows, coarse, theirs, noise, self.how)


def restore(
    image: RawFrame | LinearImage,
    profile: NoiseProfile,
    session: Session,
    inner: int,
    progress: Callable[[float], None],
    cancel: CancelToken,
    how: Recomposition = SHIPPED,
) -> Residual:
    """Source minus restored, in raw units: (h, w) float16 over the active area, or (H, W, 3) for a linear image.

    inner: the tile's inner side in photosites. progress is told the share done, 0..1, after each tile. how: how coarser
    scales are used, where the model says so. Saturated photosites have residual 0. A linear image is restored channel
    by channel, as monochrome: its demosaicing has correlated the noise, so less of it is recognised.
    Raises NoModelError if the model is not for this CFA, JobCancelledError between tiles, OptionError, LimitError.
    """
    manifest, restorer = session.manifest, _Restorer(session, inner, cancel, how)
    sides = how.sides[: manifest.coarser_scales]
    if isinstance(image, RawFrame):
        if not manifest.handles(image.cfa.kind):
            raise NoModelError(
                f"{image.source.name}: model {manifest.id} is not for {image.cfa.kind.value} sensors", "CFA_UNSUPPORTED"
            )
        mosaic = Mosaic(image.mosaic[image.active_area.slices], image.black_map(), image.white_map(), image.cfa)
        residual = np.empty(mosaic.samples.shape, dtype=np.float16)
        restorer.at_scales(mosaic, profile, residual, sides, progress)
        return residual
    if not manifest.handles(CfaKind.MONOCHROME):
        raise NoModelError(f"{image.source.name}: model {manifest.id} is not for linear images", "CFA_UNSUPPORTED")
    residual = np.empty(image.pixels.shape, dtype=np.float16)
    for channel in range(3):
        samples = image.pixels[..., channel]
        black = np.broadcast_to(np.float32(image.black_level[channel]), samples.shape)
        white = np.broadcast_to(np.float32(image.white_level[channel]), samples.shape)
        plane = NoiseProfile((profile.a[channel],), (profile.b[channel],), profile.source)

        def advance(share: float, done: int = channel) -> None:
            progress((done + share) / 3)

        mosaic = Mosaic(samples, black, white, MONOCHROME)
        restorer.at_scales(mosaic, plane, residual[..., channel], sides, advance)
    return residual
