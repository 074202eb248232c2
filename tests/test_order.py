import numpy as np
import pytest
import torch
from test_pictures import check_texts, long_names

from action_gru.cache import ClipFeatures
from action_gru.dataset import SequenceSet, prefixes, rearrangements
from action_gru.errors import DataError
from action_gru.evaluation.order import NEEDS_ORDER, NO_ORDER, UNDECIDED, order_report
from action_gru.evaluation.order_picture import order_picture


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


def report(shuffled, reversed_, *, right=None, frozen=0.0, labels=None, groups=None, **more):
    """A class 'a' of ten clips in five groups unless told otherwise."""
    count = len(shuffled)
    return order_report(
        np.ones(count) if right is None else right,
        {"shuffled": shuffled, "reversed": reversed_, "frozen": np.full(count, frozen), **more},
        labels or ["a"] * count,
        groups or [f"g{n // 2}" for n in range(count)],
        sorted(set(labels or ["a"])),
    )


ONES, ZEROS = np.ones(10), np.zeros(10)


def test_a_class_that_falls_when_reversed_needs_order():
    got = report(ONES, ZEROS)
    assert got.sentence == "This model needs order for a."
    assert got.classes[0].verdict == NEEDS_ORDER
    assert got.classes[0].costs["reversed"].loss == 1.0
    assert got.classes[0].costs["reversed"].interval == (1.0, 1.0)
    assert got.overall_sentence.startswith("Order counts here: shuffling the frames costs 0.0")


def test_losing_frames_but_not_order_is_no_need_for_order():
    got = report(ONES, ONES, frozen=0.0, first_half=ZEROS)
    assert got.classes[0].verdict == NO_ORDER
    assert got.sentence == ("This model needs order for no class; appearance alone suffices for a.")
    assert got.overall_sentence.startswith("Order costs little here")


def test_a_class_that_one_frame_tells_is_named_so():
    got = report(ONES, ONES, frozen=1.0)
    assert got.sentence.endswith("One frame is enough for a.")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"groups": ["g0"] * 5 + ["g1"] * 5}, "two groups"),
        ({"right": ZEROS}, "never right"),
    ],
)
def test_what_cannot_be_told_is_said_to_be_open(changes, why):
    got = report(ZEROS, ZEROS, **changes)
    assert got.classes[0].verdict == got.overall.verdict == UNDECIDED, why
    assert not got.overall_sentence.startswith(("Order costs", "Order counts"))
    assert got.sentence.endswith("It cannot be said for a.")


def test_a_loss_in_one_group_alone_proves_nothing():
    one_group = np.array([0.0, 0.0] + [1.0] * 8)
    got = report(one_group, ONES)
    assert got.classes[0].costs["shuffled"].loss == pytest.approx(0.2)
    assert got.classes[0].costs["shuffled"].interval[0] == 0.0
    assert got.classes[0].verdict == UNDECIDED


def test_four_clips_are_too_few():
    got = report(np.zeros(4), np.zeros(4), groups=["a", "b", "c", "d"])
    assert got.classes[0].verdict == UNDECIDED
    assert got.overall_sentence == (
        "How much order counts here cannot be said: 4 clips of 4 groups are too few."
    )


def test_clips_are_compared_with_themselves():
    right = np.array([1.0, 0.0] * 5)
    got = report(right, right, right=right)
    assert got.overall.costs["shuffled"].interval == (0.0, 0.0)
    assert got.overall.accuracy == 0.5


def test_an_order_report_without_its_answers_is_refused():
    with pytest.raises(DataError, match="needs shuffled, reversed, frozen and one value a clip"):
        order_report(ONES, {"shuffled": ONES}, ["a"] * 10, ["g"] * 10, ["a"])
    with pytest.raises(DataError, match="got 10 labels, 10 groups"):
        report(ONES, np.ones(9))


@pytest.mark.parametrize("count", [2, 45])
def test_texts_of_the_order_picture_have_room(count):
    names = long_names(count)
    labels = [name for name in names for _ in range(6)]
    rng = np.random.default_rng(0)
    draws = [rng.integers(2, size=len(labels)).astype(float) for _ in range(4)]
    extra = {"every_second": draws[2], "mean_pooled": draws[3], "first_half": draws[0]}
    got = order_report(
        np.ones(len(labels)),
        {"shuffled": draws[0], "reversed": draws[1], "frozen": draws[2], **extra},
        labels,
        [f"g{n % 6}" for n in range(len(labels))],
        names,
    )
    figure = order_picture(got)
    check_texts(figure)
    assert len(figure.axes) == 6
    assert len(figure.axes[0].get_yticklabels()) == count + 1


def test_a_class_of_one_group_has_no_interval_and_a_picture_all_the_same():
    got = report(ONES, ZEROS, groups=["one"] * 10)
    assert got.classes[0].costs["reversed"].interval is None
    assert [round(side) for side in order_picture(got).axes[0].get_xlim()] == [-55, 105]
