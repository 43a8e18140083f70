"""Real and synthetic files through `denoise` and `verify`, and an identity DNG against its source in three hosts."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks import report
from benchmarks.scenes import data_folder
from benchmarks.serving import Server, serving
from plugin_core.client.values import DenoiseOptions
from plugin_core.config import Limits
from plugin_core.errors import IspError
from plugin_core.frame import BAYER_PATTERNS, ColorCalibration, NoiseProfile, NoiseSource, RawFrame, Rect, Source
from plugin_core.io.worker import DecodeWorker
from tests.builders import make_frame, make_linear, write_cfa_dng, write_linear_dng
from tests.hosts.render import HOSTS, TOOLS, RenderError, psnr
from tests.hosts.sources import scene_frame, write_plain_arw
from tests.hosts.test_renders import settings

BARS_DB = {"libraw": 68.0, "darktable": 90.0, "rawtherapee": 65.0}
BORDER = (6, 10, 4, 8)  # masked rows and columns: top, left, bottom, right
BLACKS = ((500.0, 508.0), (512.0, 520.0))
TABLED = ("CR2",)  # kinds that darktable and RawTherapee read by their own tables; shown, no bar
RAW_ENDINGS = {".dng", ".cr2", ".cr3", ".nef", ".arw", ".kdc", ".raf"}


@dataclass(frozen=True)
class Given:
    """A file to send. readable: it should come back restored; otherwise with one clear error line."""

    label: str
    path: Path
    readable: bool = True


def wrapped(picture: Path, folder: Path) -> Given:
    """A bare mosaic (16-bit PNG and JSON) as a DNG."""
    facts = json.loads(picture.with_suffix(".json").read_text())
    mosaic = np.asarray(Image.open(picture)).astype(np.uint16)
    area = Rect(0, 0, *mosaic.shape)
    matrix = tuple(float(v) for row in facts.get("xyz_to_cam_d65", ()) for v in row)
    gains = facts.get("white_balance_rggb", (2.0, 1.0, 1.0, 1.5))
    frame = RawFrame(
        mosaic=mosaic, cfa=BAYER_PATTERNS["RGGB"], black_level=((float(facts["black"]),),),
        white_level=(float(facts["white"]),) * 3, active_area=area, default_crop=area,
        as_shot_neutral=tuple(1 / gains[k] for k in (0, 1, 3)),
        color=ColorCalibration(matrix or make_frame().color.color_matrix_1),
        source=Source(picture.name, make="Bare", model="Mosaic"),
    )  # fmt: skip
    return Given(f"{picture.stem} (wrapped)", write_cfa_dng(folder / f"{picture.stem}.dng", frame))


def real_files(folder: Path) -> Iterator[Given]:
    """Everything in the data folder's raw/; nothing where it is not there."""
    raw = data_folder() / "raw"
    for path in sorted(raw.rglob("*")):
        if path.suffix.lower() in RAW_ENDINGS:
            yield Given(path.name, path, readable=path.parent.name != "truncated")
        elif path.suffix == ".png" and path.with_suffix(".json").exists():
            yield wrapped(path, folder)


def synthetic_files(folder: Path) -> Iterator[Given]:
    """Each CFA kind, bit depth and border layout, as DNG."""
    profile = NoiseProfile((1e-4,) * 3, (1e-6,) * 3, NoiseSource.TAG)
    frames: dict[str, RawFrame] = {f"{name}, odd size": make_frame(301, 403, name) for name in BAYER_PATTERNS}
    frames["X-Trans"] = make_frame(300, 402, "XTRANS")
    frames["X-Trans, masked border"] = make_frame(300, 402, "XTRANS", border=(6, 12, 0, 6))
    frames["monochrome"] = make_frame(301, 403, "MONOCHROME")
    for bits, black in ((10, 64), (12, 256), (14, 512), (16, 1024)):
        frames[f"{bits} bit"] = make_frame(300, 400, bits=bits, black=black)
    frames["black 0, 12 bit"] = make_frame(300, 400, bits=12, black=0)
    frames["black per position"] = make_frame(300, 400, black=BLACKS)
    frames["masked border"] = make_frame(300, 400, border=BORDER)
    frames["masked border, black per position"] = make_frame(301, 403, "GBRG", border=BORDER, black=BLACKS)
    frames["NoiseProfile, orientation 6"] = make_frame(300, 400, noise_profile=profile, orientation=6)
    for index, (label, frame) in enumerate(frames.items()):
        yield Given(label, write_cfa_dng(folder / f"synthetic_{index:02}.dng", frame, metadata=True))
    yield Given("linear DNG", write_linear_dng(folder / "synthetic_linear.dng", make_linear(300, 400, sigma=0.01)))
    arw = write_plain_arw(folder / "synthetic.arw", scene_frame(noise=(2e-3, 1e-5)))
    yield Given("camera-native ARW", arw)


def through(server: Server, worker: DecodeWorker, given: Given, target: Path) -> tuple[tuple[str, ...], bool]:
    """One table row, and whether the file did what it should."""
    try:
        restored = server.client.denoise(given.path, target, DenoiseOptions(use_cache=False), overwrite=True)
    except IspError as error:
        clear = "\n" not in str(error) and given.path.name in str(error)
        return (given.label, "", "", "", f"{error.reason}: {error}".replace("|", "/")), clear and not given.readable
    checked = worker.verify(given.path, target)
    noise = f"{restored.noise.source}"
    seconds = f"{restored.client_seconds:.2f}"
    lost = "; ".join(f"{group.name}: {', '.join(group.lost)}" for group in checked.groups if group.lost)
    row = (given.label, f"{restored.megapixels:.2f}", seconds, noise, lost or "verify passed")
    return row, bool(checked.passed) and given.readable


