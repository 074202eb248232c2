import builtins

import numpy as np
import pytest
from helpers.people_doubles import boxes_of

from action_gru.core.errors import MissingExtraError
from action_gru.detection.detector import BoxTracker, Detections, no_detections

BLANK = np.zeros((120, 200, 3), np.uint8)
NAMES = ("person",)


def person(left, top=20, score=0.9):
    return ("person", left, top, left + 20, top + 60, score)


def follow(tracker, frames):
    """Of each frame: left edge -> number."""
    return [
        {round(float(one.box[0])): one.number for one in tracker.update(boxes_of(f, NAMES), BLANK)}
        for f in frames
    ]


@pytest.mark.parametrize("kind", ["bytetrack", "botsort"])
def test_a_number_stays_with_its_box_whatever_the_order(kind):
    tracker = BoxTracker(kind, min_score=0.3, patience=5)
    frames = [[person(10 + 2 * i), person(150 - 2 * i)] for i in range(10)]
    found = follow(tracker, [frame[:: (-1) ** i] for i, frame in enumerate(frames)])
    left = found[0][10]
    right = found[0][150]
    assert left != right
    assert [frame[10 + 2 * i] for i, frame in enumerate(found)] == [left] * 10
    assert [frame[150 - 2 * i] for i, frame in enumerate(found)] == [right] * 10


def test_who_is_hidden_for_a_moment_keeps_the_number_and_later_gets_a_new_one():
    tracker = BoxTracker("bytetrack", min_score=0.3, patience=5)
    here, gone = [person(50)], []
    first = follow(tracker, [here, here])[-1][50]
    follow(tracker, [gone] * 4)
    assert follow(tracker, [here])[0][50] == first
    follow(tracker, [gone] * 8)
    assert follow(tracker, [here, here])[-1][50] != first


def test_a_weak_box_continues_a_track_and_starts_none():
    tracker = BoxTracker("bytetrack", min_score=0.3, patience=5)
    assert follow(tracker, [[person(50, score=0.2)]] * 3) == [{}, {}, {}]
    follow(tracker, [[person(50)]] * 2)
    assert list(follow(tracker, [[person(50, score=0.2)]])[0]) == [50]


def test_a_flicker_of_one_frame_is_no_track():
    tracker = BoxTracker("bytetrack", min_score=0.3, patience=5)
    found = follow(tracker, [[person(10)], [person(10), person(150)], [person(10)]])
    assert [list(frame) for frame in found] == [[10], [10], [10]]


def test_two_trackers_count_by_themselves():
    one, other = (BoxTracker("bytetrack", min_score=0.3, patience=5) for _ in range(2))
    assert follow(one, [[person(10)]]) == follow(other, [[person(10)]]) == [{10: 1}]


def test_the_row_says_which_detection_it_is():
    tracker = BoxTracker("bytetrack", min_score=0.3, patience=5)
    rows = boxes_of([person(10, score=0.2), person(150)], NAMES)
    (one,) = tracker.update(rows, BLANK)
    assert (one.row, one.box.tolist()) == (1, [150, 20, 170, 80])


def test_no_box_is_no_track():
    assert BoxTracker("bytetrack", min_score=0.3, patience=5).update(no_detections(), BLANK) == []


def test_detections_refuse_other_shapes():
    with pytest.raises(ValueError, match=r"need boxes \(N, 4\), scores \(N,\) and kinds"):
        Detections(np.zeros((2, 4), np.float32), np.zeros(1, np.float32), np.zeros(2, np.int64))


def test_without_lap_the_extra_is_named(monkeypatch):
    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name == "lap":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingExtraError, match=r"'lap'.*action-gru\[people\]"):
        BoxTracker("bytetrack", min_score=0.3, patience=5)
