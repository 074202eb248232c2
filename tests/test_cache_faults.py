"""What the machine refuses is not damage, what a living process holds is no leftover, and a cache
that vanishes is not made again."""

import builtins
import errno
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.entries import KEY, drawn_entry

from action_gru.core.errors import CacheError
from action_gru.core.files import is_abandoned, remove_leftovers, write_atomically
from action_gru.features import FeatureCache, cache_key, pack_entries
from action_gru.features.entry import DamagedEntryError, parse_entry
from action_gru.features.packs import INDEX

REFUSALS = [
    (OSError(errno.EMFILE, "Too many open files"), "Too many open files"),
    (OSError(errno.EIO, "Input/output error"), "Input/output error"),
    (OSError(errno.EACCES, "Permission denied"), "Permission denied"),
    (OSError(errno.ESTALE, "Stale file handle"), "Stale file handle"),
    (MemoryError(), "no memory left"),
]


def refuse(monkeypatch, error: Exception, ending: str = ".safetensors") -> None:
    """Opening such a file fails, as it does when the machine refuses."""
    real = io.open

    def opened(path, *arguments, **options):
        if str(path).endswith(ending):
            raise error
        return real(path, *arguments, **options)

    monkeypatch.setattr(io, "open", opened)
    monkeypatch.setattr(builtins, "open", opened)


@pytest.mark.parametrize(("error", "said"), REFUSALS)
@pytest.mark.parametrize("verb", ["get", "has"])
def test_an_entry_that_the_machine_does_not_give_is_named_and_stays(
    tmp_path, monkeypatch, verb, error, said
):
    cache = FeatureCache(tmp_path)
    cache.put(KEY, drawn_entry())
    before = cache.path_of(KEY).read_bytes()
    with monkeypatch.context() as patched:
        refuse(patched, error)
        with pytest.raises(CacheError, match=rf"{KEY}.*cannot be read \({said}\).*left as it is"):
            getattr(cache, verb)(KEY)
    assert cache.path_of(KEY).read_bytes() == before
    assert cache.damaged == []
    assert cache.get(KEY) is not None


@pytest.mark.parametrize(("error", "said"), REFUSALS)
def test_pruning_leaves_what_it_cannot_read_and_verifying_names_it(
    tmp_path, monkeypatch, error, said
):
    cache = FeatureCache(tmp_path)
    cache.put(KEY, drawn_entry())
    with monkeypatch.context() as patched:
        refuse(patched, error)
        assert cache.prune() == {"damaged": 0, "old": 0, "leftovers": 0, "unreadable": 1}
        (problem,) = cache.verify()
    assert said in problem
    assert cache.get(KEY) is not None


def test_a_refusal_half_way_through_an_entry_is_no_damage(tmp_path, monkeypatch):
    cache = FeatureCache(tmp_path)
    cache.put(KEY, drawn_entry(steps=5000))
    monkeypatch.setattr("action_gru.features.entry.np.frombuffer", raise_memory_error)
    with pytest.raises(CacheError, match="no memory left"):
        cache.has(KEY)
    assert cache.path_of(KEY).exists()


def raise_memory_error(*_: object) -> None:
    raise MemoryError


@pytest.mark.parametrize("length", [1 << 62, (1 << 20) + 1])
def test_a_header_that_claims_too_much_is_damage_and_takes_no_memory(tmp_path, length):
    cache = FeatureCache(tmp_path)
    cache.put(KEY, drawn_entry())
    path = cache.path_of(KEY)
    with path.open("r+b") as file:
        file.write(length.to_bytes(8, "little"))
        file.truncate(min(length, 1 << 22) + 100)
    with pytest.raises(DamagedEntryError, match=f"a header of {length} bytes in a file of"):
        parse_entry(path.read_bytes(), str(path))
    assert cache.get(KEY) is None
    assert not path.exists()


def test_a_shape_that_claims_too_much_is_damage_and_takes_no_memory(tmp_path):
    cache = FeatureCache(tmp_path)
    cache.put(KEY, drawn_entry())
    path = cache.path_of(KEY)
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    header["values"] |= {"shape": [1 << 40, 7], "data_offsets": [40, 40 + 14 * (1 << 40)]}
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])
    with pytest.raises(DamagedEntryError):
        parse_entry(path.read_bytes(), str(path))
    assert not cache.has(KEY)
    assert not path.exists()


def test_an_index_that_claims_too_much_takes_no_memory(tmp_path, monkeypatch):
    cache = FeatureCache(tmp_path)
    cache.put(KEY, drawn_entry())
    pack_entries(cache)
    found = cache.packs.find(KEY)
    for claimed in ({"size": 1 << 60}, {"offset": -8}, {"offset": 1 << 60}):
        wrong = found._replace(**claimed)
        monkeypatch.setattr(cache.packs, "find", lambda _, wrong=wrong: wrong)
        assert cache.get(KEY) is None
    assert "not what was packed there" in cache.damaged[-1]


def test_a_packed_entry_that_the_machine_does_not_give_is_named(tmp_path, monkeypatch):
    cache = FeatureCache(tmp_path)
    cache.put(KEY, drawn_entry())
    pack_entries(cache)
    for ending in (".shard", "index.safetensors"):
        fresh = FeatureCache(tmp_path)
        with monkeypatch.context() as patched:
            refuse(patched, OSError(errno.EMFILE, "Too many open files"), ending)
            with pytest.raises(CacheError, match=r"cannot be read \(Too many open files\)"):
                fresh.get(KEY)
    assert FeatureCache(tmp_path).get(KEY) is not None