def identity_sources(folder: Path) -> Iterator[tuple[Given, str]]:
    """(file, kind) of what hosts are shown beside its identity DNG; kind as tests.hosts.test_renders has it."""
    for cfa in ("RGGB", "GBRG", "XTRANS", "MONOCHROME"):
        path = write_cfa_dng(folder / f"identity_{cfa}.dng", scene_frame(cfa))
        yield Given(f"synthetic {cfa}, DNG", path), cfa
    yield Given("synthetic RGGB, ARW", write_plain_arw(folder / "identity.arw", scene_frame())), "ARW"
    for name in ("bracket_d5000/church_left_ev0_1-160s.dng", "canon_eos30d_iso640_IMG_5952.CR2"):
        path = data_folder() / "raw" / name
        if path.exists():
            yield Given(path.name, path), path.suffix[1:].upper()


def compared(host: str, source: Path, result: Path, kind: str, folder: Path) -> float | str:
    """PSNR of a host's two renders in dB (inf if equal), or why there is none."""
    renderer: Callable[..., np.ndarray] = HOSTS[host]
    pictures = []
    for name, path in (("source", source), ("result", result)):
        place = folder / f"{host}-{name}"
        place.mkdir(exist_ok=True)
        try:
            pictures.append(renderer(path, place, **settings(kind, host, name == "source")))
        except RenderError as error:
            return f"no render of the {name}: {str(error).splitlines()[-1][:90]}"
    try:
        return psnr(pictures[0], pictures[1])
    except RenderError as error:
        return str(error)


def identities(server: Server) -> tuple[str, list[report.Bar]]:
    """Strength 0 against the source, as each host renders both."""
    rows = []
    worst: dict[str, list[tuple[float, str]]] = {host: [] for host in HOSTS}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for given, kind in identity_sources(folder):
            result = folder / f"{given.path.stem}_identity.dng"
            server.client.denoise(given.path, result, DenoiseOptions(strength=0.0, use_cache=False))
            cells = []
            for host, tool in TOOLS.items():
                if tool and not shutil.which(tool):
                    cells.append(f"{tool} is not installed")
                    continue
                found = compared(host, given.path, result, kind, folder)
                cells.append(found if isinstance(found, str) else "exact" if np.isinf(found) else f"{found:.1f} dB")
                if not isinstance(found, str) and not (kind in TABLED and host != "libraw"):
                    worst[host].append((found, given.label))
            rows.append((given.label, *cells))
    bars = []
    for host, limit in BARS_DB.items():
        text = f"identity DNG renders like its source in {host}: ≥ {limit:g} dB"
        if not worst[host]:
            bars.append(report.Bar(text, "no host", None))
            continue
        value, label = min(worst[host])
        shown = "exact" if np.isinf(value) else f"{value:.1f} dB"
        bars.append(report.Bar(text, f"least {shown} ({label}), {len(worst[host])} files", value >= limit))
    return report.table(("Identity DNG against", *HOSTS), rows) + HOSTS_NOTE, bars


def section() -> str:
    """The section's Markdown."""
    rows, failed, refused = [], [], []
    with tempfile.TemporaryDirectory() as name, serving() as server, DecodeWorker(Limits()) as worker:
        folder = Path(name)
        files = [*real_files(folder), *synthetic_files(folder)]
        for given in files:
            row, fine = through(server, worker, given, folder / "restored.dng")
            (rows if given.readable else refused).append(row)
            if not fine:
                failed.append(given.label)
        pictures, host_bars = identities(server)
    whole = {given.label for given in files if given.readable}
    broken = {given.label for given in files if not given.readable}
    wrong = set(failed)
    bars = [
        report.Bar(
            "every readable file goes through denoise, and verify passes",
            f"{len(whole - wrong)} of {len(whole)}", not whole & wrong,
        ),
        report.Bar(
            "every unusable file gives one clear line that names it",
            f"{len(broken - wrong)} of {len(broken)}", not broken & wrong if broken else None,
        ),
        *host_bars,
    ]  # fmt: skip
    head = ("File", "MP", "s", "noise from", "result")
    parts = [
        report.stamp("python -m benchmarks.run --only files", ("rawpy", "tifffile", "imagecodecs", "pyexiv2"), NOTE)
    ]
    parts += [report.bar_table(bars), report.table(head, rows), "Refused:\n", report.table(head, refused), pictures]
    return "\n".join(parts)


NOTE = (
    "Each file through a real server with the default model, then `verify` against its source. Identity: strength 0, "
    "both files rendered by the host with neutral settings and compared as 16-bit pictures, no border left out.\n"
)

HOSTS_NOTE = (
    "\nA DNG's levels, crop and matrices are in the file and every host takes them from there. Of a camera's own file "
    "darktable and RawTherapee believe their tables: they are told the ARW's white level and white balance; a CR2 they "
    "also crop and colour by their tables, which nobody can tell them not to, so it is shown without a bar.\n"
)

if __name__ == "__main__":
    print(section())
