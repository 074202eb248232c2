import numpy as np
import pytest
import torch
from helpers.figures import check_texts, long_names

from action_gru.features import ClipFeatures
from action_gru.features.sequences import SequenceSet, prefixes, rearrangements
from action_gru.report.order import NEEDS_ORDER, NO_ORDER, UNDECIDED, order_report
from action_gru.report.plots import DPI


def counted(*lengths: int, flip: bool = True) -> SequenceSet:
    """Clips whose frames are 0, 1, 2, ...; of clip n all plus 100 n; mirrored copies negative."""

    def clip(number: int, sign: int) -> list[ClipFeatures]:
        values = sign * (np.arange(lengths[number]) + 100 * number)
        return [ClipFeatures(values[:, None].astype(np.float16), values.astype(float))]

    plain = [clip(n, 1) for n in range(len(lengths))]
    flipped = [clip(n, -1) for n in range(len(lengths))] if flip else None
    return SequenceSet(plain, [0] * len(lengths), flipped)


def frames(sequences: SequenceSet, clip: int, flipped: bool = False) -> list[int]:
    low = int(sequences.starts[clip]) + sequences.flip_offset * flipped
    return sequences.values[low : low + int(sequences.lengths[clip]), 0].int().tolist()


def changed(sequences: SequenceSet, name: str) -> list[SequenceSet]:
    return [made for key, made in rearrangements(sequences, 0) if key == name]


def test_each_change_gives_the_frames_that_it_says():
    sequences = counted(5, 4)
    (reversed_,) = changed(sequences, "reversed")
    assert frames(reversed_, 0) == [4, 3, 2, 1, 0]
    assert frames(reversed_, 1) == [103, 102, 101, 100]
    assert [frames(made, 0) for made in changed(sequences, "frozen")] == [[1] * 5, [2] * 5, [3] * 5]
    (half,) = changed(sequences, "first_half")
    assert [frames(half, 0), frames(half, 1)] == [[0, 1, 2], [100, 101]]
    (second,) = changed(sequences, "every_second")
    assert [frames(second, 0), frames(second, 1)] == [[0, 2, 4], [100, 102]]


def test_shuffles_keep_every_frame_differ_and_repeat_with_the_seed():
    sequences = counted(12, 3)
    shuffles = changed(sequences, "shuffled")
    assert len(shuffles) == 5
    orders = [frames(made, 0) for made in shuffles]
    assert all(sorted(order) == list(range(12)) for order in orders)
    assert len({tuple(order) for order in orders}) == 5
    assert [frames(made, 0) for made in changed(sequences, "shuffled")] == orders


def test_a_mirrored_copy_is_changed_like_its_clip():
    for _, made in rearrangements(counted(6, 4), 0):
        for clip in (0, 1):
            assert frames(made, clip, flipped=True) == [-value for value in frames(made, clip)]
    (plain,) = changed(counted(3, flip=False), "reversed")
    assert plain.flip_offset == 0
    assert frames(plain, 0) == [2, 1, 0]


def test_prefixes_hold_at_least_one_frame_and_end_whole():
    parts = list(prefixes(counted(10, 3), (0.05, 0.5, 1.0)))
    assert [part.lengths.tolist() for part in parts] == [[1, 1], [5, 2], [10, 3]]
    assert frames(parts[1], 1) == [100, 101]
    assert torch.equal(parts[2].values, counted(10, 3).values)


def report(shuffled, reversed_, *, right=None, frozen=0.0, groups=None, twin=1.0, **more):
    """A class 'a' of as many clips, each its own group unless told otherwise; and as many of a
    class 'b', right `twin` of the time, that no reordering changes.
    """
    count = len(shuffled)
    right = np.ones(count) if right is None else np.asarray(right)
    steady = np.arange(count) < twin * count

    def both(values):
        return np.concatenate([values, steady])

    changes = {"shuffled": shuffled, "reversed": reversed_, **more}
    return order_report(
        ["a" if hit else "c" for hit in right] + ["b" if hit else "c" for hit in steady],
        {name: both(values) for name, values in changes.items()}
        | {"frozen": np.full(2 * count, frozen)},
        ["a"] * count + ["b"] * count,
        (groups or [f"g{n}" for n in range(count)]) + [f"h{n}" for n in range(count)],
        ["a", "b"],
    )