def test_an_entry_that_another_process_has_just_healed_is_not_removed(tmp_path, monkeypatch):
    cache = FeatureCache(tmp_path)
    cache.put(KEY, drawn_entry())
    whole = cache.path_of(KEY).read_bytes()
    cache.path_of(KEY).write_bytes(b"damaged")
    read = cache.storage.read

    def read_and_heal(name: str) -> io.BytesIO:
        data = io.BytesIO(read(name))
        write_atomically(cache.path_of(KEY), whole)  # as another process does at this moment
        return data

    monkeypatch.setattr(cache.storage, "open", read_and_heal)
    assert cache.get(KEY) is not None
    assert cache.damaged == []
    assert cache.path_of(KEY).read_bytes() == whole


HOLDER = """
import sys, time
from pathlib import Path
from action_gru.core.files import write_atomically
def pieces():
    yield b"half of it"
    sys.stdout.write("x")
    sys.stdout.flush()
    time.sleep(60)
write_atomically(Path(sys.argv[1]), pieces())
"""


@pytest.fixture
def writer(tmp_path):
    """Another process in the middle of writing an entry; the half-written file."""
    (tmp_path / "ab").mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "ab" / "abc.safetensors")],
        stdout=subprocess.PIPE,
    )
    assert process.stdout.read(1) == b"x"
    (part,) = (tmp_path / "ab").glob(".*.part")
    yield process, part
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.mark.parametrize("jump_s", [-86_400, 0, 86_400])
def test_what_a_living_process_writes_is_no_leftover_whatever_the_clock_says(
    tmp_path, monkeypatch, writer, jump_s
):
    process, part = writer
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + jump_s)
    cache = FeatureCache(tmp_path)
    assert cache.prune()["leftovers"] == 0
    assert part.exists()
    assert cache.stats()["leftovers"] == 1
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert cache.prune()["leftovers"] == 1
    assert not part.exists()


def test_a_leftover_of_another_machine_must_be_an_hour_old(tmp_path):
    part = tmp_path / f".abc.safetensors.0badcafe-{os.getpid()}-5.part"
    part.write_bytes(b"half")
    assert not is_abandoned(part)
    assert remove_leftovers(tmp_path) == 0
    os.utime(part, (1, 1))
    assert is_abandoned(part)
    assert remove_leftovers(tmp_path) == 1
    assert not part.exists()


def test_shards_of_a_packing_that_goes_on_are_not_removed_whatever_the_clock_says(
    tmp_path, monkeypatch
):
    cache = FeatureCache(tmp_path)
    cache.put(KEY, drawn_entry())
    cache.storage.write("shards/abc.shard", [b"of a packing that goes on"])
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + 86_400)
    with cache.storage.locked("shards/.lock"):
        assert FeatureCache(tmp_path).prune()["leftovers"] == 0
    assert FeatureCache(tmp_path).prune()["leftovers"] == 1


@pytest.mark.parametrize("verb", ["stats", "verify", "prune"])
def test_looking_after_a_cache_bears_that_another_process_removes_entries(
    tmp_path, monkeypatch, verb
):
    cache = FeatureCache(tmp_path)
    for number in range(3):
        cache.put(cache_key({"clip": number}), drawn_entry(number))
    names = list(cache.names())

    def with_ghosts(ending: str):
        yield from [*names, f"00/{'0' * 64}.safetensors"] if ending == ".safetensors" else []

    monkeypatch.setattr(cache.storage, "names", with_ghosts)
    found = cache.prune(older_than_s=1e6) if verb == "prune" else getattr(cache, verb)()
    counts = {"entries": 3, "bytes": sum(p.stat().st_size for p in tmp_path.glob("*/*"))}
    assert (
        found
        == {
            "stats": counts | {"leftovers": 0, "packed": 0},
            "verify": [],
            "prune": {"damaged": 0, "old": 0, "leftovers": 0, "unreadable": 0},
        }[verb]
    )


@pytest.mark.parametrize("how", ["gone", "unmounted"])
def test_a_cache_that_vanishes_is_named_at_once_and_not_made_again(tmp_path, how):
    root = tmp_path / "disk" / "cache"
    cache = FeatureCache(root)
    cache.put(KEY, drawn_entry())
    root.rename(tmp_path / "away")
    if how == "unmounted":  # an empty folder shows where the disk was
        root.mkdir()
    other = cache_key({"clip": 2})
    for verb in (
        lambda: cache.put(other, drawn_entry()),
        lambda: cache.get(KEY),
        lambda: cache.has(KEY),
    ):
        with pytest.raises(CacheError, match=r"vanished while it was in use; bring it back"):
            verb()
    assert root.exists() == (how == "unmounted")
    assert list(tmp_path.rglob(f"{other}*")) == []
    shutil.rmtree(root, ignore_errors=True)
    (tmp_path / "away").rename(root)
    assert cache.get(KEY) is not None
    cache.put(other, drawn_entry())


def test_the_first_write_makes_the_folder_and_an_index_is_found_later(tmp_path):
    cache = FeatureCache(tmp_path / "new" / "cache")
    assert cache.get(KEY) is None
    cache.put(KEY, drawn_entry())
    pack_entries(cache)
    assert (tmp_path / "new" / "cache" / INDEX).is_file()


def test_a_folder_that_must_be_there_is_not_made(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "run" / "a.json", b"{}", tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_locked_by_its_writer_until_it_has_its_name(tmp_path):
    path: Path = tmp_path / "a"

    def pieces():
        (part,) = tmp_path.glob(".*.part")
        assert not is_abandoned(part)
        yield b"whole"

    write_atomically(path, pieces())
    assert path.read_bytes() == b"whole"
    assert list(tmp_path.glob(".*")) == []
