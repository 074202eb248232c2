from dataclasses import FrozenInstanceError
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from action_gru.core.errors import DataError
from action_gru.timeline import Event, EventTracker, ManyEventTracker, Prediction, ScoreTrack

STEP_S = 0.1
CLASSES = ("idle", "jump", "run")


def predictions(rows, classes=CLASSES, start_s=0.0):
    """One prediction each STEP_S; rows (N, C) probabilities."""
    for number, row in enumerate(rows):
        yield Prediction.from_probabilities(classes, row, start_s + number * STEP_S)


def levels(label, values, classes=CLASSES):
    """The score of one class over time; the others share the rest."""
    rows = np.empty((len(values), len(classes)))
    rows[:] = (1 - np.array(values))[:, None] / (len(classes) - 1)
    rows[:, classes.index(label)] = values
    return list(rows)


def certain(spans):
    """[("run", 10), ...] -> ten steps of run at 0.8, ..."""
    return [row for label, steps in spans for row in levels(label, [0.8] * steps)]


def tracker_with(**options):
    given = {"enter": 0.5, "exit": 0.3, "min_event_s": 0.4, "smoothing_s": 0.0, **options}
    return EventTracker(**given)


def found(rows, classes=CLASSES, **options):
    """All events of a sequence, whenever they are announced."""
    tracker = tracker_with(**options)
    events = [event for one in predictions(rows, classes) for event in tracker.push(one)]
    return events + tracker.finish()


def spans(events):
    return [(event.label, round(event.start_s, 3), round(event.end_s, 3)) for event in events]


def test_an_event_ends_as_the_next_begins():
    assert spans(found(certain([("run", 10), ("jump", 10)]))) == [
        ("run", 0.0, 1.0),
        ("jump", 1.0, 1.9),
    ]


def test_a_takeover_counts_from_when_the_other_became_best_not_from_when_it_was_sure():
    slow = [[0.05, 0.45, 0.5]] * 1 + [[0.1, 0.46, 0.44]] * 4 + levels("jump", [0.8] * 10)
    rows = [*certain([("run", 10)]), *slow]
    assert spans(found(rows)) == [("run", 0.0, 1.1), ("jump", 1.1, 2.4)]


def test_flicker_is_merged():
    rows = certain([("run", 10), ("jump", 2), ("run", 10)])
    assert spans(found(rows)) == [("run", 0.0, 2.1)]


def test_a_short_dip_is_bridged_and_a_long_one_is_not():
    quiet = [[0.4, 0.3, 0.3]]
    rows = [*certain([("run", 10)]), *quiet * 3, *certain([("run", 10)])]
    assert spans(found(rows, exit=0.35)) == [("run", 0.0, 2.2)]
    rows = [*certain([("run", 10)]), *quiet * 5, *certain([("run", 10)])]
    assert spans(found(rows, exit=0.35)) == [("run", 0.0, 1.0), ("run", 1.5, 2.4)]


def test_a_slow_return_within_a_short_dip_is_bridged():
    values = [0.8] * 10 + [0.2] * 2 + [0.4] * 10 + [0.8] * 10
    assert spans(found(levels("run", values), exit=0.3)) == [("run", 0.0, 3.1)]


def test_a_short_event_is_dropped():
    assert found(certain([("idle", 10), ("jump", 3), ("idle", 10)]), background=["idle"]) == []
    rows = certain([("run", 10), ("jump", 3), ("idle", 10)])
    assert spans(found(rows, background=["idle"])) == [("run", 0.0, 1.0)]


def test_an_onset_is_dated_back_to_where_the_score_rose_above_exit():
    values = [0.1, 0.2, 0.32, 0.36, 0.4, 0.45, 0.6, 0.8, 0.8, 0.8, 0.25, 0.1]
    assert spans(found(levels("run", values))) == [("run", 0.2, 1.0)]


def test_what_never_reaches_enter_is_no_event():
    assert found(levels("run", [0.2, *[0.49] * 50, 0.2])) == []


def test_background_is_never_an_event_and_ends_one():
    rows = certain([("idle", 10), ("run", 10), ("idle", 10)])
    assert spans(found(rows, background=["idle"])) == [("run", 1.0, 2.0)]
    tracker = tracker_with(background=["idle"])
    for one in predictions(certain([("idle", 20)])):
        tracker.push(one)
        assert tracker.current == ()