ONES, ZEROS = np.ones(40), np.zeros(40)
NOTHING = (
    "Nothing can be said about the order of the frames: this model is not shown to be better than "
    "guessing."
)


def test_a_class_that_falls_when_reversed_needs_order():
    got = report(ONES, ZEROS)
    assert got.sentence == "This model needs order for a; appearance alone suffices for b."
    assert got.classes[0].verdict == NEEDS_ORDER
    assert got.classes[0].costs["reversed"].loss == 1.0
    low, high = got.classes[0].costs["reversed"].interval
    assert 0.9 < low < high == 1.0
    assert got.overall_sentence.startswith(
        "Over all classes order counts: shuffling the frames costs 0.0"
    )


def test_losing_frames_but_not_order_is_no_need_for_order():
    got = report(ONES, ONES, frozen=0.0, first_half=ZEROS)
    assert got.classes[0].verdict == NO_ORDER
    assert got.sentence == (
        "This model needs order for no class; appearance alone suffices for a and b."
    )
    assert got.overall_sentence.startswith("Over all classes order costs little")


def test_a_class_that_one_frame_tells_is_named_so():
    got = report(ONES, ONES, frozen=1.0)
    assert got.sentence.endswith("One frame is enough for a and b.")


def test_two_groups_leave_a_class_open():
    got = report(ZEROS, ZEROS, groups=["g0"] * 20 + ["g1"] * 20)
    assert got.classes[0].verdict == UNDECIDED
    assert got.sentence.endswith("Whether order counts cannot be said for a.")


@pytest.mark.parametrize(
    ("right", "twin"),
    [(ZEROS, 1.0), (ZEROS, 0.0), (np.arange(40) < 24, 0.6)],
    ids=["always the same answer", "never right", "right by luck"],
)
def test_a_model_that_may_be_guessing_gets_no_verdict(right, twin):
    got = report(ONES, ONES, right=right, twin=twin, frozen=1.0)
    assert (got.sentence, got.overall_sentence) == (NOTHING, "")
    assert [row.verdict for row in got.classes] == [UNDECIDED] * 2
    assert not any(row.one_frame_is_enough for row in got.classes)
    written = got.to_json()
    assert written["overall"]["better_than_guessing"] is False
    assert [row["verdict"] for row in written["classes"]] == ["undecided"] * 2
    text = got.markdown()
    assert f"**{NOTHING}**" in text
    assert "Order costs" not in text


def test_a_class_that_is_answered_whatever_is_seen_gets_no_verdict():
    """More than half of all answers are b: that 4 of 5 clips of b are right shows nothing of b."""
    labels = [name for name in "acde" for _ in range(10)] + ["b"] * 5
    given = [name if n < 5 else "b" for name in "acde" for n in range(10)] + ["b"] * 4 + ["a"]
    changes = dict.fromkeys(("shuffled", "reversed", "frozen"), np.zeros(45))
    got = order_report(given, changes, labels, [f"g{n}" for n in range(45)], "abcde")
    assert got.overall.better_than_guessing
    shown = {row.label: row.better_than_guessing for row in got.classes}
    assert shown == {"a": True, "b": False, "c": True, "d": True, "e": True}
    assert got.classes[1].guessed == pytest.approx(24 / 45)
    assert got.sentence == (
        "This model needs order for a, c, d and e. Whether order counts cannot be said for b."
    )


def test_one_group_proves_no_order_whatever_the_accuracy():
    got = order_report(
        ["a", "b"] * 10,
        dict.fromkeys(("shuffled", "reversed", "frozen"), np.zeros(20)),
        ["a", "b"] * 10,
        ["one"] * 20,
        ["a", "b"],
    )
    assert got.sentence == NOTHING


