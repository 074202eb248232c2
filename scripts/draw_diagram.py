"""Draws docs/images/how_it_works.svg: from a video to an answer, as boxes and arrows."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

PICTURE = Path(__file__).parents[1] / "docs" / "images" / "how_it_works.svg"
WIDTH, HEIGHT = 600, 548
INK, ACCENT, SOFT, GREY = "#18202c", "#2b59c3", "#e3eafb", "#525c6b"


class Box(NamedTuple):
    """Its left upper corner, width and height in px, and its lines: a title, then what it does."""

    left: int
    top: int
    width: int
    height: int
    lines: tuple[str, ...]
    is_learned: bool = False

    @property
    def middle(self) -> int:
        return self.left + self.width // 2

    @property
    def bottom(self) -> int:
        return self.top + self.height


VIDEO = Box(30, 20, 300, 58, ("A video, or a camera", "12 pictures a second, by their times"))
NETWORK = Box(
    30, 124, 300, 76, ("A frozen network", "a picture becomes 1280 numbers;", "never trained")
)
CACHE = Box(400, 124, 170, 76, ("Cache", "kept on disk: each", "picture is read once"))
TABLE = Box(400, 246, 170, 76, ("Or a table", "sensors, joints of", "a skeleton"))
GRU = Box(
    30,
    246,
    300,
    76,
    ("GRU", "reads the numbers in order and", "remembers; trained on your clips"),
    True,
)
SCORES = Box(30, 368, 300, 40, ("A score for each action",), True)
CLIP = Box(30, 456, 250, 72, ("Of a clip", "the label and its score,", "or: unsure"))
EVENTS = Box(320, 456, 250, 72, ("Of a long video, live", "events: what, from when,", "to when"))
BOXES = (VIDEO, NETWORK, CACHE, TABLE, GRU, SCORES, CLIP, EVENTS)
ARROWS = (  # from x, y to x, y
    (VIDEO.middle, VIDEO.bottom, NETWORK.middle, NETWORK.top),
    (NETWORK.left + NETWORK.width, 162, CACHE.left, 162),
    (NETWORK.middle, NETWORK.bottom, GRU.middle, GRU.top),
    (TABLE.left, 284, GRU.left + GRU.width, 284),
    (GRU.middle, GRU.bottom, SCORES.middle, SCORES.top),
    (130, SCORES.bottom, 130, CLIP.top),
    (300, SCORES.bottom, 390, EVENTS.top),
)


def picture() -> str:
    """The drawing as SVG. Its own light ground makes it readable on dark pages, too."""
    arrow = f'<path d="M0 0 L9 4.5 L0 9 z" fill="{GREY}"/>'
    place = 'markerWidth="9" markerHeight="9" refX="8" refY="4.5" orient="auto"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
            'font-family="system-ui, sans-serif" role="img">',
            "<title>From a video to an answer</title>",
            f'<defs><marker id="end" {place}>{arrow}</marker></defs>',
            f'<rect width="{WIDTH}" height="{HEIGHT}" rx="14" fill="#ffffff"/>',
            *(_line(*ends) for ends in ARROWS),
            *(_box(box) for box in BOXES),
            "</svg>\n",
        ]
    )


def _line(x1: int, y1: int, x2: int, y2: int) -> str:
    ends = f'x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"'
    return f'<line {ends} stroke="{GREY}" stroke-width="2" marker-end="url(#end)"/>'


def _box(box: Box) -> str:
    fill, stroke = (SOFT, ACCENT) if box.is_learned else ("#f5f6f8", GREY)
    shape = f'x="{box.left}" y="{box.top}" width="{box.width}" height="{box.height}" rx="10"'
    first = box.top + (box.height - 20 * (len(box.lines) - 1)) / 2 + 6
    words = [
        f'<text x="{box.middle}" y="{first + 20 * index:g}" text-anchor="middle" '
        f'font-size="{17 if index == 0 else 15}" font-weight="{600 if index == 0 else 400}" '
        f'fill="{INK if index == 0 else GREY}">{line}</text>'
        for index, line in enumerate(box.lines)
    ]
    return "\n".join(
        [f'<rect {shape} fill="{fill}" stroke="{stroke}" stroke-width="1.5"/>', *words]
    )


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
