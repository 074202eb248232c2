import numpy as np
import pytest

from action_gru.apps.people_overlay import COLOURS, HIDDEN, PeopleOverlay, PersonMark

SIZE_PX = (640, 360)


def grey():
    return np.full((360, 640, 3), 128, np.uint8)


def has(image, colour):
    return bool((image == np.array(colour, np.uint8)).all(-1).any())


def test_each_person_has_a_box_in_a_colour_of_their_own():
    marks = [
        PersonMark(1, (50, 100, 120, 300), "wave", 0.93),
        PersonMark(2, (300, 90, 380, 310), "…"),
    ]
    drawn = PeopleOverlay(SIZE_PX).draw(grey(), marks)
    assert tuple(drawn[200, 50]) == COLOURS[0]
    assert tuple(drawn[200, 300]) == COLOURS[1]
    assert tuple(drawn[200, 85]) == (128, 128, 128)  # the person is not covered
    assert marks[0].text == "1  wave 93%"
    assert marks[1].text == "2  …"


def test_a_hidden_person_is_grey():
    drawn = PeopleOverlay(SIZE_PX).draw(
        grey(), [PersonMark(1, (50, 100, 120, 300), "wave", 0.9, False)]
    )
    assert has(drawn, HIDDEN)
    assert not has(drawn, COLOURS[0])


def labels_of(drawn):
    """Where the dark chips lie: rows and columns of the exact dark colour, off the box lines."""
    return (drawn == np.array((20, 20, 20), np.uint8)).all(-1)


def test_a_head_above_the_box_is_not_covered():
    drawn = PeopleOverlay(SIZE_PX).draw(grey(), [PersonMark(1, (50, 100, 120, 300), "wave", 0.9)])
    assert (drawn[78:97, 54:] == 128).all()  # 0.12 of 200 px above the box, but for its lines
    assert tuple(drawn[88, 50]) == COLOURS[0]  # what joins label and box
    assert labels_of(drawn)[:78].any()


def test_labels_never_cover_each_other():
    overlay = PeopleOverlay(SIZE_PX)
    areas = []
    draw = overlay._draw_label

    def note(image, mark, taken):
        areas.append(draw(image, mark, taken))
        return areas[-1]

    overlay._draw_label = note
    marks = [
        PersonMark(n, (100 + 5 * n, 100, 170 + 5 * n, 300), "lower_arms", 0.5) for n in range(1, 6)
    ]
    overlay.draw(grey(), marks)
    assert len(areas) == 5
    for first in range(5):
        for second in range(first):
            one, other = areas[first], areas[second]
            apart = any(
                one[a] >= other[a] + other[a + 2] or other[a] >= one[a] + one[a + 2] for a in (0, 1)
            )
            assert apart, (one, other)


@pytest.mark.parametrize("box", [(-40, -30, 60, 200), (600, 300, 700, 420), (0, 0, 640, 360)])
def test_a_box_that_sticks_out_is_drawn_as_far_as_it_is_seen(box):
    drawn = PeopleOverlay(SIZE_PX).draw(grey(), [PersonMark(1, box, "raise_arms", 0.5)])
    assert drawn.shape == (360, 640, 3)
    assert labels_of(drawn).any()


def test_tiny_frames_and_long_labels_fit():
    overlay = PeopleOverlay((48, 32))
    drawn = overlay.draw(
        np.zeros((32, 48, 3), np.uint8), [PersonMark(12, (4, 4, 30, 30), "x" * 80, 1.0)]
    )
    assert drawn.shape == (32, 48, 3)


def test_the_frame_itself_stays_as_it_is():
    image = grey()
    PeopleOverlay(SIZE_PX).draw(image, [PersonMark(1, (50, 100, 120, 300), "wave", 0.9)])
    assert (image == 128).all()
