"""`make demo`: a noisy RAW through the server, and a picture of what it did.

Without --raw the scene is made on the spot, so that the result can be measured against the truth.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from examples.before_after import Column, busiest_crops, change_crop, colour_of, compose, render_crop
from examples.scene_file import CAMERA, SceneFile, make_scene_file, write_scene_file
from plugin_core.client import Client, DenoiseOptions, Progress, Restored, ServerError, connect_local
from plugin_core.config import Limits
from plugin_core.errors import IspError
from plugin_core.frame import LinearImage, RawFrame, Rect
from plugin_core.io.worker import DecodeWorker
from simulation.cameras import FloatArray
from simulation.isp import render

SCENE_CROPS = ((432, 30), (420, 1404))  # top, left: small print; where hard edges meet leaves


@contextmanager
def own_server() -> Iterator[Client]:
    """A client of a server that is started for this run alone and ended with it."""
    with tempfile.TemporaryDirectory(prefix="neural-isp-demo-") as folder:
        os.environ["XDG_RUNTIME_DIR"] = folder  # a private socket: no other server answers, no other program connects
        with connect_local(idle_exit_s=60.0) as client:
            process = client.server_info().pid
            try:
                yield client
            finally:
                os.kill(process, signal.SIGTERM)


def psnr(picture: FloatArray, truth: FloatArray) -> float:
    """Peak signal-to-noise ratio in dB on [0, 1]."""
    return float(-10 * np.log10(np.mean((np.clip(picture, 0, 1) - np.clip(truth, 0, 1)) ** 2, dtype=np.float64)))


def show_progress(step: Progress) -> None:
    """One line that is written over; nothing where nobody watches."""
    if sys.stderr.isatty():
        print(f"\r{step.stage.name.lower():8} {step.fraction:4.0%}", end="", file=sys.stderr, flush=True)


def restore(raw: Path, folder: Path) -> Restored:
    """Sends `raw` to the server, writes restored.dng and change.png into `folder`."""
    options = DenoiseOptions(use_cache=False)  # so that the seconds are those of the work
    with own_server() as client:
        result = client.denoise(
            raw,
            folder / "restored.dng",
            options,
            change_map=folder / "change.png",
            overwrite=True,
            progress=show_progress,
        )
    if sys.stderr.isatty():
        print("\r" + " " * 16 + "\r", end="", file=sys.stderr)
    return result


def read_images(raw: Path, restored: Path) -> tuple[RawFrame | LinearImage, RawFrame | LinearImage]:
    """Source and result, decoded as the server decodes."""
    with DecodeWorker(Limits()) as worker:
        return worker.read(raw).image, worker.read(restored).image


def write_picture(
    folder: Path, noisy: RawFrame | LinearImage, after: FloatArray, scene: SceneFile | None, side: int
) -> Path:
    """before_after.png in `folder`: crops of `side` photosites noisy, restored, true (where known) and changed."""
    colour = scene.colour if scene else colour_of(noisy, after)
    crops = [Rect(*place, side, side) for place in SCENE_CROPS] if scene else busiest_crops(after, side, 2)
    columns = [
        Column("noisy", [render_crop(noisy, noisy.signal(), crop, colour) for crop in crops]),
        Column("restored", [render_crop(noisy, after, crop, colour) for crop in crops]),
    ]
    if scene:
        columns.append(Column("truth", [render_crop(noisy, scene.truth, crop, colour) for crop in crops]))
    with Image.open(folder / "change.png") as opened:
        changed = np.asarray(opened).astype(np.uint16)
    columns.append(Column("change / sigma", [change_crop(changed, crop) for crop in crops]))
    path = folder / "before_after.png"
    compose(columns).save(path, optimize=True)
    return path


def report_quality(scene: SceneFile, after: FloatArray) -> None:
    """Prints PSNR before and after against the truth, raw and through the fixed ISP."""
    before, pattern = scene.frame.signal(), scene.frame.cfa.colors
    pictures = [render(signal_, pattern, scene.colour) for signal_ in (before, after, scene.truth)]
    print(f"PSNR raw   {psnr(before, scene.truth):6.2f} dB before, {psnr(after, scene.truth):6.2f} dB after")
    print(f"PSNR sRGB  {psnr(pictures[0], pictures[2]):6.2f} dB before, {psnr(pictures[1], pictures[2]):6.2f} dB after")


def report_job(result: Restored) -> None:
    """Prints which model worked on what noise, and how fast."""
    noise = result.noise
    print(f"model      {result.model_id} {result.model_version} on {result.device}")
    print(f"noise      a = {noise.a[0]:.3g}, b = {noise.b[0]:.3g} ({noise.source}: {noise.detail})")
    rate = result.megapixels / result.client_seconds
    print(f"time       {result.client_seconds:.1f} s for {result.megapixels:.1f} megapixels: {rate:.1f} megapixels/s")
    print(
        "stages     " + ", ".join(f"{stage.name.lower()} {s:.1f} s" for stage, s in result.seconds.items() if s >= 0.05)
    )
    for warning in result.warnings:
        print(f"note       {warning}")


def run(raw: Path | None, folder: Path, side: int) -> None:
    """The whole demo, side: of the crops shown. Raises IspError or ServerError."""
    folder.mkdir(parents=True, exist_ok=True)
    scene = None
    if raw is None:
        started = time.monotonic()
        scene = make_scene_file()
        raw = write_scene_file(folder / "scene.dng", scene)
        print(f"scene      {raw} (synthetic, {CAMERA} colours; made in {time.monotonic() - started:.1f} s)")
    result = restore(raw, folder)
    noisy, restored = read_images(raw, folder / "restored.dng")
    after = restored.signal()
    report_job(result)
    if scene:
        report_quality(scene, after)
    picture = write_picture(folder, noisy, after, scene, side)
    print(f"wrote      {folder / 'restored.dng'}\nwrote      {picture}")


def main() -> int:
    """The command line; 1 with one clear line on stderr where something can't be done."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--raw", type=Path, help="your file instead of the synthetic scene")
    parser.add_argument("--out", type=Path, default=Path("demo"), help="folder for the results")
    parser.add_argument("--crop", type=int, default=222, help="side of the crops in before_after.png, in photosites")
    options = parser.parse_args()
    try:
        run(options.raw, options.out, options.crop)
    except (IspError, ServerError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
