"""Entries in shards: found, healed, verified, and never lost on the way."""

import itertools
import os

import fsspec
import pytest
from helpers.entries import KEYS, drawn_entry, filled, shards

from action_gru.core.errors import CacheError
from action_gru.features import FeatureCache, cache_key, pack_entries
from action_gru.features.entry import parse_entry
from action_gru.features.packs import EMPTY, INDEX


@pytest.fixture(params=["folder", "memory"])
def root(request, tmp_path):
    if request.param == "folder":
        return tmp_path / "cache"
    fsspec.filesystem("memory").store.clear()
    return "memory://bucket/packs"


def counts(**given: int) -> dict[str, int]:
    """What a packing counts: nothing of what is not given."""
    kinds = ("packed", "already", "damaged", "unreadable", "shards")
    return dict.fromkeys(kinds, 0) | given


def before_the_index(monkeypatch, cache: FeatureCache, act) -> None:
    """Act when the shards of a packing are written, and its index is not."""
    write = type(cache.storage).write

    def acting(place, name, pieces):
        if name == INDEX:
            act()
        write(place, name, pieces)

    monkeypatch.setattr(type(cache.storage), "write", acting)


def test_a_packed_entry_is_the_entry_and_its_file_is_gone(root):
    cache = filled(root)
    before = [cache.storage.read(f"{key[:2]}/{key}.safetensors") for key in KEYS]
    assert pack_entries(cache, shard_bytes=5000) == counts(packed=30, shards=3)
    assert list(cache.names()) == []
    sizes = [cache.storage.status(name).size for name in shards(cache)]
    assert len(sizes) == 3
    assert sum(size >= 5000 for size in sizes) == 2  # all but the last one are full
    assert sum(sizes) == sum(map(len, before))
    fresh = FeatureCache(root)
    for number, key in enumerate(KEYS):
        assert fresh.has(key)
        assert (
            fresh.get(key).values.tobytes() == drawn_entry(number, 3 + number % 4).values.tobytes()
        )
        found = fresh.packs.find(key)
        assert fresh.packs.read(found) == before[number]
        assert found.size == len(before[number])
    assert fresh.get(cache_key({"clip": "none"})) is None
    assert not fresh.has("0" * 64)
    assert not fresh.has("f" * 64)
    assert fresh.verify() == []
    assert {key: fresh.stats()[key] for key in ("entries", "packed")} == {
        "entries": 30,
        "packed": 30,
    }
    assert sorted(entry.key for entry, _ in fresh.packs.entries([])) == sorted(KEYS)


def test_a_reader_that_was_there_before_finds_what_was_packed_meanwhile(root):
    reader = FeatureCache(root)
    assert reader.get(KEYS[0]) is None
    pack_entries(filled(root))
    assert reader.has(KEYS[0])
    assert reader.get(KEYS[1]) is not None


def test_packing_again_adds_and_leaves_the_first_shards_as_they_are(root):
    cache = filled(root, range(10))
    pack_entries(cache)
    first = cache.storage.read(shards(cache)[0])
    name = shards(cache)[0]
    assert pack_entries(cache) == counts()
    filled(root, range(10, 30))
    assert pack_entries(cache)["packed"] == 20
    assert cache.storage.read(name) == first
    fresh = FeatureCache(root)
    assert all(fresh.get(key) is not None for key in KEYS)
    assert list(fresh.packs.index.keys[:, 0]) == sorted(int(key[:2], 16) for key in KEYS)


def test_a_shard_in_the_place_of_another_is_found_out(tmp_path):
    """Two stores of equal layout: the entries of the other one are whole, and not what it says."""
    stores = [FeatureCache(tmp_path / name) for name in ("one", "two")]
    for store, first in zip(stores, (0, 10), strict=True):
        for number in range(2):
            store.put(KEYS[number], drawn_entry(first + number, steps=4))
        pack_entries(store)
    (mine,), (its,) = shards(stores[0]), shards(stores[1])
    stores[0].storage.write(mine, [stores[1].storage.read(its)])
    fresh = FeatureCache(tmp_path / "one")
    assert fresh.get(KEYS[0]) is None
    assert not fresh.has(KEYS[1])
    assert all("not what was packed there" in said for said in fresh.damaged)
    assert len(fresh.verify()) == 2


def test_an_empty_index_is_named(tmp_path):
    cache = filled(tmp_path, range(3))
    pack_entries(cache)
    cache.storage.write(INDEX, [b""])
    with pytest.raises(CacheError, match="not an index of packed entries"):
        FeatureCache(tmp_path).get(KEYS[0])


