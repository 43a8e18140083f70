"""What moving weights on (training/extrapolate.py) does to blotches, to PSNR and to a real file's residual.

`python -m benchmarks.extrapolation LATER EARLIER` prints the table that docs/training.md quotes, three minutes of
two cores for `fine`. Everything in float32: what 8 bits cost is the export's to say.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors.torch import load_file
from torch import Tensor

from benchmarks import report
from benchmarks.blotches import BLOTCH_LEVELS, fall, field_left
from benchmarks.cases import Case, run
from benchmarks.real_frames import SINGLE, read, restored, whiteness
from benchmarks.scenes import data_folder
from plugin_core.config import Limits
from plugin_core.frame import NoiseProfile, RawFrame
from plugin_core.io.worker import DecodeWorker
from plugin_core.models.package import Manifest
from plugin_core.models.registry import Registry
from plugin_core.noise.from_file import choose
from simulation.cameras import FloatArray
from training.extrapolate import extrapolated
from training.graph import float_graph
from training.network import network_of
from training.precision import graph_psnr, graph_session
from training.validation import Levels, validation_set

SHARES = ((0.2, 0.2), (0.2, 0.3), (0.2, 0.4), (0.1, 0.4), (0.3, 0.2), (0.3, 0.3))  # of all levels, of the deep ones
DRAWS = (202, 302)  # seeds of the flat field; the first is one of benchmarks.md


class WeightsSession:
    """A Session (plugin_core/engine/session.py) on weights that no package holds, in float32."""

    device = "cpu"

    def __init__(self, weights: Mapping[str, Tensor], manifest: Manifest) -> None:
        """manifest: says how the network is used."""
        self.manifest = manifest
        self.graph = float_graph(network_of(weights))
        self._session = graph_session(self.graph)

    def run(self, planes: FloatArray, colors: FloatArray, a: FloatArray, b: FloatArray) -> FloatArray:
        """See Session.run."""
        (found,) = self._session.run(["restored"], {"planes": planes, "colors": colors, "a": a, "b": b})
        return np.asarray(found, dtype=np.float32)

    def rest(self) -> None:
        """Nothing to give back: it ends with the process."""


def row(session: WeightsSession, levels: Levels, frame: RawFrame, profile: NoiseProfile) -> tuple[str, str, str]:
    """Blotches of each draw, validation PSNR, whiteness of the real file's residual."""

    def denoised(flat: Case) -> FloatArray:
        return run(flat, session)[1]

    falls = ", ".join(f"{fall(field_left('RGGB', BLOTCH_LEVELS[-1], seed, denoised)):.2f}" for seed in DRAWS)
    mean = np.mean(list(graph_psnr(session.graph, levels).values()))
    return falls, f"{mean:.3f}", f"{whiteness(frame, restored(frame, session, profile)[0], profile)[0]:.4f}"


def table(later: Path, earlier: Path, model: str) -> str:
    """Markdown, a row for each pair of shares."""
    ends = load_file(later), load_file(earlier)
    manifest = Registry(()).get(model).manifest
    levels = validation_set(data_folder() / "photos")
    with DecodeWorker(Limits()) as worker:
        frame = read(worker, SINGLE)
    profile = choose(frame, None)
    rows = []
    for share, deep in SHARES:
        session = WeightsSession(extrapolated(*ends, share, deep), manifest)
        rows.append((f"{share:g}", f"{deep:g}", *row(session, levels, frame, profile)))
    return report.table(("share", "deep", "from its own 16 x 16", "validation, dB", "CR2"), rows)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("later", type=Path)
    parser.add_argument("earlier", type=Path)
    parser.add_argument("--model", default="fine", help="the shipped model that is used as these are")
    given = parser.parse_args()
    print(table(given.later, given.earlier, given.model))


if __name__ == "__main__":
    main()
