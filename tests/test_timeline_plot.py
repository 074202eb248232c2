from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.colors import to_hex

from action_gru.core.graphics import class_colour
from action_gru.report.plots import save_figure
from action_gru.report.timeline_plot import plot_timeline
from action_gru.timeline import Event, ScoreTrack, Timeline

NAMES = ("идти очень медленно и долго вдоль длинной стены", "$cost$", "W" * 40, "run")


def classes(count):
    return tuple(f"{NAMES[number % 4]} {number}" for number in range(count))


def timeline(duration_s=10.0, events=4, count=2, **fields):
    """Events of equal length with breaks between, each class in turn; the scores follow them."""
    names = classes(count)
    step_s = duration_s / max(1, events)
    spans = [
        Event(names[number % count], number * step_s, (number + 0.8) * step_s, 0.9)
        for number in range(events)
    ]
    track = ScoreTrack()
    for time_s in np.linspace(0, duration_s, 400, endpoint=False):
        scores = np.full(count, 0.1 / count)
        scores[int(time_s / step_s) % count] += 0.9
        track.add(time_s, scores)
    given = {"source": "/videos/clip.mp4", "duration_s": duration_s, "scores": track, **fields}
    return Timeline(classes=names, events=tuple(spans), **given)


def bars(axes):
    """(left, width, colour) of each bar; the grey lanes are no bars."""
    return [
        (bar.get_x(), bar.get_width(), to_hex(bar.get_facecolor()).upper())
        for container in axes.containers
        for bar in container
    ]


def labels(axes):
    return [text for text in axes.texts if text.get_text() not in ("no event", "no score")]


def legend_colours(figure):
    (legend,) = figure.legends
    return {
        text.get_text(): to_hex(patch.get_facecolor()).upper()
        for text, patch in zip(legend.get_texts(), legend.get_patches(), strict=True)
    }


def check_room(figure):
    """No text leaves the canvas or its bar, and nothing covers anything else."""
    figure.canvas.draw()
    scores, lanes = figure.axes
    box = figure.get_tightbbox()
    width_in, height_in = figure.get_size_inches()
    assert (box.x0, box.y0) >= (0, 0)
    assert box.x1 <= width_in
    assert box.y1 <= height_in
    (legend,) = figure.legends
    assert not legend.get_window_extent().overlaps(scores.get_window_extent())
    assert not legend.get_window_extent().overlaps(lanes.get_tightbbox())
    for axes in figure.axes:
        ticks = [one.get_window_extent() for one in axes.get_xticklabels() if one.get_text()]
        assert not any(one.overlaps(other) for one, other in pairwise(ticks))
    patches = [bar.get_window_extent() for container in lanes.containers for bar in container]
    for text in labels(lanes):
        extent = text.get_window_extent()
        assert any(
            bar.x0 <= extent.x0
            and extent.x1 <= bar.x1
            and bar.y0 <= extent.y0
            and extent.y1 <= bar.y1
            for bar in patches
        ), text.get_text()


@pytest.mark.parametrize("duration_s", [1.5, 10.0, 75.0, 600.0, 4000.0, 7200.0])
@pytest.mark.parametrize(
    ("events", "count"), [(1, 2), (12, 8), pytest.param(300, 101, marks=pytest.mark.slow)]
)
def test_everything_has_room(duration_s, events, count):
    one = timeline(duration_s, events, count)
    check_room(plot_timeline(one, one.events[::2]))


def test_a_class_has_one_colour_in_all_panels():
    one = timeline(10.0, 4, 2)
    figure = plot_timeline(one, [Event(one.classes[1], 1.0, 3.0)])
    scores, lanes = figure.axes
    blue, orange = "#0072B2", "#E69F00"
    first, second = legend_colours(figure).items()
    # The second class lasts longer, counting the reference.
    assert first == ("$cost$ 1", orange)
    assert second[1] == blue  # the first of the model's classes
    expected = [(0.0, blue), (2.5, orange), (5.0, blue), (7.5, orange), (1.0, orange)]
    assert [(left, colour) for left, _, colour in bars(lanes)] == expected
    drawn = {to_hex(line.get_color()).upper(): line.get_ydata() for line in scores.lines}
    assert drawn[blue] == pytest.approx(one.scores.values[:, 0])
    assert drawn[orange] == pytest.approx(one.scores.values[:, 1])


def test_every_class_that_wins_somewhere_has_a_colour_and_a_name():
    figure = plot_timeline(timeline(600.0, 30, 101))
    scores, lanes = figure.axes
    assert len(scores.lines) == 30
    assert len(legend_colours(figure)) == 30
    assert len({colour for _, _, colour in bars(lanes)}) == 30


def test_a_class_that_wins_for_one_instant_with_a_low_score_is_named():
    track = ScoreTrack()
    for time_s in range(10):
        scores = np.full(12, 0.08)
        scores[11 if time_s == 4 else 0] = 0.12  # below SHOWN_SCORE
        track.add(float(time_s), scores)
    figure = plot_timeline(timeline(10.0, 0, 12, scores=track))
    assert set(legend_colours(figure).values()) == {class_colour(0), class_colour(11)}
    assert legend_colours(figure)["run 11"] == class_colour(11)


