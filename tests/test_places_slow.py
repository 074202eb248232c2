"""A store on a real S3 server, reached over loopback."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from action_gru.config import build_config
from action_gru.core.errors import CacheError
from action_gru.core.progress import Reporter
from action_gru.features import (
    ClipFeatures,
    FeatureCache,
    cache_key,
    extract_on_cluster,
    pack_entries,
)
from action_gru.features.source import make_extractor

pytestmark = pytest.mark.slow
KEY = cache_key({"clip": "cut"})


@pytest.fixture
def bucket(monkeypatch) -> Iterator[str]:
    import fsspec
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    port = server.get_host_and_port()[1]
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    name = f"features-{port}"  # the server keeps its buckets as long as the process lives
    fsspec.filesystem("s3").mkdir(name)
    yield f"s3://{name}/run"
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    server.stop()


def clip(rows: int) -> ClipFeatures:
    values = np.random.default_rng(0).normal(size=(rows, 1280)).astype(np.float16)
    return ClipFeatures(values, np.arange(rows) / 12, rows, {"view": "rgb"})


def test_entries_on_s3_are_those_of_a_folder(bucket, tmp_path):
    store, folder = FeatureCache(bucket), FeatureCache(tmp_path)
    for cache in (store, folder):
        for rows in (1, 50):
            cache.put(cache_key({"rows": rows}), clip(rows))
    assert list(store.names()) == list(folder.names())
    for name in store.names():
        assert store.storage.read(name) == folder.storage.read(name)
    assert store.verify() == []
    assert store.has(cache_key({"rows": 50}))
    assert store.get(cache_key({"rows": 50})).values.tobytes() == clip(50).values.tobytes()
    assert store.get(cache_key({"rows": 2})) is None
    assert store.prune(older_than_s=3600) == {
        "damaged": 0,
        "old": 0,
        "leftovers": 0,
        "unreadable": 0,
    }


def test_an_empty_object_is_damage_and_packing_goes_on(bucket):
    cache = FeatureCache(bucket)
    cache.put(KEY, clip(3))
    empty = f"ab/{'ab' * 32}.safetensors"
    cache.storage.write(empty, [b""])
    assert pack_entries(cache)["packed"] == 1
    assert list(cache.names()) == [empty]
    assert FeatureCache(bucket).get(KEY) is not None
    (shard,) = cache.storage.names(".shard")
    cache.storage.write(shard, [b""])
    fresh = FeatureCache(bucket)
    assert fresh.get(KEY) is None
    assert "not what was packed there" in fresh.damaged[0]


def no_such(bucket: str) -> str:
    return f"s3://typo-{bucket[5:].partition('/')[0]}/x"


@pytest.mark.parametrize(
    "verb", ["get", "has", "put", "stats", "verify", "prune", "names", "pack_entries"]
)
def test_a_bucket_that_is_not_there_is_named_and_not_taken_for_an_empty_one(bucket, verb):
    cache = FeatureCache(no_such(bucket))
    verbs = {
        "get": lambda: cache.get(KEY),
        "has": lambda: cache.has(KEY),
        "put": lambda: cache.put(KEY, clip(3)),
        "names": lambda: list(cache.names()),
        "pack_entries": lambda: pack_entries(cache),
    }
    with pytest.raises(CacheError, match=r"there is no bucket 'typo-.*aws s3 mb s3://typo-"):
        verbs.get(verb, lambda: getattr(cache, verb)())()


def test_a_bucket_that_vanishes_is_named_by_the_next_write(bucket):
    import fsspec

    cache = FeatureCache(bucket)
    assert cache.get(KEY) is None
    fsspec.filesystem("s3").rmdir(bucket.split("/")[2])
    with pytest.raises(CacheError, match="there is no bucket"):
        cache.put(KEY, clip(3))


def test_a_bucket_that_is_not_there_ends_the_commands_with_the_exit_code_of_the_cache(bucket):
    done = subprocess.run(
        [sys.executable, "-m", "action_gru", "cache", "stats", no_such(bucket)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == CacheError.exit_code
    assert "there is no bucket" in done.stderr
    config = build_config({"features": {"cache_dir": no_such(bucket)}})
    with pytest.raises(CacheError, match="there is no bucket"):
        extract_on_cluster(make_extractor, config.to_tree(), [], Reporter(quiet=True))


class Tap:
    """Passes what a client sends on to a server, and stops for good after so many bytes."""

    def __init__(self, port: int, most_bytes: int) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.most_bytes, self.passed = most_bytes, 0
        self._target = port
        self.dry, self.cut = threading.Event(), threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._target))
            threading.Thread(target=self._up, args=(client, server), daemon=True).start()
            threading.Thread(target=self._down, args=(server, client), daemon=True).start()

    def _up(self, client: socket.socket, server: socket.socket) -> None:
        while data := _receive(client):
            self.passed += len(data)
            if self.passed > self.most_bytes:
                self.dry.set()
                self.cut.wait(60)
                server.close()
                return
            server.sendall(data)

    def _down(self, server: socket.socket, client: socket.socket) -> None:
        try:
            while data := _receive(server):
                client.sendall(data)
        except OSError:
            return


def _receive(end: socket.socket) -> bytes:
    try:
        return end.recv(1 << 16)
    except OSError:
        return b""


WRITER = """
import numpy as np, sys
from action_gru.features import ClipFeatures, FeatureCache
rows = int(sys.argv[1])
values = np.random.default_rng(0).normal(size=(rows, 1280)).astype(np.float16)
FeatureCache(sys.argv[2]).put(sys.argv[3], ClipFeatures(values, np.arange(rows) / 12, rows, {}))
"""


# 2 MB go in one request; 120 MB in parts, of which the first is whole when the writer dies.
@pytest.mark.parametrize(("rows", "passed"), [(800, 1 << 20), (48_000, 80 << 20)])
def test_a_writer_that_dies_half_way_leaves_nothing_readable(bucket, rows, passed):
    port = int(os.environ["AWS_ENDPOINT_URL"].rpartition(":")[2])
    tap = Tap(port, passed)
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(rows), bucket, KEY],
        env={**os.environ, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{tap.port}"},
    )
    assert tap.dry.wait(60), "the writer never got that far"
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    tap.cut.set()
    tap.listener.close()
    time.sleep(1.0)  # the server takes note
    cache = FeatureCache(bucket)
    assert cache.get(KEY) is None
    assert not cache.has(KEY)
    assert list(cache.names()) == []
    assert cache.damaged == []
    cache.put(KEY, clip(3))  # and the place is free
    assert cache.get(KEY).values.shape == (3, 1280)
