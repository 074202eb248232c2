import av
import numpy as np
import pytest

from action_gru.video.picture import PictureMaker, oriented

PICTURE = np.array([[[1, 1, 1], [2, 2, 2], [3, 3, 3]], [[4, 4, 4], [5, 5, 5], [6, 6, 6]]], np.uint8)


@pytest.mark.parametrize(
    ("matrix", "shown"),
    [
        ((1, 0, 0, 1), [[1, 2, 3], [4, 5, 6]]),
        ((-1, 0, 0, 1), [[3, 2, 1], [6, 5, 4]]),  # a selfie
        ((1, 0, 0, -1), [[4, 5, 6], [1, 2, 3]]),
        ((-1, 0, 0, -1), [[6, 5, 4], [3, 2, 1]]),
        ((0, 1, -1, 0), [[4, 1], [5, 2], [6, 3]]),  # a quarter turn clockwise
        ((0, -1, 1, 0), [[3, 6], [2, 5], [1, 4]]),
        ((0, 1, 1, 0), [[1, 4], [2, 5], [3, 6]]),
        ((0, -1, -1, 0), [[6, 3], [5, 2], [4, 1]]),
    ],
)
def test_each_display_matrix_turns_and_mirrors_as_a_player_does(matrix, shown):
    assert oriented(PICTURE, matrix)[..., 0].tolist() == shown


def grey_frame(width=64, height=48, level=120):
    frame = av.VideoFrame.from_ndarray(np.full((height, width, 3), level, np.uint8), "rgb24")
    return frame.reformat(format="yuv420p")


@pytest.mark.parametrize("space", [3, 8, 10, 14, 15])
def test_a_colour_space_that_the_converter_refuses_still_gives_the_picture(space):
    frame = grey_frame()
    frame.colorspace = space
    picture = PictureMaker().picture(frame)
    assert picture.shape == (48, 64, 3)
    assert np.abs(picture.astype(int) - 120).max() <= 2


@pytest.mark.parametrize(("one_size", "second"), [(True, (48, 64, 3)), (False, (32, 32, 3))])
def test_pictures_keep_the_first_ones_size_where_asked(one_size, second):
    maker = PictureMaker(one_size)
    assert maker.picture(grey_frame(64, 48)).shape == (48, 64, 3)
    assert maker.picture(grey_frame(32, 32)).shape == second


def test_a_frame_can_be_converted_twice():
    maker, frame = PictureMaker(), grey_frame()
    assert np.array_equal(maker.picture(frame), maker.picture(frame))
