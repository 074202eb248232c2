"""Who asks, and for which file: what Gradio tells of a request."""

from __future__ import annotations

import base64
import io
import warnings
from pathlib import Path
from typing import Any

import gradio as gr

MOST_PIXELS = 4096 * 2160  # no browser's camera gives more
FORMATS = ("JPEG", "PNG", "WEBP")


def browser_of(request: gr.Request) -> str:
    """One page in one browser window, until it is closed or loaded again."""
    return str(request.session_hash)


def path_of(upload: Any) -> object:
    """The path in Gradio's description of one uploaded file."""
    if isinstance(upload, list):
        upload = upload[0] if upload else None
    return upload.get("path") if isinstance(upload, dict) else None


def refuse_addresses(component: Any) -> None:
    """Gradio would fetch a file that a request names by an address; here it is refused."""
    inner = component.async_move_resource_to_block_cache

    async def only_files(path: Any) -> Any:
        if "://" in str(path):
            raise gr.Error("only an uploaded file can be read", print_exception=False)
        return await inner(path)

    component.async_move_resource_to_block_cache = only_files


def refuse_large_pictures(component: Any) -> None:
    """Gradio decodes what it is sent before anyone can look: here the header is read first."""
    inner = component.preprocess

    def checked(payload: Any) -> Any:
        if payload is not None and not is_modest_picture(_picture_of(payload)):
            raise gr.Error("a camera's frame is a small JPEG, PNG or WebP", print_exception=False)
        return inner(payload)

    component.preprocess = checked


def is_modest_picture(source: Path | bytes) -> bool:
    """Is it one of the formats that browsers send, of at most MOST_PIXELS? Decodes nothing."""
    from PIL import Image

    try:
        opened = io.BytesIO(source) if isinstance(source, bytes) else source
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            # Of all formats that Pillow knows, some start programs: EPS runs Ghostscript.
            with Image.open(opened, formats=FORMATS) as picture:
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
