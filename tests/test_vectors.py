import numpy as np
import pytest
from helpers.people_doubles import boxes_of

from action_gru.detection.vectors import Encoder, vector_width

NAMES = ("ball", "cart")
FRAME = np.zeros((100, 200, 3), np.uint8)
WIDTH = 10  # of a slot: 6, velocity 2, one-hot 2


def encoder(top=3, **changes):
    return Encoder((0, 1), top, **({"tracker": "bytetrack", "min_score": 0.3, "fps": 10} | changes))


def ball(left, score=0.9):
    return ("ball", left, 40, left + 20, 60, score)


CART = ("cart", 150, 50, 190, 80, 0.8)


def play(frames, top=3, step_s=0.1):
    encode = encoder(top)
    return [
        encode(boxes_of(rows, NAMES), FRAME, index * step_s) for index, rows in enumerate(frames)
    ]


def slots(vector, top=3):
    return vector[: top * WIDTH].reshape(top, WIDTH).astype(np.float32)


def test_a_frame_has_the_documented_layout():
    vector = play([[CART, ball(20)], [CART, ball(24)]])[1].plain
    assert len(vector) == vector_width(2, 3) == 3 * WIDTH + 2
    first, second, third = slots(vector)
    # there, score, centre, size, velocity (4 px of 200 in 0.1 s), one-hot
    assert first == pytest.approx([1, 0.9, 0.17, 0.5, 0.1, 0.2, 0.2, 0, 1, 0], abs=2e-3)
    assert second == pytest.approx([1, 0.8, 0.85, 0.65, 0.2, 0.3, 0, 0, 0, 1], abs=2e-3)
    assert not third.any()
    assert vector[-2:] == pytest.approx([1 / 3, 1 / 3], abs=1e-3)


def test_a_slot_stays_with_its_track_whatever_the_order_or_score():
    frames = [
        [ball(20 + 2 * i, 0.5 + 0.04 * i), ball(160 - 2 * i, 0.9 - 0.04 * i)] for i in range(10)
    ]
    vectors = play([rows[:: (-1) ** i] for i, rows in enumerate(frames)])
    centres = np.stack([slots(one.plain)[:2, 2] for one in vectors])
    assert centres[:, 0] == pytest.approx([(170 - 2 * i) / 200 for i in range(10)], abs=2e-3)
    assert centres[:, 1] == pytest.approx([(30 + 2 * i) / 200 for i in range(10)], abs=2e-3)


def test_a_moment_unseen_leaves_the_slot_empty_and_reserved():
    both, cart = [ball(20), CART], [CART]
    vectors = play([both, both, cart, cart, both])
    assert [bool(slots(one.plain)[0].any()) for one in vectors] == [True, True, False, False, True]
    assert all(slots(one.plain)[1, 9] == 1 for one in vectors)


def test_a_slot_is_free_again_after_a_second():
    frames = [[ball(20)]] * 2 + [[]] * 12 + [[CART]] * 3
    assert slots(play(frames)[-1].plain)[0, 9] == 1


def test_where_there_are_too_many_the_surest_have_a_slot_and_all_are_counted():
    rows = [ball(10, 0.5), ball(60, 0.9), ball(110, 0.7)]
    vector = play([rows, rows], top=2)[1].plain
    assert sorted(slots(vector, 2)[:, 2].tolist()) == pytest.approx([0.35, 0.6], abs=2e-3)
    assert vector[-2] == 1.5


def test_the_mirrored_vector_is_that_of_the_mirrored_frame():
    frames = [[ball(20 + 4 * i), CART] for i in range(4)]
    mirrored = [[(k, 200 - r, t, 200 - x, b, s) for k, x, t, r, b, s in rows] for rows in frames]
    for one, other in zip(play(frames), play(mirrored), strict=True):
        assert one.mirrored.astype(np.float32) == pytest.approx(
            other.plain.astype(np.float32), abs=2e-3
        )


def test_nothing_is_a_vector_of_zeros():
    vector = play([[]])[0].plain
    assert vector.shape == (32,)
    assert not vector.any()
