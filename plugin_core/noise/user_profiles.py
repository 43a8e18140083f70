"""The user's own calibrations: every *.json in one folder, found by camera and ISO."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from plugin_core.errors import OptionError
from plugin_core.frame import LinearImage, RawFrame
from plugin_core.noise.calibration import Applied, Calibration, applied
from plugin_core.noise.calibration_file import MAX_TEXT_BYTES, from_text
from plugin_core.noise.table import camera_key

__all__ = ["UserProfiles", "given", "profile_name", "read_calibration"]

MAX_FILES = 500  # beyond that the folder is not one of calibrations


def read_calibration(path: Path) -> Calibration:
    """The calibration in a file. Raises OptionError with one line that names it."""
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_TEXT_BYTES + 1)
        return from_text(content.decode("utf-8"), path.name)
    except UnicodeDecodeError as error:
        raise OptionError(f"{path.name}: no noise calibration: not text", "BAD_CALIBRATION") from error
    except OSError as error:
        raise OptionError(f"{path}: can't be read ({error.strerror})", "INPUT_UNREADABLE") from error


def profile_name(calibration: Calibration) -> str:
    """A file name for it: camera and ISOs."""
    words = re.sub(r"[^A-Za-z0-9]+", "-", calibration.key).strip("-").lower() or "camera"
    return f"{words}-iso{'-'.join(f'{entry.iso:g}' for entry in calibration.isos)}"[:120] + ".json"


@dataclass(frozen=True)
class UserProfiles:
    """The folder; it need not exist. Read anew for each picture, so that a new file counts at once."""

    folder: Path

    def find(self, image: RawFrame | LinearImage) -> tuple[Applied | None, tuple[str, ...]]:
        """What the user's calibrations say of a picture, and a warning for each file that can't be read.

        None for demosaiced pictures, whose noise is no longer the sensor's, and where camera or ISO have none.
        """
        if isinstance(image, LinearImage) or not image.source.model.strip():
            return None, ()
        mine = camera_key(image.source.make, image.source.model)
        found, warnings = [], []
        for path in sorted(self.folder.glob("*.json"))[:MAX_FILES]:
            try:
                calibration = read_calibration(path)
            except OptionError as error:
                warnings.append(f"{error.message}; this calibration is not used")
                continue
            if calibration.key == mine:
                found.append(calibration)
        return applied(found, image, image.exposure.iso), tuple(warnings)


def given(calibration: Calibration, name: str, image: RawFrame | LinearImage) -> tuple[Applied, tuple[str, ...]]:
    """What a calibration that was given with the request says of a picture, and a warning if it is another camera's.

    Raises OptionError where it does not fit: a demosaiced picture, another CFA, an ISO outside of its own.
    """
    if isinstance(image, LinearImage):
        raise OptionError(f"{image.source.name}: is demosaiced; {name} is for mosaics", "CALIBRATION_UNFIT")
    found = applied([calibration], image, image.exposure.iso)
    if found is None:
        isos = ", ".join(f"{entry.iso:g}" for entry in calibration.isos)
        iso = f"ISO {image.exposure.iso:g}" if image.exposure.iso else "no ISO"
        raise OptionError(
            f"{image.source.name}: {image.cfa.name} at {iso}, but {name} is for {calibration.cfa} at ISO {isos}",
            "CALIBRATION_UNFIT",
        )
    if calibration.key != camera_key(image.source.make, image.source.model):
        camera = f"{calibration.make} {calibration.model}".strip()
        return found, (f"{name} was made with another camera: {camera}",)
    return found, ()
