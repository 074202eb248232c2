import json
from itertools import groupby, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from action_gru.report.segments import SegmentCounts, pool_segment_scores, segment_scores
from action_gru.timeline import Event


def events(*spans):
    return [Event(label, start_s, end_s) for label, start_s, end_s in spans]


REFERENCE = events(("run", 0, 4), ("jump", 4, 6), ("run", 8, 10))


def counts(predicted, reference=REFERENCE):
    scores = segment_scores(predicted, reference, 10.0)
    return {
        overlap: (one.true_positives, one.false_positives, one.false_negatives)
        for overlap, one in scores.counts.items()
    }


def test_a_perfect_timeline_scores_one():
    scores = segment_scores(REFERENCE, REFERENCE, 10.0)
    assert scores.f1 == {0.1: 1.0, 0.25: 1.0, 0.5: 1.0}
    assert (scores.edit, scores.time_accuracy) == (1.0, 1.0)


def test_figures_by_hand():
    """Overlaps: run [1,5] with run [0,4] 3/5, jump [5,7] with [4,6] 1/3, hop with nothing."""
    predicted = events(("run", 1, 5), ("jump", 5, 7), ("hop", 8, 10))
    scores = segment_scores(predicted, REFERENCE, 10.0)
    assert counts(predicted) == {0.1: (2, 1, 1), 0.25: (2, 1, 1), 0.5: (1, 2, 2)}
    assert scores.f1 == pytest.approx({0.1: 2 / 3, 0.25: 2 / 3, 0.5: 1 / 3})
    assert scores.edit == pytest.approx(2 / 3)  # one of three labels to change
    # Right: run from 1 to 4, jump from 5 to 6, nothing from 7 to 8.
    assert (scores.agreed_s, scores.time_accuracy) == (5.0, 0.5)


def test_an_overlap_of_exactly_the_threshold_counts():
    predicted = events(("run", 0, 2))
    assert counts(predicted, events(("run", 0, 4)))[0.5] == (1, 0, 0)
    assert counts(predicted, events(("run", 0, 4.001)))[0.5] == (0, 1, 1)


def test_of_two_that_fit_one_reference_segment_the_first_is_right():
    predicted = events(("run", 0, 1.5), ("run", 2, 4))
    assert counts(predicted, events(("run", 0, 4))) == {
        0.1: (1, 1, 0),
        0.25: (1, 1, 0),
        0.5: (1, 1, 0),
    }


def test_a_segment_claims_only_its_best_fit():
    """The second fits [0, 6] with 2/8 and [6.5, 14] with 1.5/10: it does not turn to the other."""
    reference = events(("run", 0, 6), ("run", 6.5, 14))
    predicted = events(("run", 0, 3), ("run", 4, 8))
    assert counts(predicted, reference)[0.1] == (1, 1, 1)


def test_another_label_is_wrong_however_well_it_fits():
    assert counts(events(("jump", 0, 4)), events(("run", 0, 4)))[0.1] == (0, 1, 1)


def test_nothing_predicted_where_nothing_happens_is_right():
    scores = segment_scores([], [], 10.0)
    assert scores.f1 == {0.1: 1.0, 0.25: 1.0, 0.5: 1.0}
    assert (scores.edit, scores.time_accuracy) == (1.0, 1.0)


@pytest.mark.parametrize(("predicted", "reference"), [(REFERENCE, []), ([], REFERENCE)])
def test_one_side_empty_scores_zero(predicted, reference):
    scores = segment_scores(predicted, reference, 10.0)
    assert scores.f1 == {0.1: 0.0, 0.25: 0.0, 0.5: 0.0}
    assert (scores.edit, scores.time_accuracy) == (0.0, 0.2)  # nothing happens for 2 of 10 s


@pytest.mark.parametrize(
    ("predicted", "reference", "edit"),
    [
        ("abc", "abc", 1.0),
        ("ab", "abc", 2 / 3),
        ("abab", "ab", 0.5),
        ("ba", "ab", 0.0),
        ("kitten", "sitting", 4 / 7),  # Levenshtein's distance is 3
    ],
)
def test_the_edit_score_counts_changes_of_the_order(predicted, reference, edit):
    def spaced(labels):
        return events(*((label, 2 * number, 2 * number + 1) for number, label in enumerate(labels)))

    assert segment_scores(spaced(predicted), spaced(reference), 20).edit == pytest.approx(edit)


def test_background_is_no_segment():
    reference = events(("idle", 0, 4), ("jump", 4, 6), ("idle", 6, 10))
    scores = segment_scores(events(("jump", 4, 6)), reference, 10.0, background=["idle"])
    assert (scores.f1[0.5], scores.edit, scores.time_accuracy) == (1.0, 1.0, 1.0)


