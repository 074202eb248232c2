"""A store in a folder by URL and in an object store by URL."""

from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from helpers.entries import KEY, drawn_entry

from action_gru.config import build_config
from action_gru.core.errors import CacheError, ConfigError, MissingExtraError
from action_gru.features import FeatureCache, cache_key
from action_gru.features.storage import open_storage


@pytest.fixture
def memory() -> str:
    files = fsspec.filesystem("memory")
    files.store.clear()
    return "memory://bucket/features"


def test_a_file_url_is_the_folder_itself(tmp_path):
    by_url = FeatureCache(f"file://{tmp_path}/with%20space")
    by_url.put(KEY, drawn_entry())
    by_path = FeatureCache(tmp_path / "with space")
    assert by_path.get(KEY).values.tobytes() == drawn_entry().values.tobytes()
    assert by_url.path_of(KEY) == by_path.path_of(KEY)


def test_an_object_holds_the_bytes_of_the_file(tmp_path, memory):
    folder, store = FeatureCache(tmp_path), FeatureCache(memory)
    assert store.get(KEY) is None
    assert not store.has(KEY)
    for cache in (folder, store):
        cache.put(KEY, drawn_entry())
        assert cache.has(KEY)
    assert list(store.names()) == [f"{KEY[:2]}/{KEY}.safetensors"] == list(folder.names())
    held = fsspec.filesystem("memory").cat_file(f"/bucket/features/{KEY[:2]}/{KEY}.safetensors")
    assert held == folder.path_of(KEY).read_bytes()
    assert store.get(KEY).values.tobytes() == drawn_entry().values.tobytes()
    assert store.stats() == folder.stats()


def test_a_damaged_object_is_removed_and_named(memory):
    cache = FeatureCache(memory)
    cache.put(KEY, drawn_entry())
    cache.put(cache_key({"clip": 2}), drawn_entry())
    place = cache.storage
    name = next(name for name in cache.names() if KEY in name)
    place.write(name, [place.read(name)[:-1]])
    assert [name in problem for problem in cache.verify()] == [True]
    assert not cache.has(KEY)
    assert "memory://bucket/features/" in cache.damaged[0]
    place.write(name, [b"no entry"])
    assert cache.get(KEY) is None
    assert KEY not in "".join(cache.names())
    place.write(name, [b"no entry"])
    assert cache.prune() == {"damaged": 1, "old": 0, "leftovers": 0, "unreadable": 0}
    assert cache.stats()["entries"] == 1


def test_a_clip_that_breaks_while_it_is_written_leaves_no_object(memory):
    cache = FeatureCache(memory)

    def pieces() -> Iterator[bytes]:
        yield b"half of it"
        raise OSError("the disk of the rows broke")

    with pytest.raises(CacheError, match=r"memory://bucket/.*the disk of the rows broke"):
        cache.storage.write("ab/abc.safetensors", pieces())
    assert list(cache.names()) == []


def test_a_store_that_does_not_answer_is_not_taken_for_an_empty_one(memory, monkeypatch):
    cache = FeatureCache(memory)
    cache.put(KEY, drawn_entry())

    def broken(*_: object, **__: object) -> bytes:
        raise ConnectionError("no route to host")

    monkeypatch.setattr(cache.storage._files, "cat_file", broken)
    monkeypatch.setattr(cache.storage._files, "get_file", broken)
    with pytest.raises(CacheError, match=r"did not answer \(ConnectionError: no route to host\)"):
        cache.get(KEY)
    with pytest.raises(CacheError, match=r"check features\.cache_dir, the network and"):
        cache.has(KEY)
    monkeypatch.undo()
    assert cache.get(KEY) is not None  # it was not removed either
    assert cache.damaged == []


def test_another_kind_of_url_is_refused_by_name():
    with pytest.raises(CacheError, match=r"ftp://.*folder, file://, memory:// or s3://"):
        open_storage("ftp://host/features")


@pytest.mark.parametrize(
    "where",
    [
        "",
        "  ",
        "file:rel",
        "file:/q",
        "File:x",
        "s3:bucket/x",
        "s3:/bucket/x",
        "http:/host/x",
        "memory:x",
        "file://",
        "file://host",
        "file://host/x",
        "file://rel",
        "s3://",
        "S3:///x",
        "memory://",
        "FTP://host/x",
        "~nobody-of-that-name/x",
    ],
)
def test_what_is_nearly_a_url_or_no_place_is_refused_and_no_folder_is_made(
    where, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CacheError):
        FeatureCache(where).put(KEY, drawn_entry())
    with pytest.raises(CacheError):
        FeatureCache(where)
    assert list(tmp_path.iterdir()) == []


def test_the_case_of_a_scheme_does_not_matter_and_home_is_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for where, root in {
        f"FILE://{tmp_path}/q": tmp_path / "q",
        f"file://localhost{tmp_path}/q": tmp_path / "q",
        "~/x": tmp_path / "home" / "x",
        "a:b": Path("a:b"),
        "./s3:b": Path("s3:b"),
        "a/s3://b": Path("a/s3:/b"),
    }.items():
        assert open_storage(where).root == root
    store = open_storage("MEMORY://Bucket/X")
    assert (store.scheme, store.root) == ("memory", "Bucket/X")


def test_a_refusal_says_what_to_write_instead(tmp_path):
    with pytest.raises(CacheError, match=r"s3:b/x: neither a URL .*take a folder.*: \./s3:b/x"):
        open_storage("s3:b/x")
    with pytest.raises(CacheError, match=r"file://host/x.*file:///mnt/share/features; mount"):
        open_storage("file://host/x")
    with pytest.raises(CacheError, match=r"names no bucket; write s3://BUCKET/PREFIX"):
        open_storage("s3://")


def test_the_missing_extra_is_named(monkeypatch):
    def absent(*_: object, **__: object) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec, "filesystem", absent)
    with pytest.raises(MissingExtraError, match=r"s3://.*pip install 'action-gru\[s3\]'"):
        FeatureCache("s3://bucket/features")


def test_the_config_keeps_a_url_as_it_stands():
    config = build_config({}, ["features.cache_dir=s3://bucket/a#b"])
    assert config.features.cache_dir == "s3://bucket/a#b"
    with pytest.raises(ConfigError, match=r"features.cache_dir"):
        build_config({"features": {"cache_dir": ""}})
