import pytest

from action_gru.core.graphics import (
    NIGHT,
    OKABE_ITO,
    WHITE,
    class_colour,
    class_colours,
    contrast,
    distance,
    ink_on,
    rgb,
)

MANY = [class_colour(index) for index in range(400)]


def test_the_first_eight_are_okabe_and_itos():
    assert MANY[:8] == list(OKABE_ITO)
    assert class_colours(["a", "b"]) == {"a": "#0072B2", "b": "#E69F00"}


def test_no_two_of_four_hundred_classes_share_a_colour():
    assert len(set(MANY)) == 400


def test_the_ninth_and_the_twentieth_are_unlike_all_others():
    for index, colour in enumerate(MANY[:20]):
        for other in MANY[:index]:
            assert distance(colour, other) > 0.1, (colour, other)
    assert distance("#000000", WHITE) == pytest.approx(1.0, abs=1e-3)


def test_colours_after_the_eighth_are_seen_on_white_and_on_black():
    for colour in MANY[8:]:
        assert contrast(colour, WHITE) >= 3
        assert contrast(colour, NIGHT) >= 3


def test_a_label_on_its_colour_can_be_read():
    assert min(contrast(ink_on(colour), colour) for colour in MANY) >= 4.5
    assert ink_on("#F0E442") == "#000000"
    assert contrast("#000000", WHITE) == pytest.approx(21)


def test_a_colour_is_the_same_whenever_it_is_asked_for():
    assert (class_colour(8), class_colour(19)) == (MANY[8], MANY[19])
    assert rgb("#E69F00") == (230, 159, 0)