@pytest.mark.parametrize("where", ["begin", "end", "gone"])
def test_a_damaged_packed_entry_is_named_never_given_and_heals(root, where):
    cache = filled(root, range(10))
    pack_entries(cache)
    name = shards(cache)[0]
    data = bytearray(cache.storage.read(name))
    last = max((cache.packs.find(key) for key in KEYS[:10]), key=lambda entry: entry.offset)
    if where == "gone":
        cache.storage.remove(name)
    else:
        data[last.offset + 40 if where == "begin" else -1] ^= 0xFF
        cache.storage.write(name, [bytes(data)])
    fresh = FeatureCache(root)
    assert fresh.get(last.key) is None
    assert not fresh.has(last.key)
    assert last.key in fresh.damaged[0]
    assert len(fresh.verify()) == (10 if where == "gone" else 1)
    number = KEYS.index(last.key)
    fresh.put(last.key, drawn_entry(number, 3 + number % 4))
    assert fresh.get(last.key) is not None
    assert pack_entries(fresh)["packed"] == 1
    healed = FeatureCache(root)
    assert healed.get(last.key) is not None
    assert healed.damaged == []


def test_a_damaged_file_is_not_packed(root):
    cache = filled(root, range(3))
    name = next(iter(cache.names()))
    cache.storage.write(name, [b"no entry"])
    assert pack_entries(cache) == counts(packed=2, damaged=1, shards=1)
    assert list(cache.names()) == [name]


def test_a_packing_that_is_cut_before_the_index_loses_nothing(tmp_path, monkeypatch):
    cache = filled(tmp_path, range(5))
    write = type(cache.storage).write

    def cut(place, name, pieces):
        if name == INDEX:
            raise CacheError("cut")
        write(place, name, pieces)

    monkeypatch.setattr(type(cache.storage), "write", cut)
    with pytest.raises(CacheError, match="cut"):
        pack_entries(cache)
    monkeypatch.undo()
    fresh = FeatureCache(tmp_path)
    assert all(fresh.get(key) is not None for key in KEYS[:5])
    orphan = shards(fresh)[0]
    assert fresh.prune()["leftovers"] == 0  # it may belong to a running process
    os.utime(tmp_path / orphan, (1, 1))
    assert fresh.prune()["leftovers"] == 1
    assert shards(fresh) == []


def test_a_damaged_index_is_named(tmp_path):
    cache = filled(tmp_path, range(3))
    pack_entries(cache)
    path = tmp_path / INDEX
    data = path.read_bytes()
    path.write_bytes(data[:-20])
    with pytest.raises(CacheError, match=r"index\.safetensors: not an index .*the file is cut"):
        FeatureCache(tmp_path).get(KEYS[0])
    flipped = bytearray(data)
    flipped[-1] ^= 1
    path.write_bytes(flipped)
    assert "its checksum does not match" in FeatureCache(tmp_path).verify()[0]
    with pytest.raises(CacheError, match=r"does not match its content; bring it back"):
        FeatureCache(tmp_path).get(KEYS[0])  # a wrong row would give another clip's features


def test_a_second_packer_is_refused(tmp_path):
    cache = filled(tmp_path, range(3))
    with cache.storage.locked("shards/.lock"), pytest.raises(CacheError, match="another process"):
        pack_entries(FeatureCache(tmp_path))


def test_iteration_reads_each_shard_once_from_its_begin(root):
    cache = filled(root, range(20))
    pack_entries(cache, shard_bytes=4000)
    places = [(entry.shard, entry.offset) for entry, _ in cache.packs.entries([])]
    names = [shard for shard, _ in places]
    assert list(dict.fromkeys(names)) == cache.packs.index.names
    for name in set(names):
        offsets = [offset for shard, offset in places if shard == name]
        assert offsets == sorted(offsets)
        assert offsets[0] == 0


def test_entries_of_a_clip_lie_side_by_side_and_are_read_from_begin_to_end(root):
    cache = FeatureCache(root)
    for number in range(20):
        for view in ("rgb", "motion", "rgb flipped"):
            entry = drawn_entry(number, steps=4)
            entry.provenance.update(clip=f"{number}.mp4", view=view)
            cache.put(cache_key({"clip": number, "view": view}), entry)
    pack_entries(cache, shard_bytes=5000)
    found = [
        parse_entry(data, entry.key).provenance["clip"] for entry, data in cache.packs.entries([])
    ]
    assert len(cache.packs.index.names) > 3
    assert [name for name, _ in itertools.groupby(found)] == list(dict.fromkeys(found))
    cache.put(KEYS[0], drawn_entry(0))
    keys = [cache_key({"clip": number, "view": "motion"}) for number in range(20)]
    keys = [*keys[:7], KEYS[0], cache_key({"clip": "none"}), *keys[7:]]
    order = cache.reading_order(keys)
    assert sorted(order) == list(range(22))
    assert order[-2:] == [7, 8]
    places = [cache.packs.find(keys[number]) for number in order[:-2]]
    numbers = [cache.packs.index.names.index(place.shard) for place in places]
    assert numbers == sorted(numbers)
    for number in set(numbers):
        offsets = [
            place.offset for place, shard in zip(places, numbers, strict=True) if shard == number
        ]
        assert offsets == sorted(offsets)


