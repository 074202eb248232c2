"""What every drawn figure must keep: texts do not overlap and stay on the canvas."""

from itertools import pairwise


def long_names(count):
    stems = ("прыжок в длину из очень длинного разбега", "W" * 40, "cost $5 and $6", "jump")
    return [f"{stems[i % 4]} {i} {'and so on' if i % 3 else ''}" for i in range(count)]


def check_texts(figure):
    """No neighbouring tick labels overlap, and no text leaves the canvas."""
    figure.canvas.draw()
    for axes in figure.axes:
        for ticks in (axes.get_xticklabels(), axes.get_yticklabels()):
            boxes = [one.get_window_extent() for one in ticks if one.get_text()]
            assert not any(one.overlaps(other) for one, other in pairwise(boxes))
    box = figure.get_tightbbox()
    width_in, height_in = figure.get_size_inches()
    assert box.x0 >= 0
    assert box.y0 >= 0
    assert box.x1 <= width_in
    assert box.y1 <= height_in
