"""Kinds of RAW that have no plain mosaic of red, green and blue: refused by name, before or while decoding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rawpy

from plugin_core.errors import NoModelError
from plugin_core.io.dng_tags import DngTags
from plugin_core.io.source_file import RESIDUAL_CAMERA

__all__ = ["refuse_by_signature", "refuse_colors", "refuse_dng", "refuse_frames", "refused"]


def refused(name: str, what: str) -> NoModelError:
    """The error that says what the file is and why that can't be restored."""
    return NoModelError(f"{name}: {what}", "KIND_NOT_SUPPORTED")


def refuse_by_signature(path: Path, name: str) -> None:
    """Kinds that are known by their first bytes: Foveon, and Fujifilm's rotated SuperCCD."""
    with path.open("rb") as f:
        head = f.read(1 << 16)
    if head.startswith(b"FOVb"):
        raise refused(name, "a Foveon X3F, which stacks three colours at each photosite; only mosaics can be restored")
    if head.startswith(b"FUJIFILMCCD-RAW") and _is_rotated_superccd(path, head):
        raise refused(name, "a rotated SuperCCD mosaic (Fujifilm), which no model here knows")


def _is_rotated_superccd(path: Path, head: bytes) -> bool:
    """True for a sensor turned by 45 degrees: tag 0x0130 of the RAF directory, second byte without bit 3 (dcraw)."""
    position = int.from_bytes(head[0x5C:0x60], "big")
    with path.open("rb") as f:
        f.seek(position)
        directory = f.read(1 << 16)
    count, at = int.from_bytes(directory[:4], "big"), 4
    for _ in range(min(count, 255)):
        code, size = int.from_bytes(directory[at : at + 2], "big"), int.from_bytes(directory[at + 2 : at + 4], "big")
        if code == 0x130 and size >= 2:
            return not directory[at + 5] & 8
        at += 4 + size
    return False


def refuse_dng(dng: DngTags, name: str) -> None:
    """Raises NoModelError for residuals and for DNGs with several frames, a staggered mosaic or other colours."""
    if dng.unique_camera_model == RESIDUAL_CAMERA:
        raise refused(name, "a residual that neural-isp made for RawTherapee, not a photograph")
    if dng.frames > 1:
        raise refused(name, f"{dng.frames} frames in one file (pixel shift or burst); single exposures only")
    if dng.cfa_layout != 1:
        raise refused(name, f"a staggered or rotated mosaic (CFALayout {dng.cfa_layout}); rectangular ones only")
    if dng.is_mosaic and dng.cfa is None:
        raise refused(name, "a mosaic of other colours than red, green and blue in 2x2 or 6x6")
    if dng.samples not in (1, 3):
        raise refused(name, f"{dng.samples} samples a pixel; one (mosaic) or three (linear) only")


def refuse_colors(raw: Any, name: str) -> None:
    """Raises NoModelError for a mosaic of four colours, or of a pattern that is neither 2x2 nor 6x6."""
    if raw.num_colors == 1:
        return
    colors = raw.color_desc.decode("ascii", "replace")
    if raw.num_colors != 3 or colors not in ("RGBG", "RGB"):
        raise refused(name, f"a mosaic of four colours ({colors}); red, green and blue only")
    pattern = raw.raw_pattern
    if pattern is None or pattern.shape not in ((2, 2), (6, 6)):
        size = "no" if pattern is None else "x".join(map(str, pattern.shape))
        raise refused(name, f"a mosaic with {size} pattern; Bayer (2x2) and X-Trans (6x6) only")


def refuse_frames(path: Path, name: str, make: str) -> tuple[str, ...]:
    """A warning where a second frame is no second exposure (Canon's dual pixel); raises for pixel-shift sets."""
    try:
        with rawpy.imread(str(path), shot_select=1) as second:
            second.raw_image  # noqa: B018 - unpacks, which is where LibRaw looks for the frame
    except rawpy.LibRawRequestForNonexistentImageError:
        return ()
    except rawpy.LibRawError:
        pass  # there is a second frame, of a kind that can't be decoded
    if make.upper().startswith("CANON"):
        return ("the file holds several frames (dual pixel or burst); the first is used",)
    raise refused(name, "several frames in one file (pixel shift or multi-shot); single exposures only")
