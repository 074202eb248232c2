"""From cached entries to the arrays a model trains on."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from action_gru.backbone import FeatureSpec
from action_gru.dataset import Clip
from action_gru.features import (
    ClipFeatures,
    ExtractionReport,
    FeatureCache,
    LazyFeatures,
    ViewKey,
    cache_key,
    pack_entries,
)
from action_gru.features.sequences import FeatureTable, SequenceSet

STREAMS = [ViewKey("rgb"), ViewKey("motion"), ViewKey("rgb", True), ViewKey("motion", True)]
CLASSES = ("a", "b", "c")


def key_of(name: str, stream: ViewKey) -> str:
    return cache_key({"clip": name, "stream": str(stream)})


@pytest.fixture
def clips(tmp_path) -> list[Clip]:
    """Twelve clips of different length, in a cache of files."""
    cache, made = FeatureCache(tmp_path / "cache"), []
    rng = np.random.default_rng(0)
    for number in range(12):
        name = f"{number:02d}.mp4"
        label = CLASSES[number % 3]
        made.append(Clip(Path(name), name, label, name, "train", None, None))
        for stream in STREAMS:
            values = rng.normal(size=(2 + number % 5, 3)).astype(np.float16)
            entry = ClipFeatures(values, np.arange(len(values)) / 10, 5, {"clip": name})
            cache.put(key_of(name, stream), entry)
    return made


def table(root: Path, clips: list[Clip], most_bytes: int) -> tuple[FeatureTable, list[str]]:
    """A table over the cache, and the names of the clips as they are read."""
    cache, read = FeatureCache(root / "cache"), []
    report = ExtractionReport(
        keys={
            clip.name: {stream: key_of(clip.name, stream) for stream in STREAMS} for clip in clips
        }
    )
    name_of = {key: name for name, keys in report.keys.items() for key in keys.values()}
    get = cache.get
    cache.get = lambda key: (read.append(name_of[key]), get(key))[1]
    kept = LazyFeatures(cache, report, clips, most_bytes)
    specs = tuple(
        FeatureSpec(view, "weights", "0", "last", 32, "squash", "float32", 3)
        for view in ("rgb", "motion")
    )
    return FeatureTable(kept, specs, report, True, most_bytes=most_bytes), read


def everything(data: SequenceSet) -> list[bytes]:
    """The rows and labels of a set as a model meets them, both sides."""
    found = [data.labels.numpy().tobytes()]
    for flipped in (False, True):
        _, start, length = data.read_windows(4, flipped)
        found += [data.gather(start, length).numpy().tobytes()]
    rows = [torch.arange(int(length)).flip(0) for length in data.lengths]
    return [*found, data.with_rows(rows).values.numpy().tobytes()]


@pytest.mark.parametrize("most_bytes", [1 << 20, 100])
def test_packing_changes_the_order_of_reading_and_nothing_else(tmp_path, clips, most_bytes):
    before, read = table(tmp_path, clips, most_bytes)
    expected = everything(before.sequences(clips, CLASSES))
    assert [name for name, _ in itertools.groupby(read)][:12] == [clip.name for clip in clips]
    cache = FeatureCache(tmp_path / "cache")
    pack_entries(cache, shard_bytes=4000)
    after, read = table(tmp_path, clips, most_bytes)
    data = after.sequences(clips, CLASSES)
    assert everything(data) == expected
    assert data.labels.tolist() == [CLASSES.index(clip.label) for clip in clips]
    packed = [entry.key for entry, _ in cache.packs.entries([])]
    names = {key_of(clip.name, stream): clip.name for clip in clips for stream in STREAMS}
    in_shards = list(dict.fromkeys(names[key] for key in packed))
    assert in_shards != [clip.name for clip in clips]
    assert [name for name, _ in itertools.groupby(read)][:12] == in_shards
    assert after.sequences(clips[3:7], CLASSES).labels.tolist() == [0, 1, 2, 0]
