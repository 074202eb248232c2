"""What packing bears: files that are no entries, shards that are none, sizes that are none."""

import pytest
from test_cli import run
from test_packs import filled

from action_gru.cache import FeatureCache, pack_entries


def test_a_folder_named_like_an_entry_is_named_and_left(tmp_path):
    cache = filled(tmp_path, range(3))
    stray = tmp_path / "ab" / f"{'ab' * 32}.safetensors"
    stray.mkdir(parents=True)
    told: list[str] = []
    counts = pack_entries(cache, tell=told.append)
    assert counts == {"packed": 3, "damaged": 0, "unreadable": 1, "shards": 1}
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
    data = bytearray(cache.place.read(others[-1]))
    data[-1] ^= 0xFF
    cache.place.write(others[-1], [bytes(data)])
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