def test_an_onset_is_not_dated_back_across_background():
    weak = [[0.65, 0.0, 0.35]] * 50  # run stays above exit all the time
    rows = [*weak, *certain([("run", 10)]), *weak, *certain([("run", 10)])]
    assert spans(found(rows, background=["idle"])) == [("run", 5.0, 6.0), ("run", 11.0, 11.9)]


@pytest.mark.parametrize("smoothing_s", [0.2, 0.4, 1.0])
def test_smoothing_does_not_shift_a_takeover(smoothing_s):
    rows = certain([("run", 31), ("jump", 30)])
    got = found(rows, smoothing_s=smoothing_s)
    assert [event.label for event in got] == ["run", "jump"]
    assert got[0].end_s == got[1].start_s == pytest.approx(3.05, abs=STEP_S / 2 + 1e-9)


def test_smoothing_widens_both_ends_alike():
    classes = ("run", *(f"other {number}" for number in range(10)))
    values = [0.0] * 30 + [1.0] * 31 + [0.0] * 30
    (got,) = found(levels("run", values, classes), classes, smoothing_s=0.8)
    assert (got.start_s + got.end_s) / 2 == pytest.approx(4.5, abs=STEP_S)
    assert got.duration_s == pytest.approx(3.1, abs=0.5)


def test_times_are_those_that_the_predictions_speak_of():
    tracker = tracker_with()
    for number, row in enumerate(certain([("run", 20)])):
        time_s = 2.0 + number * STEP_S
        tracker.push(Prediction.from_probabilities(CLASSES, row, time_s, time_s - 2.0))
    assert spans(tracker.finish()) == [("run", 0.0, 2.9)]


def test_an_event_is_announced_when_it_can_no_longer_be_taken_up():
    tracker = tracker_with()
    rows = certain([("run", 10), ("jump", 10)])
    announced = [spans(tracker.push(one)) for one in predictions(rows)]
    assert announced[14] == [("run", 0.0, 1.0)]
    assert sum(map(len, announced)) == 1


def test_the_score_is_the_mean_over_the_event():
    (got,) = found(levels("run", [0.6] * 5 + [0.8] * 5))
    assert got.score == pytest.approx(0.7)


def test_finish_closes_what_is_open_up_to_the_end_and_starts_afresh():
    tracker = tracker_with(smoothing_s=0.4)
    for one in predictions(certain([("run", 10)])):
        tracker.push(one)
    assert spans(tracker.finish(1.0)) == [("run", 0.0, 1.0)]
    assert tracker.finish() == []
    assert tracker.current == ()
    for one in predictions(certain([("run", 10)]), start_s=60.0):
        tracker.push(one)
    assert spans(tracker.finish()) == [("run", 60.0, 60.7)]  # the last answer is 0.2 s behind


def test_current_is_what_goes_on_and_lasts_already():
    tracker = tracker_with()
    shown = []
    for one in predictions(certain([("run", 10), ("jump", 10)])):
        tracker.push(one)
        shown += [[event.label for event in tracker.current]]
    assert shown == [[]] * 4 + [["run"]] * 6 + [[]] * 4 + [["jump"]] * 6


