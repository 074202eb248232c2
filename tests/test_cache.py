import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.entries import KEY, drawn_entry
from safetensors import safe_open
from safetensors.numpy import save

from action_gru.core.errors import CacheError
from action_gru.features import (
    ClipFeatures,
    FeatureCache,
    MemoryCache,
    cache_key,
)
from action_gru.features.entry import Rows, parse_entry


def test_what_is_put_is_what_is_got(tmp_path):
    cache = FeatureCache(tmp_path)
    assert cache.get(KEY) is None
    cache.put(KEY, drawn_entry())
    got = cache.get(KEY)
    assert got is not None
    assert got.values.tobytes() == drawn_entry().values.tobytes()
    assert got.times_s.tolist() == [0.0, 0.1, 0.2, 0.3, 0.4]
    assert (got.frames_decoded, got.provenance) == (12, {"view": "rgb"})


def test_key_depends_on_every_part_and_not_on_their_order():
    assert cache_key({"a": 1, "b": 2}) == cache_key({"b": 2, "a": 1})
    assert cache_key({"a": 1, "b": 2}) != cache_key({"a": 1, "b": 3})


@pytest.mark.parametrize("where", [0, 3, 9, 60, 200, -1])
def test_a_flipped_byte_is_found_removed_and_reported(tmp_path, where):
    cache = FeatureCache(tmp_path)
    cache.put(KEY, drawn_entry())
    path = cache.path_of(KEY)
    data = bytearray(path.read_bytes())
    data[where] ^= 0xFF
    path.write_bytes(data)
    assert cache.get(KEY) is None
    assert len(cache.damaged) == 1
    assert str(path) in cache.damaged[0]
    assert not path.exists()


def test_the_bytes_are_those_of_the_safetensors_library(tmp_path):
    cache, kept = FeatureCache(tmp_path), drawn_entry(steps=3)
    cache.put(KEY, kept)
    data = cache.path_of(KEY).read_bytes()
    with safe_open(cache.path_of(KEY), framework="np") as file:
        metadata = file.metadata()
    tensors = {"values": kept.values, "times_s": kept.times_s}
    assert data == save(tensors, metadata)


def test_rows_from_a_file_make_the_same_entry_as_rows_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("action_gru.features.entry.CHUNK_ROWS", 3)
    kept, cache = drawn_entry(steps=10), FeatureCache(tmp_path)
    monkeypatch.setattr("action_gru.features.entry.MOST_CLIP_BYTES", 60)
    rows = Rows()
    for place, row in enumerate(kept.values):
        rows.put(place, row)
    same = replace(kept, values=rows.whole(10))
    rows.close()
    cache.put(KEY, same)
    from_file = cache.path_of(KEY).read_bytes()
    cache.put(KEY, kept)
    assert from_file == cache.path_of(KEY).read_bytes()
    memory = MemoryCache()
    memory.put(KEY, same)
    assert memory.get(KEY).values.tobytes() == kept.values.tobytes()


@pytest.mark.parametrize("where", [0, 3, 9, 60, 200, -1])
def test_asking_for_an_entry_finds_a_flipped_byte_without_reading_it_whole(tmp_path, where):
    cache = FeatureCache(tmp_path)
    assert not cache.has(KEY)
    cache.put(KEY, drawn_entry())
    assert cache.has(KEY)
    path = cache.path_of(KEY)
    data = bytearray(path.read_bytes())
    data[where] ^= 0xFF
    path.write_bytes(data)
    assert not cache.has(KEY)
    assert len(cache.damaged) == 1
    assert not path.exists()


def test_no_prefix_of_an_entry_is_trusted(tmp_path):
    cache = FeatureCache(tmp_path)
    cache.put(KEY, drawn_entry())
    path = cache.path_of(KEY)
    data = path.read_bytes()
    for length in range(0, len(data), 17):
        path.write_bytes(data[:length])
        with pytest.raises(CacheError):
            parse_entry(path.read_bytes(), str(path))
        assert not cache.has(KEY)


def test_verify_names_the_damaged_and_prune_removes_only_them(tmp_path):
    cache = FeatureCache(tmp_path)
    for index in range(3):
        cache.put(cache_key({"clip": index}), drawn_entry(index))
    broken = cache.path_of(cache_key({"clip": 1}))
    broken.write_bytes(b"no entry")
    assert [str(broken) in problem for problem in cache.verify()] == [True]
    assert cache.prune() == {"damaged": 1, "old": 0, "leftovers": 0, "unreadable": 0}
    assert cache.verify() == []
    assert cache.stats()["entries"] == 2


def test_prune_by_age_spares_what_was_used_lately(tmp_path):
    cache = FeatureCache(tmp_path)
    old, young = cache_key({"clip": 0}), cache_key({"clip": 1})
    for key in (old, young):
        cache.put(key, drawn_entry())
    os.utime(cache.path_of(old), (1, 1))
    assert cache.prune(older_than_s=3600)["old"] == 1
    assert cache.get(old) is None
    assert cache.get(young) is not None


def test_a_full_disk_is_named_and_leaves_nothing(tmp_path, monkeypatch):
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CacheError, match=r"No space left on device.*free space"):
        FeatureCache(tmp_path).put(KEY, drawn_entry())
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_cache_path_that_cannot_be_a_folder_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CacheError, match="cannot be written"):
        FeatureCache(tmp_path / "file").put(KEY, drawn_entry())


def test_values_that_are_not_finite_are_refused():
    with pytest.raises(CacheError, match="NaN or infinity"):
        ClipFeatures(np.full((2, 3), np.nan, np.float16), np.zeros(2))


def put_many(root: Path) -> None:
    cache = FeatureCache(root)
    for index in range(20):
        cache.put(cache_key({"clip": index}), drawn_entry(index))


def test_several_processes_may_write_the_same_entries(tmp_path):
    with ProcessPoolExecutor(2) as pool:
        list(pool.map(put_many, [tmp_path] * 2))
    cache = FeatureCache(tmp_path)
    assert cache.verify() == []
    assert cache.stats() == {
        "entries": 20,
        "bytes": cache.stats()["bytes"],
        "leftovers": 0,
        "packed": 0,
    }
