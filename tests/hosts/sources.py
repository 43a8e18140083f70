"""Sources for the host tests: a textured scene through each CFA, as files that every host decodes exactly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from plugin_core.frame import RawFrame
from simulation.cameras import xyz_to_camera
from simulation.scene import make_scene
from simulation.unprocess import SceneColour, camera_rgb, cfa_colours, mosaic
from tests.builders import PATTERNS, SHORT, make_frame, write_metadata

HEIGHT, WIDTH = 534, 642  # multiples of 6; LibRaw's X-Trans demosaic refuses sides under 512
COLOUR = SceneColour(xyz_to_camera("Sony ILCE-7M3"), (2.0, 1.0, 1.6))  # the builders' matrix and neutral
NOISE = (2e-3, 1e-5)


def scene_frame(cfa: str = "RGGB", height: int = HEIGHT, width: int = WIDTH, **options: Any) -> RawFrame:
    """A noisy frame of text, edges, texture and colour patches; options as make_frame has them."""
    rgb = camera_rgb(make_scene(4, height, width), COLOUR)
    pattern = PATTERNS[cfa].colors
    clean = rgb.mean(axis=-1) if cfa == "MONOCHROME" else mosaic(rgb, cfa_colours(pattern, height, width))
    return make_frame(height, width, cfa, signal=clean.astype(np.float32), **{"noise": NOISE, **options})


def write_plain_arw(path: Path, frame: RawFrame) -> Path:
    """A camera-native ARW (SONY ILCE-7M3) whose only IFD is the raw, with EXIF. Returns path.

    frame: RGGB, 14 bit, black 512. darktable looks for the raw in the first IFD that has pixels.
    """
    tags: list[Any] = [
        (271, 2, 0, "SONY", True),
        (272, 2, 0, "ILCE-7M3", True),
        (274, SHORT, 1, 1, True),
        (29459, SHORT, 4, (2048, 1024, 1024, 1638), True),  # white balance, R G G B
        (29456, SHORT, 4, (512,) * 4, True),  # black
        (33421, SHORT, 2, (2, 2), True),
        (33422, 1, 4, bytes((0, 1, 1, 2)), True),
    ]
    strip: dict[str, Any] = {"rowsperstrip": len(frame.mosaic), "metadata": None, "software": None}
    with tifffile.TiffWriter(path, byteorder="<") as writer:
        writer.write(frame.mosaic, photometric="CFA", subfiletype=0, extratags=tags, **strip)
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages.first.tags["BitsPerSample"].overwrite(14)  # 14 bits stored in 16, as the camera does
    write_metadata(path)
    return path