def test_a_name_that_is_no_key_is_counted_and_left(tmp_path):
    cache = filled(tmp_path, range(2))
    stray = tmp_path / KEYS[0][:2] / "copy of an entry.safetensors"
    stray.write_bytes(cache.path_of(KEYS[0]).read_bytes())
    assert pack_entries(cache) == counts(packed=2, damaged=1, shards=1)
    assert stray.exists()


def test_a_prune_beside_a_packing_without_locks_takes_no_entry(monkeypatch):
    fsspec.filesystem("memory").store.clear()
    root = "memory://bucket/packs"
    cache = filled(root, range(5))
    before_the_index(monkeypatch, cache, lambda: FeatureCache(root).prune())
    monkeypatch.setattr("action_gru.features.storage.Folder.young_s", -1)
    pack_entries(cache)
    assert all(FeatureCache(root).get(key) is not None for key in KEYS[:5])
    assert list(cache.names()) == []


def test_the_files_stay_when_a_shard_vanished_before_the_index_named_it(root, monkeypatch):
    cache = filled(root, range(5))
    files = list(cache.names())
    with monkeypatch.context() as patched:
        before_the_index(
            patched, cache, lambda: [cache.storage.remove(shard) for shard in shards(cache)]
        )
        with pytest.raises(
            CacheError, match=r"1 of 1 shards .* gone .*files were left.*pack again"
        ):
            pack_entries(cache)
    assert list(cache.names()) == files
    assert all(FeatureCache(root).get(key) is not None for key in KEYS[:5])
    assert pack_entries(FeatureCache(root))["packed"] == 5
    assert FeatureCache(root).verify() == []


def test_an_index_that_another_packer_replaced_takes_no_file(monkeypatch):
    fsspec.filesystem("memory").store.clear()
    root = "memory://bucket/packs"
    cache = filled(root, range(5))
    write = type(cache.storage).write

    def replaced(place, name, pieces):
        write(place, name, pieces if name != INDEX else [EMPTY.to_bytes()])

    with monkeypatch.context() as patched:
        patched.setattr(type(cache.storage), "write", replaced)
        with pytest.raises(CacheError, match="another process pruned or packed"):
            pack_entries(cache)
    assert len(list(cache.names())) == 5


@pytest.mark.parametrize("path", ["a", "\N{CJK UNIFIED IDEOGRAPH-4E2D}" * 2990, "\N{OX}" * 1490])
def test_entries_of_a_clip_lie_side_by_side_however_long_its_path(root, path):
    cache = FeatureCache(root)
    for number in range(10):
        for view in ("rgb", "motion", "rgb flipped"):
            entry = drawn_entry(number, steps=4)
            entry.provenance.update(clip=f"{path}{number}.mp4", view=view)
            cache.put(cache_key({"clip": number, "view": view}), entry)
    pack_entries(cache)
    found = [
        parse_entry(data, entry.key).provenance["clip"] for entry, data in cache.packs.entries([])
    ]
    assert len(list(itertools.groupby(found))) == 10


def test_a_clip_whose_name_is_no_text_is_packed(root):
    cache = filled(root, range(2))
    entry = drawn_entry(2)
    entry.provenance.update(clip=os.fsdecode(b"\xff.mp4"))
    cache.put(KEYS[2], entry)
    assert pack_entries(cache)["packed"] == 3
    assert FeatureCache(root).get(KEYS[2]).provenance["clip"] == os.fsdecode(b"\xff.mp4")


def test_an_entry_shorter_than_its_header_claims_is_counted(root):
    cache = filled(root, range(2))
    cache.storage.write(f"00/{'0' * 64}.safetensors", [(1 << 62).to_bytes(8, "little")])
    cache.storage.write(f"11/{'1' * 64}.safetensors", [(1 << 19).to_bytes(8, "little") + b"{}"])
    assert pack_entries(cache)["damaged"] == 2
