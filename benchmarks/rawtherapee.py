"""Seconds of the RawTherapee step at 24 megapixels: attach, attach from the cache, and what a render costs more."""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import report
from benchmarks.scenes import PATTERNS
from benchmarks.serving import Server, serving
from simulation.cameras import xyz_to_camera
from simulation.scene import make_scene
from simulation.unprocess import SceneColour, camera_rgb, cfa_colours, mosaic

REPEATS = 3
NOISE = (4e-4, 5e-6)  # a, b
HEIGHT, WIDTH = 4024, 6048  # a Sony ILCE-7M3's frame, of which RawTherapee uses 6024 columns
FIRST_BAR_S, CACHED_BAR_S = 15.0, 2.0
PROFILE = "[Version]\nAppVersion=5.9\nVersion=349\n[Color Management]\nInputProfile=(camera)\n"


@dataclass(frozen=True)
class Bench:
    """A warm server, a folder, and an environment in which the command line and RawTherapee use both."""

    server: Server
    folder: Path
    environment: dict[str, str]

    def seconds(self, *command: str) -> tuple[float, str]:
        """Wall seconds of a command, from its start to its end, and what it said. Raises RuntimeError if it fails."""
        began = time.monotonic()
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, cwd=report.ROOT)
        took = time.monotonic() - began
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr[-500:]}")
        return took, done.stderr + done.stdout

    def isp(self, *arguments: str) -> tuple[float, str]:
        """`neural-isp rawtherapee` with these arguments."""
        return self.seconds(sys.executable, "-m", "plugin_core.cli", "rawtherapee", *arguments)

    def forget(self) -> None:
        """Empties the result cache, which the server reads."""
        self.seconds(sys.executable, "-m", "plugin_core.cli", "cache", "clear")


def section() -> str:
    """The section's Markdown. Raises FileNotFoundError where RawTherapee is not installed."""
    with tempfile.TemporaryDirectory(prefix="isp-") as name, serving(cache=True) as server:
        folder = Path(name)
        for part in ("settings", "cache"):
            (folder / part).mkdir()
        place = Path(server.client.connection.address.removeprefix("unix://")).parent
        own = {"RT_SETTINGS": str(folder / "settings"), "RT_CACHE": str(folder / "cache"), "HOME": name}
        environment = {
            **os.environ,
            **own,
            "NEURAL_ISP_SERVER": server.client.connection.address,
            "NEURAL_ISP_CACHE": str(place / "cache"),
            "XDG_RUNTIME_DIR": str(place),
        }
        bench = Bench(server, folder, environment)
        text = attaching(bench)
    busy = f"{os.getloadavg()[0]:.1f}"
    packages = ("onnxruntime", "numpy", "imagecodecs")
    return "\n".join([report.stamp("python -m benchmarks.run --only rawtherapee", packages, NOTE.format(busy)), text])


def photograph(path: Path) -> Path:
    """A noisy frame of the demo's scene, repeated to size, as the camera would write it."""
    from tests.builders import make_frame, write_arw

    rgb = camera_rgb(make_scene(3, 1000, 1500), SceneColour(xyz_to_camera("Sony ILCE-7M3"), (2.0, 1.0, 1.6)))
    piece = mosaic(rgb, cfa_colours(PATTERNS["RGGB"], 1000, 1500))
    clean = np.tile(piece, (-(-HEIGHT // 1000), -(-WIDTH // 1500)))[:HEIGHT, :WIDTH].astype(np.float32)
    return write_arw(path, make_frame(HEIGHT, WIDTH, signal=clean, noise=NOISE))


def attaching(bench: Bench) -> str:
    """The table and its bars."""
    source = photograph(bench.folder / "IMG_1.ARW")
    profile = bench.folder / "neutral.pp3"
    profile.write_text(PROFILE)
    bench.isp("attach", str(source))  # asks RawTherapee for this camera's area, once and for ever
    first, cached, noisy, restored = [], [], [], []
    said = ""
    for turn in range(REPEATS):
        bench.forget()
        took, said = bench.isp("attach", str(source))
        first.append(took)
        cached.append(bench.isp("attach", str(source), "--strength", f"{0.9 - turn / 10:g}")[0])
    _, said = bench.isp("attach", str(source))
    residual = next(source.parent.glob("IMG_1.ARW.nisp-*.dng"))
    develop = ["rawtherapee-cli", "-q", "-Y", "-o", str(bench.folder / "out.tif"), "-t", "-b16", "-p", str(profile)]
    dark = bench.folder / "dark.pp3"
    dark.write_text(f"[RAW]\nDarkFrame={residual}\n")
    for _ in range(3):
        noisy.append(bench.seconds(*develop, "-c", str(source))[0])
        restored.append(bench.seconds(*develop, "-p", str(dark), "-c", str(source))[0])
    encoding = re.search(r"residual, (\w+)", said)
    rows = [
        row("attach, by the network", first),
        row("attach again with another strength, from the cache", cached),
        row("rawtherapee-cli, as shot", noisy),
        row("rawtherapee-cli, with the residual", restored),
    ]
    size = f"{residual.stat().st_size / 1e6:.1f} MB as {encoding[1] if encoding else 'unknown'}"
    whole, again = statistics.median(first), statistics.median(cached)
    cores = f"on {report.core_count()} cores"
    bars = [
        report.Bar(f"24 MP: attach ≤ {FIRST_BAR_S:g} s", f"{whole:.2f} s {cores}", whole <= FIRST_BAR_S),
        report.Bar(
            f"24 MP: attach from the cache ≤ {CACHED_BAR_S:g} s", f"{again:.2f} s {cores}", again <= CACHED_BAR_S
        ),
    ]
    table = report.table(("24 MP", "s", "range"), rows)
    sizes = f"The residual takes {size}; the photograph {source.stat().st_size / 1e6:.1f} MB.\n"
    return f"{report.bar_table(bars)}\n{table}\n{sizes}"


def row(label: str, seconds: list[float]) -> list[str]:
    """Median and range."""
    return [label, f"{statistics.median(seconds):.2f}", f"{min(seconds):.2f}–{max(seconds):.2f}"]


NOTE = (
    "A camera-native ARW of 6048 x 4024 photosites, as of a Sony ILCE-7M3, at the noise of about ISO 1600; the default "
    "model, a warm server, the camera known to the probe. Wall seconds of the command as a person types it, median of "
    f"{REPEATS}; renders with AMaZE. Load average at the end: {{}} (this benchmark alone: about the number of cores).\n"
)

if __name__ == "__main__":
    print(section())
