from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest

from action_gru.apps.drawing import overlaps
from action_gru.apps.overlay import PLAIN, Overlay, PersonMark, marks_of
from action_gru.core.graphics import class_colour, rgb
from action_gru.timeline import EventTracker

SIZE_PX = (640, 360)
CLASSES = ("wave", "walk", "raise_arms")


def grey():
    return np.full((360, 640, 3), 128, np.uint8)


def test_a_box_has_the_colour_of_its_class_and_its_number_says_who_it_is():
    marks = [
        PersonMark(1, (50, 100, 120, 300), "walk", 0.93),
        PersonMark(2, (300, 90, 380, 310), "…"),
    ]
    drawn = Overlay(SIZE_PX, CLASSES).draw(grey(), people=marks)
    assert tuple(drawn[200, 50]) == rgb(class_colour(1))
    assert tuple(drawn[200, 300]) == PLAIN
    assert tuple(drawn[200, 85]) == (128, 128, 128)  # the person is not covered
    assert marks[0].text == "1  walk 93%"
    assert marks[1].text == "2  …"


def labels_of(drawn):
    """Where the dark chips lie: rows and columns of the exact dark colour, off the box lines."""
    return (drawn == np.array((20, 20, 20), np.uint8)).all(-1)


def test_a_head_above_the_box_is_not_covered():
    marks = [PersonMark(1, (50, 100, 120, 300), "wave", 0.9)]
    drawn = Overlay(SIZE_PX, CLASSES).draw(grey(), people=marks)
    assert (drawn[78:97, 54:] == 128).all()  # 0.12 of 200 px above the box, but for its lines
    assert tuple(drawn[88, 50]) == rgb(class_colour(0))  # what joins label and box
    assert labels_of(drawn)[:78].any()


def crowd(count, top=100, label="lower_arms"):
    return [
        PersonMark(n, (100 + 5 * n, top, 170 + 5 * n, top + 200), label, 0.5)
        for n in range(1, count + 1)
    ]


@pytest.mark.parametrize("top", [0, 100, 330], ids=["upper edge", "middle", "lower edge"])
@pytest.mark.parametrize("banner", ["", "lost"])
def test_labels_cover_neither_each_other_nor_the_panel_and_stay_on_the_frame(top, banner):
    overlay = Overlay(SIZE_PX)
    marks = crowd(8, top)
    overlay.draw(grey(), people=marks, lines=["24 fps", "0:01 to 0:02 wave"], banner=banner)
    areas = overlay.label_areas(marks, bool(banner))
    foot_px = overlay.banner_px if banner else 0
    assert all(areas)
    for left, upper, width, height in areas:
        assert 0 <= left <= left + width <= 640
        assert 0 <= upper <= upper + height <= 360 - foot_px
    everything = [*areas, overlay.panel_area]
    for number, one in enumerate(everything):
        assert not any(overlaps(one, other) for other in everything[:number])


def test_a_label_without_room_is_left_out_rather_than_written_over_another():
    overlay = Overlay((48, 32))
    marks = [PersonMark(n, (4, 4, 30, 30), "x" * 80, 1.0) for n in range(1, 6)]
    areas = [area for area in overlay.label_areas(marks) if area]
    assert 1 <= len(areas) < 5
    for number, one in enumerate(areas):
        assert not any(overlaps(one, other) for other in areas[:number])


def test_the_panel_stands_where_no_head_is():
    overlay, lines = Overlay(SIZE_PX), ["24 fps", "0:01 to 0:02 wave"]
    upper_left = PersonMark(1, (30, 20, 130, 340), "wave", 0.9)
    overlay.draw(grey(), people=[upper_left], lines=lines)
    left, top, width, _ = overlay.panel_area
    assert left > 130
    assert (left, top) == (640 - 6 - width, 6)


def test_the_panel_does_not_jump_from_frame_to_frame():
    overlay, places = Overlay(SIZE_PX), []
    for number in range(60):
        left = 30 if number < 30 else 480  # someone walks from one side to the other
        mark = PersonMark(1, (left, 20, left + 100, 340), "wave", 0.9)
        for sway in (0, 4):
            moved = PersonMark(1, (left + sway, 20, left + 100 + sway, 340), "wave", 0.9)
            overlay.draw(grey(), people=[moved if sway else mark], lines=["24 fps"])
            places.append(overlay.panel_area[:2])
    assert len(dict.fromkeys(places)) == 2  # it moved once
    assert places[0] != places[-1]
    assert sum(one != other for one, other in pairwise(places)) == 1


def test_someone_who_is_not_seen_now_is_not_marked():
    stream = SimpleNamespace(smoothed=None, tracker=EventTracker())
    box = np.array([1.0, 2.0, 3.0, 4.0])
    people = [
        SimpleNamespace(number=n, box=box, stream=stream, visible=visible)
        for n, visible in ((1, False), (2, True))
    ]
    assert [mark.number for mark in marks_of(people)] == [2]


@pytest.mark.parametrize("box", [(-40, -30, 60, 200), (600, 300, 700, 420), (0, 0, 640, 360)])
def test_a_box_that_sticks_out_is_drawn_as_far_as_it_is_seen(box):
    drawn = Overlay(SIZE_PX).draw(grey(), people=[PersonMark(1, box, "raise_arms", 0.5)])
    assert drawn.shape == (360, 640, 3)
    assert labels_of(drawn).any()


def test_tiny_frames_and_long_labels_fit():
    overlay = Overlay((48, 32))
    drawn = overlay.draw(
        np.zeros((32, 48, 3), np.uint8), people=[PersonMark(12, (4, 4, 30, 30), "x" * 80, 1.0)]
    )
    assert drawn.shape == (32, 48, 3)


def test_the_frame_itself_stays_as_it_is():
    image = grey()
    Overlay(SIZE_PX).draw(image, people=[PersonMark(1, (50, 100, 120, 300), "wave", 0.9)])
    assert (image == 128).all()
