"""What DescribeFile says of good files that are not for us."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from plugin_core.errors import FileFormatError, NoModelError
from plugin_core.frame import NoiseProfile, NoiseSource
from plugin_core.io.source_file import FileDescription, Metadata, SourceFile, Tag
from plugin_core.models import Registry
from plugin_core.noise.user_profiles import UserProfiles
from plugin_core.rpc.describe import describe
from plugin_core.rpc.transfer import ReceivedFile
from tests.builders import make_frame, make_linear

FILE = ReceivedFile("raw", "a.x3f", Path("/spool/a.x3f"), 10, "ab" * 32, local=False)


class FakeWorker:
    """A decode worker that answers with what it was given."""

    def __init__(self, answer: SourceFile | Exception) -> None:
        self.answer = answer

    def describe(self, path: Path, name: str) -> FileDescription:
        return FileDescription(name, "Sigma", "SD1", "30 mm", (Tag("EXIF", "ISOSpeedRatings", "100"),), ("odd tag",))

    def read(self, path: Path, name: str) -> SourceFile:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def ask(answer: SourceFile | Exception) -> Any:
    return describe(FILE, FakeWorker(answer), Registry(), UserProfiles(Path("no such folder")))  # type: ignore[arg-type]


def test_sensor_that_cannot_be_restored_is_described_with_the_reason() -> None:
    answer = ask(NoModelError("a.x3f: a Foveon sensor has three layers", "FOVEON"))
    assert not answer.restorable
    assert answer.refusal == "a.x3f: a Foveon sensor has three layers"
    assert (answer.make, answer.model, answer.lens) == ("Sigma", "SD1", "30 mm")
    assert [tag.value for tag in answer.tags] == ["100"]
    assert list(answer.warnings) == ["odd tag"]


def test_broken_file_is_an_error() -> None:
    with pytest.raises(FileFormatError):
        ask(FileFormatError("a.x3f: cut off", "TRUNCATED"))


def test_tag_comes_before_the_other_sources() -> None:
    tag = NoiseProfile((1e-4,) * 3, (1e-6,) * 3, NoiseSource.TAG)
    frame = make_frame(64, 96, border=(4, 6, 2, 2), noise_profile=tag)
    answer = ask(SourceFile(replace(frame, source=frame.source), Metadata(), ("odd tag", "guessed")))
    assert answer.restorable
    assert answer.noise.source == "dng_noise_profile"
    assert "dng_noise_profile" not in [one.source for one in answer.other_noise]
    assert list(answer.active_area) == [4, 6, 64, 96]
    assert list(answer.warnings) == ["odd tag", "guessed"]


def test_linear_picture() -> None:
    answer = ask(SourceFile(make_linear(20, 30), Metadata()))
    assert (answer.kind, answer.cfa, answer.height, answer.width) == ("linear", "", 20, 30)
    assert len(answer.black_level) == len(answer.white_level) == 3