def test_classes_that_never_score_are_left_out():
    figure = plot_timeline(timeline(10.0, 2, 8))
    assert len(figure.axes[0].lines) == 2


def test_long_bars_have_their_label_and_short_ones_none():
    assert len(labels(plot_timeline(timeline(10.0, 3)).axes[1])) == 3
    assert labels(plot_timeline(timeline(7200.0, 300)).axes[1]) == []
    assert len(bars(plot_timeline(timeline(7200.0, 300)).axes[1])) == 300


@pytest.mark.parametrize(("reference", "texts"), [(None, 1), ([], 2)])
def test_no_event_is_said(reference, texts):
    figure = plot_timeline(timeline(40.0, 0), reference)
    assert [text.get_text() for text in figure.axes[1].texts] == ["no event"] * texts
    assert figure.get_suptitle() == "clip.mp4: no event in 0:40"


def test_the_lanes_are_named():
    def lanes(reference):
        figure = plot_timeline(timeline(), reference)
        return [text.get_text() for text in figure.axes[1].get_yticklabels()]

    assert lanes(None) == ["events"]
    assert lanes([Event("run", 0, 1)]) == ["found", "reference"]


@pytest.mark.parametrize(
    ("fields", "title"),
    [
        ({}, "clip.mp4: 4 events in 1:15"),
        ({"events": 1, "restarts": 1}, "clip.mp4: 1 event in 1:15, 1 restart after missing frames"),
        ({"complete": False}, "clip.mp4: 4 events, stopped at 1:15"),
        ({"duration_s": 3723.4}, "clip.mp4: 4 events in 1:02:03"),
    ],
)
def test_the_title_says_how_much_was_read(fields, title):
    assert plot_timeline(timeline(**{"duration_s": 75.0, **fields})).get_suptitle() == title


@pytest.mark.parametrize(
    ("duration_s", "ticks"),
    [
        (1.5, ["0:00.0", "0:00.2", "0:00.4"]),
        (10.0, ["0:00", "0:01", "0:02"]),
        (75.0, ["0:00", "0:10", "0:20"]),
        (7200.0, ["0:00", "15:00", "30:00", "45:00", "1:00:00"]),
    ],
)
def test_the_time_axis_is_a_clock(duration_s, ticks):
    figure = plot_timeline(timeline(duration_s))
    figure.canvas.draw()
    shown = [text.get_text() for text in figure.axes[1].get_xticklabels()]
    assert shown[: len(ticks)] == ticks or shown[1 : len(ticks) + 1] == ticks


def test_no_line_crosses_a_gap():
    track = ScoreTrack()
    for time_s in (*np.arange(0, 10, 0.1), *np.arange(30, 40, 0.1)):
        track.add(time_s, np.array([0.5, 0.5]), begins=time_s == 30)
    figure = plot_timeline(timeline(40.0, 0, scores=track))
    for line in figure.axes[0].lines:
        assert np.isnan(line.get_ydata()).nonzero()[0].tolist() == [100]


def test_a_line_crosses_the_jump_where_a_younger_state_answers():
    track = ScoreTrack()
    for stage in range(10):  # 0.1, 0.2, ... 1.0, and half a second to the next
        for time_s in np.arange(1, 11) / 10 + 1.5 * stage:
            track.add(time_s, np.array([0.5, 0.5]))
    figure = plot_timeline(timeline(15.0, 0, scores=track))
    for line in figure.axes[0].lines:
        assert not np.isnan(line.get_ydata()).any()


def test_a_reference_past_the_end_is_shown_whole():
    figure = plot_timeline(timeline(complete=False), [Event("swim", 20.0, 30.0)])
    assert figure.axes[1].get_xlim() == (0.0, 30.0)
    assert "swim" in legend_colours(figure)


def test_a_timeline_without_anything_is_drawn(tmp_path):
    figure = plot_timeline(Timeline("x.mp4", ("a$b$", "c$"), (), 0.0, complete=False))
    assert [text.get_text() for text in figure.axes[0].texts] == ["no score"]
    assert list(legend_colours(figure)) == ["a$b$", "c$"]
    save_figure(figure, tmp_path / "x.png")
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")


def test_overlapping_events_have_a_row_for_each_class():
    one, two = classes(2)
    spans = (Event(one, 0.0, 6.0), Event(two, 4.0, 9.0), Event(two, 9.5, 10.0))
    made = replace(timeline(), events=spans)
    rows = [text.get_text() for text in plot_timeline(made).axes[1].get_yticklabels()]
    assert rows == [one, two]
    beside = plot_timeline(made, [Event(one, 1.0, 7.0)]).axes[1]
    assert [text.get_text() for text in beside.get_yticklabels()] == [
        f"{one}, found", f"{one}, reference", f"{two}, found", f"{two}, reference",
    ]  # fmt: skip
    touching = replace(made, events=(Event(one, 0.0, 4.0), Event(two, 4.0, 9.0)))
    rows = plot_timeline(touching).axes[1].get_yticklabels()
    assert [text.get_text() for text in rows] == ["events"]