def test_touching_segments_of_one_label_are_one():
    assert counts(events(("run", 0, 4)), events(("run", 0, 1), ("run", 1, 4)))[0.5] == (1, 0, 0)
    assert counts(events(("run", 0, 4)), events(("run", 0, 1), ("run", 2, 4)))[0.1] == (1, 0, 1)


def test_time_beyond_the_video_does_not_count():
    scores = segment_scores(events(("run", 0, 5)), events(("run", 0, 4), ("jump", 4, 90)), 8.0)
    assert scores.agreed_s == 4.0
    assert segment_scores([], [], 0.0).time_accuracy == 1.0


def test_the_order_of_the_events_does_not_matter():
    predicted = events(("run", 1, 5), ("jump", 5, 7), ("run", 8, 10))
    expected = segment_scores(predicted, REFERENCE, 10.0)
    assert segment_scores(predicted[::-1], REFERENCE[::-1], 10.0) == expected


def test_several_videos_sum_their_counts_and_times_and_average_the_edit_score():
    good = segment_scores(REFERENCE, REFERENCE, 10.0)
    bad = segment_scores(events(("hop", 0, 30)), events(("run", 0, 15)), 30.0)
    both = pool_segment_scores([good, bad])
    assert both.counts[0.5] == SegmentCounts(3, 1, 1)
    assert both.f1[0.5] == 0.75
    assert both.edit == 0.5
    assert both.time_accuracy == 10 / 40
    assert both.videos == 2
    three = pool_segment_scores([both, good])
    assert three.edit == pytest.approx(2 / 3)
    assert three == pool_segment_scores([good, bad, good])


def test_json_is_strict_and_plain():
    predicted = events(("run", 1, 5), ("jump", 5, 7), ("hop", 8, 10))
    got = segment_scores(predicted, REFERENCE, 10.0).to_json()
    assert json.loads(json.dumps(got, allow_nan=False)) == {
        "videos": 1,
        "f1": {"10": 0.6667, "25": 0.6667, "50": 0.3333},
        "edit": 0.6667,
        "time_accuracy": 0.5,
        "duration_s": 10.0,
        "counts": {
            "10": {"true_positives": 2, "false_positives": 1, "false_negatives": 1},
            "25": {"true_positives": 2, "false_positives": 1, "false_negatives": 1},
            "50": {"true_positives": 1, "false_positives": 2, "false_negatives": 2},
        },
    }


def frames_of(labels):
    """One letter a frame, '.' is nothing -> events, a frame lasts a second."""
    runs = [(label, len(list(group))) for label, group in groupby(labels)]
    edges = [0]
    for _, length in runs:
        edges.append(edges[-1] + length)
    spans = zip(runs, pairwise(edges), strict=True)
    return events(*((label, start, end) for (label, _), (start, end) in spans if label != "."))


def f1_over_frames(predicted, reference, overlap):
    """Lea et al. 2017, section 4, on sets of frames: independent of the code under test."""

    def sets(labels):
        return [
            (one.label, set(range(int(one.start_s), int(one.end_s)))) for one in frames_of(labels)
        ]

    truth, used, right = sets(reference), set(), 0
    found = sets(predicted)
    for label, frames in found:
        fits = [
            len(frames & other) / len(frames | other) if label == its_label else 0
            for its_label, other in truth
        ]
        best = fits.index(max(fits)) if fits else None
        if best is not None and fits[best] >= overlap and best not in used:
            used.add(best)
            right += 1
    precision = right / len(found) if found else 0
    recall = right / len(truth) if truth else 0
    return 2 * precision * recall / (precision + recall) if right else float(not (found or truth))


FRAMES = st.lists(st.tuples(st.sampled_from("ab."), st.integers(1, 8)), min_size=1, max_size=12)


@settings(max_examples=300, deadline=None)
@given(FRAMES, FRAMES)
def test_scores_are_those_of_labelled_frames(one, other):
    predicted, reference = (
        "".join(label * count for label, count in parts) for parts in (one, other)
    )
    length = max(len(predicted), len(reference))
    predicted, reference = predicted.ljust(length, "."), reference.ljust(length, ".")
    scores = segment_scores(frames_of(predicted), frames_of(reference), float(length))
    same = sum(a == b for a, b in zip(predicted, reference, strict=True))
    assert scores.time_accuracy == pytest.approx(same / length)
    for overlap, f1 in scores.f1.items():
        assert f1 == pytest.approx(f1_over_frames(predicted, reference, overlap))
