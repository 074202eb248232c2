from dataclasses import replace

import numpy as np
import pytest

from action_gru.apps.drawing import Font
from action_gru.apps.overlay import TRACK, Overlay, PersonMark
from action_gru.core.errors import VideoError
from action_gru.core.graphics import class_colour, rgb
from action_gru.timeline import Prediction

SIZES = [(40, 30), (64, 48), (320, 240), (640, 480), (320, 568), (1920, 1080), (3840, 2160)]
OTHER, BEST = rgb(class_colour(0)), rgb(class_colour(1))  # of the classes ("b", "a")
FOUR = Prediction(("walking", "jump", "a very long name indeed", "d"), (0.7, 0.2, 0.1, 0.0), 3.2)


def white(width_px, height_px):
    return np.full((height_px, width_px, 3), 255, np.uint8)


def changed(before, after):
    """Rows and columns of the smallest box that holds every changed pixel."""
    rows, columns = np.nonzero((before != after).any(axis=2))
    return rows.min(), rows.max() + 1, columns.min(), columns.max() + 1


@pytest.mark.parametrize("size_px", SIZES)
def test_the_panel_covers_a_third_at_most_however_much_there_is_to_say(size_px):
    frame = white(*size_px)
    drawn = Overlay(size_px).draw(frame, FOUR, lines=["a line far too long to fit " * 9] * 20)
    top, bottom, left, right = changed(frame, drawn)
    assert 0 < (bottom - top) * (right - left) <= size_px[0] * size_px[1] / 3


@pytest.mark.parametrize("size_px", SIZES[:-1])
@pytest.mark.parametrize("background", ["bright", "dark", "noise"])
def test_letters_stand_out_from_any_background(size_px, background):
    width_px, height_px = size_px
    noise = np.random.default_rng(0).integers(0, 256, (height_px, width_px, 3), dtype=np.uint8)
    frame = {"bright": white(*size_px), "dark": 0 * noise, "noise": noise}[background]
    top, bottom, left, right = changed(
        white(*size_px), Overlay(size_px).draw(white(*size_px), FOUR)
    )
    panel = Overlay(size_px).draw(frame, FOUR)[top:bottom, left:right].min(axis=2)
    assert np.median(panel) <= 90
    assert np.mean(panel >= 200) > 0.01


def test_the_given_frame_is_left_alone():
    frame = white(320, 240)
    drawn = Overlay((320, 240)).draw(frame, FOUR)
    assert (frame == 255).all()
    assert (drawn[120:] == 255).all()


def test_without_prediction_only_the_lines_are_drawn():
    frame, overlay = white(320, 240), Overlay((320, 240))
    assert np.array_equal(overlay.draw(frame, None), frame)
    drawn = overlay.draw(frame, None, lines=["30 fps"])
    assert changed(frame, drawn)[1] < changed(frame, overlay.draw(frame, FOUR))[1]


def test_bars_are_as_long_as_the_scores():
    prediction = Prediction(("a", "b"), (0.75, 0.25))
    drawn = Overlay((640, 480), ("b", "a")).draw(white(640, 480), prediction)
    best = (drawn == BEST).all(axis=2).sum(axis=1).max()
    other = (drawn == OTHER).all(axis=2).sum(axis=1).max()
    assert best == pytest.approx(3 * other, abs=2)


def test_each_bar_of_several_labels_has_a_mark_at_its_threshold():
    answer = Prediction.from_probabilities(("b", "a"), (0.3, 0.9), thresholds=(0.2, 0.5))
    overlay = Overlay((640, 480), ("b", "a"), {"a": 0.5, "b": 0.75})
    plain = Overlay((640, 480), ("b", "a")).draw(white(640, 480), answer)
    drawn = overlay.draw(white(640, 480), answer)
    top, bottom, left, right = changed(plain, drawn)
    filled = (drawn == BEST).all(2).any(0).nonzero()[0]
    whole = (filled[-1] - filled[0] + 1) / 0.9
    assert (left - filled[0]) / whole == pytest.approx(0.5, abs=0.02)
    assert (right - filled[0]) / whole == pytest.approx(0.75, abs=0.02)
    assert bottom - top > 10  # one mark in either row


def test_what_is_shown_stands_first_with_its_own_score():
    scores = {"a": 0.6, "b": 0.5, "c": 0.4, "d": 0.3}
    limits = (0.7, 0.7, 0.7, 0.2)
    answer = Prediction.from_probabilities(list(scores), list(scores.values()), thresholds=limits)
    assert answer.leading(2) == [("d", 0.3), ("a", 0.6)]
    rows = Overlay((640, 480))._rows(answer, [], None)
    assert [(row.text, row.figure) for row in rows[:2]] == [("d", "30%"), ("d", "30%")]
    several = Prediction.from_probabilities("ab", (0.6, 0.5), thresholds=(0.1, 0.1))
    head = Overlay((640, 480))._rows(several, [], None)[0]
    assert (head.text, head.figure) == ("a + b", "")


