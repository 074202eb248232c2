"""Results as HTML, and Gradio components that refuse what the page never sends.

Whatever came from outside, labels and file names, is escaped here.
"""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from action_gru.core.graphics import class_colours
from action_gru.core.text import clock_text
from action_gru.timeline import Event, Prediction

if TYPE_CHECKING:
    from action_gru.recognizer import ActionRecognizer

MOST_PIXELS = 4096 * 2160  # no browser's camera gives more
PICTURE_FORMATS = ("JPEG", "PNG", "WEBP")
BARS = 5
COLUMNS = ("from", "to", "action", "score")


def note(text: str, kind: str = "note") -> str:
    """A line of text; kind: note, or error for one in red."""
    role = "alert" if kind == "error" else "status"
    return f'<p class="{kind}" role="{role}">{escape(text)}</p>' if text else ""


def events_table(
    events: Sequence[Event],
    current: Sequence[Event] = (),
    empty: str = "",
    colours: Mapping[str, str] | None = None,
) -> str:
    """A table of events in the given order, below the current ones; a note where there is none.

    colours: of the labels, #RRGGBB.
    """
    shown = [*current, *events]
    if not shown:
        return note(empty)
    body = ""
    for number, event in enumerate(shown):
        is_now = number < len(current)
        end = "now" if is_now else clock_text(event.end_s)
        label = _swatch((colours or {}).get(event.label)) + escape(event.label)
        cells = (clock_text(event.start_s), end, label, f"{round(100 * event.score)}%")
        row = "".join(f"<td>{cell}</td>" for cell in cells)
        body += f'<tr class="{"now" if is_now else "over"}">{row}</tr>'
    head = "".join(f'<th scope="col">{name}</th>' for name in COLUMNS)
    return f'<table class="events"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def score_component(
    recognizer: ActionRecognizer, label: str, elem_id: str
) -> tuple[Any, Callable[[Prediction], Any]]:
    """What shows the scores of an answer, and what makes its value of one."""
    import gradio as gr

    limits = recognizer.thresholds
    if limits is None:
        made = gr.Label(label=label, num_top_classes=BARS, elem_id=elem_id)
        return made, lambda answer: dict(answer.top(len(answer.labels)))
    colours = class_colours(recognizer.classes)
    return gr.HTML(elem_id=elem_id), lambda answer: score_bars(answer, limits, colours)


def score_bars(
    answer: Prediction, thresholds: Mapping[str, float], colours: Mapping[str, str]
) -> str:
    """A bar a class with its threshold marked; those that count as shown first and bold."""
    rows = ""
    for name, score in answer.leading(BARS):
        kind = "shown" if name in (answer.active or ()) else "below"
        percent, limit = round(100 * score), round(100 * thresholds[name])
        rows += (
            f'<li class="{kind}"><span>{escape(name)}</span><b>{percent}%</b>'
            f'<i class="track" title="counts as shown from {limit}% on">'
            f'<i style="width:{percent}%;background:{colours[name]}"></i>'
            f'<i class="limit" style="left:{limit}%"></i></i></li>'
        )
    head = f"<h2>{escape(answer.display_label)}</h2>"
    return f'<div class="scores">{head}<ul>{rows}</ul></div>'


def class_list(colours: Mapping[str, str]) -> str:
    """Labels, each with its colour, #RRGGBB."""
    items = (f"<li>{_swatch(colour)}{escape(label)}</li>" for label, colour in colours.items())
    return f'<ul class="classes">{"".join(items)}</ul>'


def _swatch(colour: str | None) -> str:
    return f'<i class="swatch" style="background:{colour}"></i>' if colour else ""


def bar_rules(colours: Mapping[str, str]) -> str:
    """The style sheet that gives the score bar of each label its colour."""
    return "".join(
        f'meter.bar[aria-label="{_css_text(label)}"] {{ background: {colour} !important; }}\n'
        for label, colour in colours.items()
    )


def _css_text(text: str) -> str:
    """A text within quotes of a style sheet: all but letters and digits as their numbers."""
    safe = [one if one.isascii() and one.isalnum() else f"\\{ord(one):x} " for one in text]
    return "".join(safe)


def browser_of(request: Any) -> str:
    """The key of a page in one browser window, until it is closed or loaded again."""
    return str(request.session_hash)


def refuse_addresses(component: Any) -> None:
    """Gradio would fetch a file that a request names by an address; here it is refused."""
    inner = component.async_move_resource_to_block_cache

    async def only_files(path: Any) -> Any:
        if "://" in str(path):
            raise _refusal("only an uploaded file can be read")
        return await inner(path)

    component.async_move_resource_to_block_cache = only_files


def refuse_large_pictures(component: Any) -> None:
    """Gradio decodes what it is sent before anyone can look: here the header is read first."""
    inner = component.preprocess

    def checked(payload: Any) -> Any:
        if payload is not None and not is_modest_picture(_picture_of(payload)):
            raise _refusal("a camera's frame is a small JPEG, PNG or WebP")
        return inner(payload)

    component.preprocess = checked


def _refusal(text: str) -> Exception:
    from gradio import Error

    error: Exception = Error(text, print_exception=False)
    return error


def is_modest_picture(source: Path | bytes) -> bool:
    """Is it one of the formats that browsers send, of at most MOST_PIXELS? Decodes nothing."""
    from PIL import Image

    try:
        opened = io.BytesIO(source) if isinstance(source, bytes) else source
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            # Of all formats that Pillow knows, some start programs: EPS runs Ghostscript.
            with Image.open(opened, formats=PICTURE_FORMATS) as picture:
                return picture.width * picture.height <= MOST_PIXELS
    except Exception:  # Pillow's many; and ultralytics' wrapper looks for a package of its own
        return False


def _picture_of(payload: Any) -> Path | bytes:
    url = str(payload.url or "")
    if not url.startswith("data:"):
        return Path(str(payload.path))
    try:
        return base64.b64decode(url.partition(",")[2])
    except ValueError:
        return b""
