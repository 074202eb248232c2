"""Long videos whose instants have labels: from the manifest to targets, training and report."""

import numpy as np
import pytest

from action_gru.core.errors import DataError
from action_gru.dataset import Clip, data_hash
from action_gru.dataset.segments import (
    join_stretches,
    labelled_stretches,
    labels_at,
    reference_events,
)


def row(label, start_s=None, end_s=None, path="v.mp4", split="", group="g"):
    shows = tuple(name for name in label.split("; ") if name)
    return Clip(path, path, label, group, split, start_s, end_s, shows if "; " in label else ())


def video(*rows, many=False):
    (found,) = join_stretches(rows, many, "background")
    return found


TIMES_S = np.arange(0, 6.0)


def test_rows_of_one_path_are_one_video():
    rows = [row("b", 3, 4), row("a", 0, 1), row("a", 0, 2, "w.mp4")]
    first, second = join_stretches(rows, False, "background")
    assert (first.name, first.shows, first.label) == ("v.mp4", ("a", "b"), "a")
    assert [part.start_s for part in first.stretches] == [0, 3]
    assert (second.name, second.start_s, second.end_s) == ("w.mp4", None, None)


def test_what_lies_under_no_row_is_unlabelled():
    assert labels_at(TIMES_S, video(row("a", 1, 3), row("b", 3, 4)), False, "background") == [
        None, ("a",), ("a",), ("b",), None, None,
    ]  # fmt: skip


def test_a_watched_stretch_without_a_label_shows_nothing():
    one = video(row("a", 1, 3), row("", 0, 5))
    assert one.shows == ("a", "background")
    nothing = ("background",)
    expected = [nothing, ("a",), ("a",), nothing, nothing, None]
    assert labels_at(TIMES_S, one, False, "background") == expected
    several = video(row("a; b", 1, 3), row("b", 2, 4), row(""), many=True)
    assert several.shows == ("a", "b")
    expected = [(), ("a", "b"), ("a", "b"), ("b",), (), ()]
    assert labels_at(TIMES_S, several, True, "background") == expected


def test_a_watched_stretch_that_segments_cover_has_no_background():
    assert video(row("", 0, 4), row("a", 0, 2), row("b", 2, 4)).shows == ("a", "b")
    assert "background" in video(row(""), row("a", 0, 2), row("b", 2, 4)).shows


def test_overlapping_segments_are_refused_unless_there_may_be_many():
    rows = [row("a", 0, 2), row("b", 1.5, 3)]
    with pytest.raises(
        DataError, match=r"v.mp4\[1.5:3\] \('b'\) begins before .* data.labels=many"
    ):
        video(*rows)
    assert labels_at(TIMES_S, video(*rows, many=True), True, "")[2] == ("b",)
    rounded = video(row("a", 0, 2.0004), row("b", 2, 3))
    assert labels_at(TIMES_S, rounded, False, "")[2] == ("b",)


def test_rows_of_one_video_cannot_differ_in_split():
    with pytest.raises(DataError, match="splits 'test', 'train'"):
        video(row("a", 0, 1, split="train"), row("b", 1, 2, split="test"))


def test_a_class_list_must_have_the_background():
    with pytest.raises(DataError, match="lacks 'background'"):
        join_stretches([row("a", 0, 1), row("b", 1, 2), row("")], False, "background", ("a", "b"))


def test_the_hash_of_the_data_depends_on_every_segment():
    hashes = {data_hash([video(row("a", 0, end_s), row("b", 2, 3))]) for end_s in (1, 1.5)}
    assert len(hashes) == 2


def test_stretches_and_events_end_with_the_video():
    one = video(row("a", 1, 3), row("", 0, 2), row("b", 5, 9), row("c", 20, 21))
    assert labelled_stretches(one, 6.0) == [(0, 3), (5, 6.0)]
    found = [(e.label, e.start_s, e.end_s) for e in reference_events(one, 6.0, ["a"])]
    assert found == [("b", 5, 6.0)]