def test_nothing_shifts_when_only_the_scores_change():
    frame, overlay = white(640, 480), Overlay((640, 480), ("b", "a"))
    places = set()
    for scores in ((1.0, 0.0), (0.91, 0.09), (0.5, 0.5)):
        drawn = overlay.draw(frame, Prediction(("a", "b"), scores))
        bars = np.any([(drawn == colour).all(axis=2) for colour in (BEST, OTHER, TRACK)], axis=0)
        columns = np.nonzero(bars.sum(axis=0) > 10)[0]
        places.add((*changed(frame, drawn), columns.min(), columns.max()))
    assert len(places) == 1


@pytest.mark.parametrize("labels", [("ж", "щ"), ("ö", "õ"), ("λ", "Ω"), ("א", "ב")])
def test_letters_of_many_scripts_have_their_own_shape(labels):
    drawn = [
        Overlay((320, 240)).draw(white(320, 240), Prediction((label,), (1.0,))) for label in labels
    ]
    assert not np.array_equal(*drawn)


def test_a_long_label_ends_in_an_ellipsis_within_its_room():
    font = Font(20)
    assert font.shorten("jump", 200) == "jump"
    assert font.shorten("two\nlines", 200) == "two lines"
    assert font.shorten("standing still for a very long time", 150) == "standing still…"
    assert font.shorten("jump", 3) == ""


def test_a_class_keeps_its_colour_when_another_is_best():
    overlay = Overlay((640, 480), ("b", "a"))
    for scores in ((0.7, 0.3), (0.6, 0.4)):
        for labels in (("a", "b"), ("b", "a")):
            drawn = overlay.draw(white(640, 480), Prediction(labels, scores))
            long = {"a": BEST, "b": OTHER}[labels[0]]
            short = {"a": BEST, "b": OTHER}[labels[1]]
            lengths = [(drawn == colour).all(axis=2).sum() for colour in (long, short)]
            assert lengths[0] > lengths[1]


def test_the_panel_keeps_clear_of_what_moves():
    overlay, frame = Overlay((640, 480)), white(640, 480)
    rng = np.random.default_rng(0)
    for _ in range(40):
        moving = frame.copy()
        moving[:, :300] = rng.integers(0, 255, (6, 5, 1)).repeat(80, 0).repeat(60, 1)
        overlay.draw(moving, FOUR)
    assert overlay.panel_area[0] > 300
    still = Overlay((640, 480))
    for _ in range(40):
        still.draw(frame, FOUR)
    assert still.panel_area[:2] == (8, 8)


def test_the_panel_and_the_banner_share_no_row():
    overlay = Overlay((640, 480))
    wide = PersonMark(1, (0, 0, 640, 200), "a")  # heads all along the upper edge
    overlay.draw(white(640, 480), FOUR, banner="lost", people=[wide])
    _, top, _, height = overlay.panel_area
    assert top > 240
    assert top + height <= 480 - overlay.banner_px


def test_a_frame_of_another_size_or_type_is_refused():
    overlay = Overlay((64, 48))
    with pytest.raises(VideoError, match=r"shape \(48, 64, 3\), uint8; got \(48, 60, 3\)"):
        overlay.draw(white(60, 48), FOUR)
    with pytest.raises(VideoError, match="float32: make one Overlay per frame size"):
        overlay.draw(white(64, 48).astype(np.float32), FOUR)
    with pytest.raises(VideoError, match=r"got \(0, 48\)"):
        Overlay((0, 48))


@pytest.mark.parametrize("size_px", [(1, 1), (8, 8), (16, 200), (200, 9)])
def test_a_frame_too_small_for_letters_is_given_back(size_px):
    assert Overlay(size_px).draw(white(*size_px), FOUR, lines=["x"]).shape == white(*size_px).shape


def test_an_unsure_answer_is_titled_as_one():
    image = np.zeros((360, 640, 3), np.uint8)
    overlay = Overlay((640, 360))
    sure = Prediction(("kick", "punch"), (0.6, 0.4))
    unsure = overlay.draw(image, replace(sure, unsure=True))
    assert (unsure == overlay.draw(image, sure, title=("unsure, perhaps kick", "60%"))).all()
    assert (unsure != overlay.draw(image, sure)).any()


def test_a_label_too_wide_for_its_row_is_written_smaller_and_only_then_cut():
    font = Font(20)
    assert font.fitted("jump", 200) == font
    small = font.fitted("standing still for a while", 200)
    assert 7 < small.size_px < 20
    assert small.shorten("standing still for a while", 200) == "standing still for a while"
    assert font.fitted("jump", 3).size_px == 7  # cannot be read below


def test_the_labels_of_a_narrow_video_are_not_cut(monkeypatch):
    classes, drawn = ["opening the door", "walking backwards", "climbing stairs"], []
    shown = Font.letters
    monkeypatch.setattr(Font, "letters", lambda font, text: drawn.append(text) or shown(font, text))
    answer = Prediction.from_probabilities(classes, [0.7, 0.2, 0.1], 3.2)
    Overlay((240, 426), classes).draw(np.zeros((426, 240, 3), np.uint8), answer)
    assert set(classes) <= {*drawn}
