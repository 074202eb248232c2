"""What packing bears: files that are no entries, shards that are none, sizes that are none."""

import json
import os

import fsspec
import pytest
from helpers.command_line import run
from helpers.entries import KEYS, drawn_entry, filled, shards

from action_gru.core.errors import CacheError
from action_gru.features import FeatureCache, pack_entries


def test_a_folder_named_like_an_entry_is_named_and_left(tmp_path):
    cache = filled(tmp_path, range(3))
    stray = tmp_path / "ab" / f"{'ab' * 32}.safetensors"
    stray.mkdir(parents=True)
    told: list[str] = []
    counts = pack_entries(cache, tell=told.append)
    assert counts == {"packed": 3, "already": 0, "damaged": 0, "unreadable": 1, "shards": 1}
    assert f"{stray}: a feature entry is there and cannot be read (Is a directory)" in told[0]
    assert len(told) == 1
    assert stray.is_dir()
    done = run("cache", "pack", tmp_path)
    assert str(stray) in done.stderr
    assert "; 1 cannot be read and were left" in done.stdout


def test_a_shard_that_cannot_be_opened_is_named_and_the_others_are_verified(tmp_path):
    cache = filled(tmp_path, range(10))
    pack_entries(cache, shard_bytes=2000)
    first, *others = [f"shards/{name}" for name in cache.packs.index.names]
    (tmp_path / first).unlink()
    (tmp_path / first).mkdir()
    data = bytearray(cache.storage.read(others[-1]))
    data[-1] ^= 0xFF
    cache.storage.write(others[-1], [bytes(data)])
    problems = FeatureCache(tmp_path).verify()
    assert len(problems) == 2
    assert f"{tmp_path / first}: a feature entry is there and cannot be read" in problems[0]
    assert "not what was packed there" in problems[1]


@pytest.mark.parametrize("size", ["inf", "nan"])
def test_a_shard_of_no_finite_size_is_a_usage_error(tmp_path, size):
    filled(tmp_path, range(1))
    done = run("cache", "pack", tmp_path, "--shard-mb", size, code=2)
    assert "--shard-mb" in done.stderr
    assert "Invalid value" in done.stderr


def test_what_is_packed_already_is_not_packed_again_and_its_file_may_go(tmp_path):
    cache = filled(tmp_path, range(5))
    assert pack_entries(cache, keep=True)["packed"] == 5
    assert pack_entries(FeatureCache(tmp_path), keep=True)["already"] == 5
    assert len(shards(cache)) == 1
    assert len(list(cache.names())) == 5
    counts = pack_entries(FeatureCache(tmp_path))
    assert (counts["packed"], counts["already"], counts["shards"]) == (0, 5, 0)
    assert list(cache.names()) == []
    assert all(FeatureCache(tmp_path).get(key) is not None for key in KEYS[:5])


def test_a_file_stays_when_the_shard_that_held_it_vanished(tmp_path, monkeypatch):
    cache = filled(tmp_path, range(5))
    pack_entries(cache, keep=True)
    (shard,) = shards(cache)
    real = cache.storage.status
    monkeypatch.setattr(cache.storage, "status", lambda name: None if name == shard else real(name))
    with pytest.raises(CacheError, match="files were left"):
        pack_entries(cache)
    assert len(list(cache.names())) == 5


def test_a_damaged_copy_in_a_shard_is_packed_anew_from_its_file(tmp_path):
    cache = filled(tmp_path, range(5))
    pack_entries(cache, keep=True)
    (shard,) = shards(cache)
    data = bytearray(cache.storage.read(shard))
    data[-1] ^= 0xFF
    cache.storage.write(shard, [bytes(data)])
    counts = pack_entries(FeatureCache(tmp_path))
    assert (counts["packed"], counts["already"]) == (1, 4)
    assert FeatureCache(tmp_path).verify() == []


def test_a_shard_that_no_entry_uses_any_more_is_pruned_and_an_old_reader_finds_the_new(tmp_path):
    cache = filled(tmp_path, range(10))
    pack_entries(cache, shard_bytes=2000)
    old = cache.packs.index.names
    gone = {cache.packs.index.row(row).key for row in range(10)}
    gone = {key for key in gone if cache.packs.find(key).shard == old[0]}
    reader = FeatureCache(tmp_path)
    assert reader.has(min(gone))
    for key in gone:
        cache.put(key, drawn_entry(99, steps=4))
    pack_entries(cache)
    assert cache.packs.index.names[:-1] == old[1:]
    assert cache.verify() == []
    os.utime(tmp_path / "shards" / old[0], (1, 1))
    assert cache.prune()["leftovers"] == 1
    assert [name[7:] for name in shards(cache)] == sorted(cache.packs.index.names)
    for number, key in enumerate(KEYS[:10]):
        expected = drawn_entry(99, 4) if key in gone else drawn_entry(number, 3 + number % 4)
        assert reader.get(key).values.tobytes() == expected.values.tobytes()
    assert reader.damaged == []


def test_an_index_that_another_packer_extended_meanwhile_keeps_its_rows(tmp_path, monkeypatch):
    """In a store without locks two may pack: the rows of both point at their own shards."""
    fsspec.filesystem("memory").store.clear()
    root = "memory://bucket/two"
    cache = filled(root, range(5))
    write = type(cache.storage).write
    turns = iter([True])

    def beside(place, name, pieces):
        write(place, name, pieces)
        if name.endswith(".shard") and next(turns, False):
            pack_entries(filled(root, range(5, 8)), keep=True)

    monkeypatch.setattr(type(cache.storage), "write", beside)
    pack_entries(cache)
    fresh = FeatureCache(root)
    assert all(fresh.get(key) is not None for key in KEYS[:8])
    assert fresh.damaged == []
    assert fresh.verify() == []


def test_an_entry_that_is_packed_and_has_a_file_is_counted_once(tmp_path):
    cache = filled(tmp_path, range(3))
    size = cache.stats()["bytes"]
    pack_entries(cache, keep=True)
    filled(tmp_path, range(3, 5))
    (tmp_path / "zz").mkdir()
    (tmp_path / "zz" / "no key.safetensors").write_bytes(b"")
    counts = FeatureCache(tmp_path).stats()
    assert (counts["entries"], counts["packed"]) == (6, 3)
    assert counts["bytes"] > 2 * size
    assert json.loads(run("cache", "verify", tmp_path, "--json", code=6).stdout)["entries"] == 6


def test_an_entry_in_the_folder_of_another_is_named_and_left(tmp_path):
    cache = filled(tmp_path, range(2))
    path = cache.path_of(KEYS[0])
    (tmp_path / "zz").mkdir()
    moved = path.rename(tmp_path / "zz" / path.name)
    told: list[str] = []
    assert pack_entries(cache, tell=told.append)["packed"] == 1
    assert told == [f"{moved}: not the name of an entry"]
    assert moved.exists()