@pytest.mark.slow
def test_memory_does_not_grow():
    tracker = tracker_with(smoothing_s=0.4)
    rng = np.random.default_rng(0)
    rows = rng.dirichlet([0.3] * 3, 500)
    for number in range(100_000):
        row = rows[number // 20 % 500]
        tracker.push(Prediction.from_probabilities(CLASSES, row, number * STEP_S))
        assert len(tracker._recent) <= 6
        assert len(tracker._above_since) <= 3
        assert not tracker._over


def test_memory_does_not_grow_where_time_stands_still():
    tracker = tracker_with()
    tracker._recent.extend((0.0, np.ones(3) / 3) for _ in range(10_000))
    assert len(tracker._recent) == 4096


@pytest.mark.parametrize(("enter", "exit"), [(0.3, 0.5), (1.1, 0.5), (0.5, -0.1)])
def test_thresholds_that_make_no_sense_are_refused(enter, exit):
    with pytest.raises(DataError, match=f"got exit {exit}, enter {enter}"):
        EventTracker(enter=enter, exit=exit)


def events_by_hand(values, enter, exit, min_event_s):
    """The definition for one class that nothing takes over from, over the whole sequence."""
    times_s = np.arange(len(values)) * STEP_S
    ends_s = [*times_s, times_s[-1]]
    kept = []
    start = None
    for number, value in enumerate([*values, -1.0]):
        if value >= exit and start is None:
            start = number
        elif value < exit and start is not None:
            reaches = max(values[start:number]) >= enter
            span = (float(times_s[start]), float(ends_s[number]))
            if reaches and kept and span[0] - kept[-1][1] < min_event_s:
                kept[-1] = (kept[-1][0], span[1])
            elif reaches and span[1] - span[0] >= min_event_s:
                kept.append(span)
            start = None
    return kept


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([0.1, 0.35, 0.7]), st.integers(1, 8)), min_size=1),
    st.sampled_from([0.0, 0.3, 0.45, 1.0]),
)
def test_events_of_one_class_are_what_the_definition_says(parts, min_event_s):
    values = [value for value, steps in parts for _ in range(steps)]
    classes = ("run", *(f"other {number}" for number in range(10)))
    got = found(levels("run", values, classes), classes, min_event_s=min_event_s)
    assert [(event.start_s, event.end_s) for event in got] == events_by_hand(
        values, 0.5, 0.3, min_event_s
    )


WEIGHTS = st.lists(
    st.tuples(st.lists(st.integers(0, 5), min_size=4, max_size=4), st.integers(1, 9)),
    min_size=1,
    max_size=40,
)


@settings(max_examples=400, deadline=None)
@given(
    WEIGHTS,
    st.sampled_from([(0.5, 0.3), (0.5, 0.5), (0.8, 0.2), (0.3, 0.0), (0.0, 0.0)]),
    st.sampled_from([0.0, 0.25, 0.4, 1.0]),
    st.sampled_from([0.0, 0.4, 1.0]),
    st.sampled_from([(), ("idle",), ("idle", "run")]),
)
def test_events_neither_flicker_nor_overlap(
    parts, thresholds, min_event_s, smoothing_s, background
):
    classes = (*CLASSES, "wave")
    rows = [(np.array(row) + 0.1) / (sum(row) + 0.4) for row, steps in parts for _ in range(steps)]
    enter, exit = thresholds
    tracker = EventTracker(enter, exit, min_event_s, smoothing_s, background)
    announced, shown, smoothed = [], set(), []
    for one in predictions(rows, classes):
        announced += tracker.push(one)
        smoothed.append((tracker._now_s, tracker.smoothed))
        shown |= {(event.label, event.start_s) for event in tracker.current}
    announced += tracker.finish()
    assert tracker.finish() == []

    for event in announced:
        assert event.label in classes
        assert event.label not in background
        assert event.duration_s >= min_event_s
        assert 0 <= event.score <= 1
        assert any(
            event.start_s <= time_s <= event.end_s and one.label == event.label
            for time_s, one in smoothed
            if one.score >= enter
        )
    for one, other in pairwise(announced):
        assert one.end_s <= other.start_s
        assert one.label != other.label or other.start_s - one.end_s >= min_event_s
    assert shown <= {(event.label, event.start_s) for event in announced}


def test_an_event_has_a_beginning_and_an_end():
    assert Event("run", 1.0, 2.5).duration_s == 1.5
    assert Event("run", 1.23456, 2.0, 0.123456).to_json() == {
        "label": "run",
        "start_s": 1.235,
        "end_s": 2.0,
        "score": 0.1235,
    }
    with pytest.raises(FrozenInstanceError):
        Event("run", 1.0, 2.0).end_s = 3.0  # type: ignore[misc]
    with pytest.raises(DataError, match=r"ends after it began; got 2\.0 to 1\.0"):
        Event("run", 2.0, 1.0)
    with pytest.raises(DataError, match="finite times; got nan to 1"):
        Event("run", float("nan"), 1.0)


def test_a_track_holds_the_mean_of_each_bin():
    track = ScoreTrack()
    assert track.values.shape == (0, 0)
    for time_s, score in ((0.0, 0.2), (0.02, 0.4), (0.17, 0.9)):
        track.add(time_s, np.array([score, 1 - score]))
    assert track.times_s == pytest.approx([0.025, 0.175])
    assert track.values == pytest.approx(np.array([[0.3, 0.7], [0.9, 0.1]]))