def test_a_loss_in_one_group_alone_proves_nothing():
    one_group = np.array([0.0] * 8 + [1.0] * 32)
    got = report(one_group, ONES, groups=[f"g{n // 8}" for n in range(40)])
    cost = got.classes[0].costs["shuffled"]
    assert cost.loss == pytest.approx(0.2)
    assert cost.interval[0] < 0.05
    assert cost.interval[1] > 0.4
    assert got.classes[0].costs["reversed"].interval[1] > 0.1  # five groups that lose nothing
    assert got.classes[0].verdict != NO_ORDER


def test_few_groups_that_lose_nothing_do_not_prove_that_none_would():
    got = report(np.ones(4), np.ones(4))
    low, high = got.classes[0].costs["shuffled"].interval
    assert low < -0.1 < 0.1 < high
    assert got.sentence == "Whether order counts cannot be said for any class."
    assert got.overall_sentence.startswith(
        "How much order counts over all classes stays open: shuffling"
    )


@pytest.mark.parametrize(("lost", "verdict"), [(1, UNDECIDED), (2, UNDECIDED), (4, NEEDS_ORDER)])
def test_a_slip_or_two_in_six_is_no_need_for_order(lost, verdict):
    got = report(np.ones(6), np.arange(6) >= lost)
    assert got.classes[0].costs["reversed"].loss == pytest.approx(lost / 6)
    assert got.classes[0].verdict == verdict


def test_four_clips_are_too_few():
    labels = ["a", "b", "c", "d"]
    changes = dict.fromkeys(("shuffled", "reversed", "frozen"), np.zeros(4))
    got = order_report(labels, changes, labels, ["a", "b", "c", "d"], labels)
    assert got.classes[0].verdict == UNDECIDED
    assert got.overall_sentence == (
        "How much order counts over all classes cannot be said: 4 clips of 4 groups are too few."
    )


def test_clips_are_compared_with_themselves():
    right = np.array([1.0, 0.0] * 20)
    got = report(right, right, right=right)
    low, high = got.classes[0].costs["shuffled"].interval
    assert -0.1 < low < 0 < high < 0.1
    assert got.classes[0].accuracy == 0.5


def test_sentences_name_a_handful_of_classes_and_count_the_rest():
    names = [f"class_{n:03d}" for n in range(200)]
    labels = [name for name in names for _ in range(6)]
    lost = np.zeros(len(labels))
    lost[: 6 * 100] = 1.0  # the first hundred lose nothing, and are too few to prove it
    changes = {"shuffled": lost, "reversed": lost, "frozen": lost}
    got = order_report(labels, changes, labels, [f"g{n % 6}" for n in range(1200)], names)
    assert got.sentence == (
        "This model needs order for class_100, class_101, class_102, class_103, class_104 and 95 "
        "more. Whether order counts cannot be said for 100 of 200 classes."
    )
    figure = got.plot()
    assert max(figure.get_size_inches()) * DPI < 4000
    assert figure.get_suptitle() == "the 150 costliest of 200 classes"


@pytest.mark.parametrize("count", [2, pytest.param(45, marks=pytest.mark.slow)])
def test_texts_of_the_order_picture_have_room(count):
    names = long_names(count)
    labels = [name for name in names for _ in range(6)]
    rng = np.random.default_rng(0)
    draws = [rng.integers(2, size=len(labels)).astype(float) for _ in range(4)]
    extra = {"every_second": draws[2], "mean_pooled": draws[3], "first_half": draws[0]}
    got = order_report(
        labels,
        {"shuffled": draws[0], "reversed": draws[1], "frozen": draws[2], **extra},
        labels,
        [f"g{n % 6}" for n in range(len(labels))],
        names,
    )
    figure = got.plot()
    check_texts(figure)
    assert len(figure.axes) == 6
    assert len(figure.axes[0].get_yticklabels()) == count + 1


def test_a_class_of_one_group_has_no_interval_and_a_picture_all_the_same():
    got = report(ONES, ZEROS, groups=["one"] * 40)
    assert got.classes[0].costs["reversed"].interval is None
    assert [round(side) for side in got.plot().axes[0].get_xlim()] == [-55, 105]
