"""The vector of a frame's people: what it does not depend on, and what it tells."""

import numpy as np
import pytest

from action_gru.detection.detector import Detections
from action_gru.detection.pose import OTHER_SIDE, PoseEncoder, person_width, pose_width

JOINTS = 17
WIDTH = 640
NOSE, LEFT_WRIST, RIGHT_WRIST = 0, 9, 10
PAIR = slice(2 * person_width(JOINTS), None)
MEAN = slice(0, person_width(JOINTS))


def somebody(left, top=100.0, height=200.0, seed=0, score=0.9):
    """A box half as wide as high, and joints anywhere in it: (box (4,), score, joints (17, 3))."""
    places = np.random.default_rng(seed).uniform(0.1, 0.9, (JOINTS, 2)) * [height / 2, height]
    joints = np.concatenate([places + np.array([left, top]), np.full((JOINTS, 1), 0.8)], 1)
    box = np.array([left, top, left + height / 2, top + height])
    return box, score, joints


def found(people):
    boxes, scores, joints = (np.array(part, np.float32) for part in zip(*people, strict=True))
    return Detections(boxes, scores, np.zeros(len(boxes), np.int64), joints)


NOBODY = Detections(
    np.zeros((0, 4), np.float32),
    np.zeros(0, np.float32),
    np.zeros(0, np.int64),
    np.zeros((0, JOINTS, 3), np.float32),
)


def play(frames, step_s=0.1):
    """The vectors of a stream, (T, D) plain and mirrored; frames: lists of people."""
    encode = PoseEncoder(0.3, JOINTS)
    made = [
        encode(found(people) if people else NOBODY, np.zeros((480, WIDTH, 3), np.uint8), n * step_s)
        for n, people in enumerate(frames)
    ]
    return np.stack([x.plain for x in made]), np.stack([x.mirrored for x in made])


def mirror(people):
    mirrored = []
    for box, score, joints in people:
        joints = joints[list(OTHER_SIDE)] * [-1, 1, 1] + [WIDTH, 0, 0]
        mirrored.append((np.array([WIDTH - box[2], box[1], WIDTH - box[0], box[3]]), score, joints))
    return mirrored


def walk(step, shift=(0.0, 0.0), scale=1.0):
    """Two people who come nearer to each other, seen `scale` times as large and elsewhere."""
    people = [somebody(100 + 5 * step, seed=1), somebody(300 - 5 * step, seed=2)]
    return [
        (
            box * scale + np.tile(shift, 2),
            score,
            joints * [scale, scale, 1] + [*shift, 0],
        )
        for box, score, joints in people
    ]


def same(one, other):
    np.testing.assert_allclose(one.astype(np.float32), other.astype(np.float32), atol=4e-3)


def test_a_pair_is_described_alike_wherever_it_stands_and_however_large_it_is():
    here = play([walk(n) for n in range(5)])[0]
    same(here, play([walk(n, shift=(60.0, 40.0)) for n in range(5)])[0])
    same(here, play([walk(n, scale=0.5) for n in range(5)])[0])
    assert np.isfinite(here[1:]).all()  # nothing is missing but the velocities of the first frame


def test_the_order_in_which_people_are_listed_does_not_matter():
    same(*(play([walk(n)[:: (-1) ** (n * turn)] for n in range(5)])[0] for turn in (0, 1)))


def test_the_mirrored_vector_is_that_of_the_mirrored_frame():
    frames = [walk(0), walk(1), walk(2)[:1], walk(3)[:1], []]
    plain, mirrored = play(frames)
    seen, back = play([mirror(people) for people in frames])
    same(mirrored, seen)
    same(plain, back)
    same(plain[:2], mirrored[:2])  # a pair that faces each other is the same in a mirror
    assert np.nanmax(np.abs(plain[2] - mirrored[2])) > 0.1  # somebody alone looks left or right


def test_who_is_not_seen_is_missing_and_not_zero():
    vectors, _ = play([[], walk(1)[:1], walk(2)])
    assert np.isnan(vectors[0, :-1]).all()
    assert vectors[:, -1] == pytest.approx(np.log1p([0, 1, 2]), abs=1e-3)
    alone = vectors[1]
    assert np.isfinite(alone[: 2 * JOINTS]).all()
    assert np.isnan(alone[PAIR][:-1]).all()
    assert vectors.shape == (3, pose_width(JOINTS)) == (3, 245)


def test_a_joint_that_is_not_sure_is_missing():
    box, score, joints = somebody(100)
    joints[LEFT_WRIST, 2] = 0.1
    vector = play([[(box, score, joints)]])[0][0]
    assert np.isnan(vector[2 * LEFT_WRIST : 2 * LEFT_WRIST + 2]).all()
    assert vector[2 * JOINTS + LEFT_WRIST] == pytest.approx(0.1, abs=1e-3)


def test_velocities_count_in_sizes_a_second_and_only_look_back():
    frames = [walk(n) for n in range(4)]
    vectors, _ = play(frames)
    velocity = slice(6 * JOINTS, 6 * JOINTS + 2)  # towards the other: 5 px of 200 in 0.1 s
    assert vectors[2, velocity] == pytest.approx([0.25, 0.0], abs=2e-3)
    same(vectors[:2], play(frames[:2])[0])


def test_somebody_who_is_hidden_for_a_moment_keeps_the_place():
    vectors, _ = play([walk(0), walk(1), walk(2)[:1], walk(3)])
    velocity = slice(6 * JOINTS, 6 * JOINTS + 2)
    assert vectors[3, velocity] == pytest.approx([0.25, 0.0], abs=2e-3)


def test_two_large_people_who_are_near_count_and_not_the_crowd():
    crowd = [somebody(500, 300, 60, seed=3), somebody(20, 20, 60, seed=4)]
    pair, with_crowd = (play([walk(n) + more for n in range(3)])[0] for more in ([], crowd))
    same(pair[:, :-1], with_crowd[:, :-1])
    assert with_crowd[0, -1] == pytest.approx(np.log(5), abs=1e-2)


def test_a_hand_that_reaches_the_other_is_near():
    box, score, joints = somebody(100, seed=1)
    other = somebody(250, seed=2)
    joints[[NOSE, LEFT_WRIST, RIGHT_WRIST], :2] = [[110, 110], [280, 200], [110, 150]]
    other[2][5, :2] = [280, 200]
    vector = play([[(box, score, joints), other]])[0][0]
    per_person = person_width(JOINTS)
    distances = slice(6 * JOINTS + 12, 6 * JOINTS + 17)
    mean, difference = vector[MEAN][distances], vector[per_person:][distances]
    least = mean - np.abs(difference) / 2  # of the two people's
    assert least[1] == pytest.approx(0, abs=2e-3)
    assert least[0] > 0.1


def test_a_network_of_other_joints_is_taken_as_it_is():
    encode = PoseEncoder(0.3, 5)
    box, score, joints = somebody(100)
    one = Detections(
        np.array([box], np.float32), np.array([score], np.float32), np.zeros(1, np.int64),
        np.array([joints[:5]], np.float32),
    )  # fmt: skip
    assert encode(one, np.zeros((480, WIDTH, 3), np.uint8), 0.0).plain.shape == (pose_width(5),)