def test_a_full_track_merges_neighbours_and_keeps_every_score():
    track = ScoreTrack(capacity=16)
    rng = np.random.default_rng(0)
    times_s = np.sort(rng.uniform(0, 7200, 3000))
    scores = rng.dirichlet([1, 1], 3000)
    for time_s, row in zip(times_s, scores, strict=True):
        track.add(time_s, row)
    assert track.bin_s == 0.05 * 2**14  # 819.2 s: the first power of two with 16 bins past 2 h
    expected = [scores[(times_s // track.bin_s) == number].mean(axis=0) for number in range(9)]
    assert track.values == pytest.approx(np.array(expected))
    assert track.times_s == pytest.approx((np.arange(9) + 0.5) * track.bin_s)


@pytest.mark.parametrize("capacity", [2, 10, 2048])
def test_a_time_just_below_the_end_of_a_track_has_a_bin(capacity):
    for doublings in range(12):
        track = ScoreTrack(capacity)
        last_s = np.nextafter(0.05 * 2**doublings * capacity, 0)
        track.add(last_s, np.array([0.5, 0.5]))
        assert len(track.times_s) == 1


LIMITS = {"idle": 0.5, "jump": 0.2, "run": 0.8}


def many_found(rows, **options):
    """All events of scores (N, 3) of classes that may be shown at once, and what was current."""
    given = {"exit_share": 0.5, "min_event_s": 0.4, "smoothing_s": 0.0, **options}
    tracker, shown = ManyEventTracker(LIMITS, **given), []
    events = []
    for number, row in enumerate(rows):
        time_s = number * STEP_S
        answer = Prediction.from_probabilities(CLASSES, row, time_s, None, list(LIMITS.values()))
        events += tracker.push(answer)
        shown.append([event.label for event in tracker.current])
    return events + tracker.finish(), shown


def test_events_of_several_classes_overlap_and_each_has_its_own_threshold():
    rows = [[0.4, 0.05 + 0.25 * (5 <= n < 15), 0.9 * (n < 10)] for n in range(20)]
    events, shown = many_found(rows)
    assert spans(sorted(events, key=lambda e: e.start_s)) == [("run", 0.0, 1.0), ("jump", 0.5, 1.5)]
    assert shown[9] == ["run", "jump"]  # the longest first
    assert shown[3] == []  # too short to be sure
    assert events[0].score == pytest.approx(0.9)


def test_an_event_of_several_classes_lasts_down_to_its_share_of_the_threshold():
    values = [0.0] * 5 + [0.5] * 5 + [0.85] + [0.5] * 5 + [0.3] * 5
    events, _ = many_found([[0.0, 0.0, value] for value in values])
    assert spans(events) == [("run", 0.5, 1.6)]  # from 0.4 up, as 0.8 is reached somewhere
    assert many_found([[0.0, 0.0, min(value, 0.7)] for value in values])[0] == []


def test_a_break_of_one_class_is_bridged_while_another_goes_on():
    rows = [[0.9, 0.0, 0.9 * (not 10 <= n < 13)] for n in range(25)]
    assert sorted(spans(many_found(rows)[0])) == [("idle", 0.0, 2.4), ("run", 0.0, 2.4)]
    apart = [[0.9, 0.0, 0.9 * (not 10 <= n < 15)] for n in range(25)]
    assert sorted(spans(many_found(apart)[0])) == [
        ("idle", 0.0, 2.4), ("run", 0.0, 1.0), ("run", 1.5, 2.4),
    ]  # fmt: skip
    assert [e.label for e in many_found(apart, background=["idle"])[0]] == ["run", "run"]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.lists(st.floats(0, 1), min_size=3, max_size=3), st.integers(1, 9))),
    st.sampled_from([0.0, 0.4, 1.0]),
    st.sampled_from([0.0, 0.4]),
)
def test_events_of_one_class_never_overlap_and_last_long_enough(parts, min_event_s, smoothing_s):
    rows = [row for row, steps in parts for _ in range(steps)]
    events, _ = many_found(rows, min_event_s=min_event_s, smoothing_s=smoothing_s)
    for label in CLASSES:
        own = sorted((e for e in events if e.label == label), key=lambda event: event.start_s)
        assert all(event.duration_s >= min_event_s for event in own)
        assert all(before.end_s <= later.start_s for before, later in pairwise(own))
    for event in events:
        assert event.score >= 0.5 * LIMITS[event.label] - 1e-9
