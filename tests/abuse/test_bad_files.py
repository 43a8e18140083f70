"""Files that are no RAW, no whole RAW, or a RAW made to hurt: one clear line, and the server goes on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from plugin_core.client import Client
from plugin_core.config import Limits
from plugin_core.errors import FileFormatError, IspError, LimitError, NoModelError
from plugin_core.io.worker import DecodeWorker
from plugin_core.io.write_dng import WriteOptions, write_dng
from tests.abuse.place import assert_one_clear_line
from tests.builders import make_frame, write_arw, write_broken_files, write_cfa_dng, write_flipped, write_truncated

KINDS = ("empty", "text", "jpeg", "png", "zeros", "giant", "half", "garbage")
FLIPPED_FILES = 2000


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_is_no_raw_is_refused_by_name(
    kind: str, client: Client, tmp_path: Path, unharmed: Callable[[], None]
) -> None:
    path = write_broken_files(tmp_path / "bad")[kind]
    with pytest.raises((FileFormatError, LimitError)) as refusal:
        client.denoise(path, tmp_path / "out.dng")
    assert_one_clear_line(refusal.value, path.name)
    assert isinstance(refusal.value, LimitError) == (kind == "giant")
    assert not (tmp_path / "out.dng").exists()


@pytest.mark.slow
@pytest.mark.parametrize("upload", [False, True], ids=["by path", "by stream"])
def test_a_file_cut_at_every_twentieth_is_refused(
    upload: bool, client: Client, good_file: Path, tmp_path: Path, unharmed: Callable[[], None]
) -> None:
    for part in range(1, 20):
        cut = write_truncated(tmp_path / f"cut{part}.dng", good_file, part / 20)
        with pytest.raises(FileFormatError) as refusal:
            client.denoise(cut.read_bytes() if upload else cut, tmp_path / "out.dng", name=cut.name)
        assert_one_clear_line(refusal.value, cut.name)
        assert not (tmp_path / "out.dng").exists()


@pytest.mark.slow
def test_two_thousand_files_with_flipped_bits_leave_a_worker_that_works(good_file: Path, tmp_path: Path) -> None:
    wholes = [
        write_cfa_dng(tmp_path / "plain.dng", make_frame(37, 53), metadata=True, two_matrices=True),
        write_cfa_dng(tmp_path / "xtrans.dng", make_frame(36, 42, "XTRANS", border=(6, 6, 0, 0))),
        write_arw(tmp_path / "camera.arw", make_frame(200, 208)),
    ]
    refused: list[IspError] = []
    with DecodeWorker(Limits(decode_time_s=20.0)) as worker:
        packed = tmp_path / "packed.dng"
        source = worker.read(good_file)
        write_dng(packed, source.image, source, {}, None, 1.0, WriteOptions(), worker)
        wholes.append(packed)
        for whole in wholes:
            worker.read(whole)
        for seed in range(FLIPPED_FILES):
            # the small files twice as often: nearly all of a large one is pixels
            whole = wholes[(0, 1, 3, 0, 1, 3, 2)[seed % 7]]
            flipped = write_flipped(tmp_path / f"flipped{whole.suffix}", whole, bits=1 + seed % 16, seed=seed)
            try:
                worker.read(flipped)
            except IspError as error:
                refused.append(error)
        assert worker.read(good_file).image.source.name == good_file.name
    for error in refused:
        assert_one_clear_line(error, "flipped.")
    kinds = Counter(type(error) for error in refused)
    assert set(kinds) <= {FileFormatError, LimitError, NoModelError}
    assert kinds[FileFormatError] > FLIPPED_FILES // 50
    assert len(refused) < FLIPPED_FILES  # harmless flips are no error
