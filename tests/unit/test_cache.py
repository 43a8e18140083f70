"""The result cache: what goes in comes out, bounded, and damage counts as absence."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np
import pytest

from plugin_core.cache import ResultCache, cache_key
from plugin_core.config import CacheConfig

KEYS = [cache_key({"n": n}) for n in range(8)]


def make_cache(directory: Path, size_bytes: int = 1 << 20) -> ResultCache:
    return ResultCache(CacheConfig(directory / "cache", size_bytes))


def make_array(seed: int = 0, shape: tuple[int, ...] = (37, 53)) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float16)


@pytest.mark.parametrize("shape", [(37, 53), (11, 7, 3), (1, 1)])
def test_returns_what_was_put(tmp_path: Path, shape: tuple[int, ...]) -> None:
    cache, array = make_cache(tmp_path), make_array(shape=shape)
    assert cache.get(KEYS[0]) is None
    assert cache.put(KEYS[0], array)
    found = make_cache(tmp_path).get(KEYS[0])  # another process would see the same
    np.testing.assert_array_equal(found, array)
    assert found is not None
    assert found.dtype == np.float16
    assert not found.flags.writeable


def test_key_changes_with_every_part() -> None:
    parts = {"source": "ab", "model": ["standard", "1.0", "cd"], "noise": [[1e-4], [1e-6]]}
    changed = [
        {**parts, "source": "ac"},
        {**parts, "model": ["standard", "1.1", "cd"]},
        {**parts, "noise": [[np.nextafter(1e-4, 1).item()], [1e-6]]},
    ]
    assert len({cache_key(parts), *map(cache_key, changed)}) == 4
    assert cache_key(parts) == cache_key(dict(reversed(parts.items())))


@pytest.mark.parametrize("where", [0, 9, 70, 2000, -3])
def test_one_wrong_bit_is_a_miss_and_removes_the_entry(tmp_path: Path, where: int) -> None:
    cache = make_cache(tmp_path)
    cache.put(KEYS[0], make_array())
    (path,) = (tmp_path / "cache").rglob("*.npy")
    content = bytearray(path.read_bytes())
    content[where] ^= 4
    path.write_bytes(content)
    assert cache.get(KEYS[0]) is None
    assert cache.entries() == []


@pytest.mark.parametrize("length", [0, 1, 50, 500, -1])
def test_truncated_entry_is_a_miss(tmp_path: Path, length: int) -> None:
    cache = make_cache(tmp_path)
    cache.put(KEYS[0], make_array())
    (path,) = (tmp_path / "cache").rglob("*.npy")
    path.write_bytes(path.read_bytes()[:length])
    assert cache.get(KEYS[0]) is None


def test_least_recently_used_goes_first(tmp_path: Path) -> None:
    array = make_array()
    cache = make_cache(tmp_path, size_bytes=4 * array.nbytes)
    for age, key in enumerate(KEYS[:3]):
        cache.put(key, array)
        path = tmp_path / "cache" / key[:2] / f"{key}.npy"
        os.utime(path, (1000 + age, 1000 + age))
    assert cache.get(KEYS[0]) is not None  # used now
    for key in KEYS[3:5]:
        cache.put(key, array)
    kept = {entry.key for entry in cache.entries()}
    assert KEYS[0] in kept
    assert KEYS[1] not in kept
    assert cache.size() <= 4 * array.nbytes + 4 * 256


def test_what_is_too_large_is_not_kept(tmp_path: Path) -> None:
    assert not make_cache(tmp_path, size_bytes=100).put(KEYS[0], make_array())
    assert not make_cache(tmp_path, size_bytes=0).put(KEYS[0], make_array())
    assert list(tmp_path.rglob("*.npy")) == []


def test_unwritable_place_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    cache = make_cache(tmp_path)
    assert not cache.put(KEYS[0], make_array())
    assert cache.get(KEYS[0]) is None
    assert cache.size() == 0


def test_clear_removes_everything_but_only_its_own(tmp_path: Path) -> None:
    cache = make_cache(tmp_path)
    for key in KEYS[:3]:
        cache.put(key, make_array())
    stranger = tmp_path / "cache" / "notes.txt"
    stranger.write_text("not ours")
    half = tmp_path / "cache" / KEYS[0][:2] / f".{KEYS[0]}.99.tmp"
    half.write_bytes(b"x")
    assert cache.clear() == 3
    assert cache.entries() == []
    assert not half.exists()
    assert stranger.exists()


def test_many_writers_and_readers(tmp_path: Path) -> None:
    array = make_array()
    failures: list[str] = []

    def use(seed: int) -> None:
        cache = make_cache(tmp_path, size_bytes=3 * array.nbytes + 1000)
        for key in np.random.default_rng(seed).permutation(KEYS):
            cache.put(str(key), array)
            found = cache.get(str(key))
            if found is not None and not np.array_equal(found, array):
                failures.append(str(key))

    threads = [threading.Thread(target=use, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert list(tmp_path.rglob("*.tmp")) == []
