"""The vector of how people look: means of maps in their boxes, in no order, missing for nobody."""

import numpy as np
import pytest

from action_gru.detection.appearance import AppearanceEncoder, people_width
from action_gru.detection.detector import Detections
from action_gru.detection.neck_maps import NeckMap

IMAGE = np.zeros((40, 60, 3), np.uint8)
LEFT, RIGHT = (0, 0, 20, 40), (40, 20, 60, 40)


def fine_map():
    """Three channels of 4 x 6 cells of 10 px: the column, the row, and 1 in the first column."""
    rows, columns = np.mgrid[:4, :6]
    values = np.stack([columns, rows, columns == 0]).astype(np.float32)
    return NeckMap(values, np.full(2, 0.1, np.float32), np.zeros(2, np.float32))


def coarse_map():
    """Two channels of 2 x 3 cells: their number, and nothing."""
    values = np.stack([np.arange(6).reshape(2, 3), np.zeros((2, 3))]).astype(np.float32)
    return NeckMap(values, np.full(2, 0.05, np.float32), np.zeros(2, np.float32))


def found(*boxes, maps=None):
    rows, joints = np.array(boxes, np.float32).reshape(-1, 4), np.zeros((len(boxes), 5, 3))
    scores, kinds = np.full(len(boxes), 0.9, np.float32), np.zeros(len(boxes), np.int64)
    maps = (fine_map(), coarse_map()) if maps is None else maps
    return Detections(rows, scores, kinds, joints.astype(np.float32), maps)


def encode(*boxes):
    return AppearanceEncoder(0.3, (3, 2))(found(*boxes), IMAGE, 0.0)


def normal(*values):
    x = np.array(values)
    return (x - x.mean()) / x.std()


def test_a_cell_at_the_edge_counts_by_the_part_that_is_inside():
    mean = fine_map().mean(np.array([10, 10, 35, 30], np.float32))
    assert mean == pytest.approx([(1 + 2 + 0.5 * 3) / 2.5, 1.5, 0])
    shifted = NeckMap(fine_map().values, np.full(2, 0.1, np.float32), np.ones(2, np.float32))
    assert shifted.mean(np.array([0, 0, 10, 10], np.float32)) == pytest.approx([1, 1, 0])


def test_the_vector_holds_the_means_in_each_box_and_in_the_box_around_both():
    vector = encode(LEFT, RIGHT).plain
    assert vector.shape == (people_width((3, 2)),) == (15,)
    left = [*normal(0.5, 1.5, 0.5), *normal(1.5, 0)]  # of coarse cells 0 and 3: their left column
    right = [*normal(4.5, 2.5, 0), *normal(5, 0)]
    union = [*normal(2.5, 1.5, 1 / 6), *normal(2.5, 0)]
    mean, difference = np.mean([left, right], 0), np.abs(np.subtract(left, right))
    assert vector == pytest.approx(np.concatenate([mean, difference, union]), abs=2e-3)


def test_the_order_of_people_does_not_matter_and_a_mirror_changes_nothing():
    vectors = encode(LEFT, RIGHT)
    np.testing.assert_array_equal(vectors.plain, encode(RIGHT, LEFT).plain)
    np.testing.assert_array_equal(vectors.plain, vectors.mirrored)


def test_nobody_is_missing_and_not_zero_and_of_one_the_difference_is():
    assert np.isnan(encode().plain).all()
    mean, difference, union = np.split(encode(LEFT).plain, 3)
    assert np.isnan(difference).all()
    np.testing.assert_array_equal(mean, union)
    assert not np.isnan(mean).any()


def test_of_many_the_two_count_whom_poses_are_read_of():
    crowd = [LEFT, (18, 0, 38, 40), (50, 0, 53, 5)]
    np.testing.assert_array_equal(encode(*crowd).plain, encode(*crowd[:2]).plain)


def test_a_map_without_contrast_gives_zero():
    flat = NeckMap(np.ones((3, 4, 6), np.float32), *np.full((2, 2), 0.1, np.float32))
    encoder = AppearanceEncoder(0.3, (3,))
    assert (encoder(found(LEFT, RIGHT, maps=(flat,)), IMAGE, 0.0).plain == 0).all()
