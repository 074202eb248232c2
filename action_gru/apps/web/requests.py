"""Who asks, and for which file: what Gradio tells of a request."""

from __future__ import annotations

from typing import Any

import gradio as gr


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
