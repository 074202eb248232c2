"""What holds for any input: of configs, sampling, splits, the cache and padding."""

import itertools
import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from helpers.sampling import sample
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from action_gru.config import build_config, to_yaml
from action_gru.config.reading import load_config
from action_gru.core.errors import ConfigError, DataError
from action_gru.dataset import Clip, split_clips
from action_gru.features import ClipFeatures, FeatureCache, cache_key
from action_gru.features.sequences import SequenceSet
from action_gru.views.sampling import windows

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
SECTIONS = list(build_config({}).to_tree())
KEYS = [f"{section}.{key}" for section, keys in build_config({}).to_tree().items() for key in keys]


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(SECTIONS), PLAIN, max_size=3), st.sampled_from(KEYS), PLAIN)
def test_any_tree_is_a_config_or_an_error_that_names_a_key(tree, key, value):
    section, name = key.split(".")
    inner = tree.get(section)
    tree[section] = {**(inner if isinstance(inner, dict) else {}), name: value}
    config, said = None, ""
    try:
        config = build_config(tree)
    except ConfigError as error:
        said = str(error)
    if config is None:
        assert any(word in said for word in [*SECTIONS, "JSON", "plain values"])
        return
    assert build_config(yaml.safe_load(json.dumps(config.to_tree()))) == config


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_a_config_or_a_config_error(text):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.yaml"
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        config, said = None, ""
        try:
            config = load_config(path)
        except ConfigError as error:
            said = str(error)
        if config is None:
            assert said.startswith(str(path))
            return
        path.write_text(to_yaml(config), encoding="utf-8")
        assert load_config(path) == config


@given(
    st.lists(st.floats(0.0, 20.0), min_size=1, max_size=60),
    st.floats(0.1, 60.0),
    st.floats(0.0, 5.0),
    st.none() | st.floats(0.0, 25.0),
)
def test_sampling_takes_frames_in_order_at_most_one_an_instant(times, fps, start_s, end_s):
    times = sorted(set(times))
    taken = sample(times, fps, start_s, end_s)
    assert taken == sorted(set(taken))
    chosen = [times[index] for index in taken]
    assert all(time_s >= start_s - 0.0015 for time_s in chosen)
    assert all(end_s is None or time_s < end_s for time_s in chosen)
    if chosen:  # no more frames than instants k / fps up to the last one
        assert len(chosen) <= int((chosen[-1] + 0.0015 - start_s) * fps + 1e-6) + 1
    inside = [t for t in times if t >= start_s and (end_s is None or t < end_s - 0.0015)]
    assert not inside or chosen  # the first frame of a stretch is always looked at
    # Frames that follow never change what was taken before: a stream and a file agree.
    assert sample(times[: len(times) // 2], fps, start_s, end_s) == [
        index for index in taken if index < len(times) // 2
    ]


@given(st.integers(1, 5000), st.integers(1, 500))
def test_windows_cover_a_sequence_once_and_are_equal_but_for_one(length, most):
    cut = windows(length, most)
    sizes = [high - low for low, high in cut]
    assert cut[0][0] == 0
    assert cut[-1][1] == length
    assert all(one[1] == other[0] for one, other in itertools.pairwise(cut))
    assert max(sizes) <= most
    assert max(sizes) - min(sizes) <= 1
    assert len(cut) == -(-length // most)


@settings(deadline=None)
@given(
    st.lists(st.integers(1, 4), min_size=6, max_size=15),
    st.floats(0.1, 0.3),
    st.floats(0.0, 0.3),
    st.integers(0, 10),
)
def test_a_split_has_every_clip_once_and_divides_no_group(sizes, test_share, val_share, seed):
    clips = [
        Clip(Path(f"/{group}/{label}{index}.mp4"), f"{group}/{label}{index}", label, str(group))
        for group, size in enumerate(sizes)
        for label in ("run", "sit")
        for index in range(size)
    ]
    split = split_clips(clips, "group", test_share, val_share, seed)
    sides = [split.train, split.val, split.test]
    assert sorted(clip.name for side in sides for clip in side) == sorted(c.name for c in clips)
    groups = [{clip.group for clip in side} for side in sides]
    assert sum(map(len, groups)) == len(set().union(*groups))
    assert {clip.label for clip in split.test} <= {clip.label for clip in split.train}
    assert split_clips(clips, "group", test_share, val_share, seed) == split


VALUES = st.integers(0, 2**32 - 1).map(np.random.default_rng)


@settings(max_examples=50, deadline=None)
@given(VALUES, st.integers(1, 30), st.integers(1, 9), PLAIN, st.data())
def test_the_cache_gives_what_was_put_and_never_what_was_changed(rng, count, dim, note, data):
    values = rng.normal(size=(count, dim)).astype(np.float16)
    note = json.loads(json.dumps(note, default=str))
    assume("NaN" not in json.dumps(note))  # it equals nothing
    clip = ClipFeatures(values, np.sort(rng.random(count)), count, {"note": note})
    with tempfile.TemporaryDirectory() as folder:
        cache, key = FeatureCache(folder), cache_key({"clip": "a"})
        cache.put(key, clip)
        found = cache.get(key)
        assert found is not None
        assert found.values.tobytes() == values.tobytes()
        assert found.times_s.tobytes() == clip.times_s.tobytes()
        assert found.provenance == {"note": note}
        content = bytearray(cache.path_of(key).read_bytes())
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
        cache.path_of(key).write_bytes(content)
        changed = cache.get(key)
        if changed is not None:  # a blank of the header: it holds nothing
            assert changed.values.tobytes() == values.tobytes()
            assert changed.times_s.tobytes() == clip.times_s.tobytes()


@settings(max_examples=50, deadline=None)
@given(VALUES, st.lists(st.integers(1, 12), min_size=1, max_size=6), st.integers(1, 5))
def test_what_is_laid_end_to_end_comes_out_as_it_went_in(rng, lengths, dim):
    clips = [
        ClipFeatures(rng.normal(size=(n, dim)).astype(np.float16), np.arange(n) * 0.1)
        for n in lengths
    ]
    packed = SequenceSet([[clip] for clip in clips], list(range(len(clips))))
    batch = packed.gather(packed.starts, packed.lengths)
    assert batch.shape == (len(lengths), max(lengths), dim)
    for row, clip in zip(batch, clips, strict=True):
        assert torch.equal(row[: len(clip.values)], torch.from_numpy(clip.values).float())
        assert not row[len(clip.values) :].any()
    for most in (1, 4, 100):
        clip_of, starts, sizes = packed.read_windows(most)
        assert sizes.tolist() == [b - a for n in lengths for a, b in windows(n, most)]
        assert int(sizes.sum()) == sum(lengths)
        assert starts.tolist() == sorted(starts.tolist())
        assert clip_of.tolist() == sorted(clip_of.tolist())


def test_views_of_other_lengths_are_refused_whatever_they_are():
    clips = [ClipFeatures(np.zeros((n, 2), np.float16), np.arange(n) * 1.0) for n in (2, 3)]
    with pytest.raises(DataError, match=r"differ in length: \[2, 3\]"):
        SequenceSet([clips], [0])
