"""From a trained run to a page, its address in the browser, and a clean end."""

from __future__ import annotations

import importlib
import json
import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from action_gru.apps.web.elements import bar_rules, class_list
from action_gru.apps.web.guard import Folders, Guard, Limits
from action_gru.core.errors import MissingExtraError
from action_gru.core.graphics import class_colours
from action_gru.core.paths import VIDEO_SUFFIXES
from action_gru.core.progress import Reporter

if TYPE_CHECKING:
    from action_gru.recognizer import ActionRecognizer

SWEEP_EVERY_S = 10.0
CSS, SCRIPT = (Path(__file__).with_name(f"page.{kind}") for kind in ("css", "js"))


class Page:
    """Two tabs over one recognizer, for any number of browsers; `blocks` is the gradio.Blocks.

    folders: entered, for Gradio reads where uploads go when its components are made.
    Raises MissingExtraError without Gradio, CheckpointError for a model that cannot run live.
    """

    def __init__(
        self, recognizer: ActionRecognizer, folders: Folders, limits: Limits | None = None
    ) -> None:
        gr = load_gradio()
        # Gradio read at its import where temporary files go: another folder, maybe gone.
        vars(importlib.import_module("gradio.routes"))["DEFAULT_TEMP_DIR"] = str(folders.root)
        from action_gru.apps.web.camera import CameraTab
        from action_gru.apps.web.upload import VideoTab

        recognizer.stream()  # raises for a model that cannot run live
        self.limits, self.folders = limits or Limits(), folders
        self.colours = class_colours(recognizer.classes)
        # Streams share nothing that they write. Taking turns keeps a short step short: the cores
        # are not split between a video and a camera.
        turn = threading.Lock()
        with gr.Blocks(
            title="action-gru", analytics_enabled=False, delete_cache=(60, int(self.limits.keep_s))
        ) as blocks:
            gr.HTML("<h1>What happens when?</h1>", elem_classes="title")
            with gr.Tab("Video", elem_id="video_tab"):
                self.video = VideoTab(blocks, recognizer, self.limits, folders, turn)
            with gr.Tab("Camera", elem_id="camera_tab"):
                self.camera = CameraTab(blocks, recognizer, self.limits, turn)
            known = f"<h2>The {len(recognizer.classes)} actions it knows</h2>"
            gr.HTML(known + class_list(self.colours), elem_classes="known")
        self.blocks = blocks.queue(max_size=16 + 4 * self.limits.videos, api_open=False)

    def sweep(self) -> None:
        """Drop what has been silent or unused for too long; call it now and then."""
        self.camera.sweep()
        self.folders.sweep()


def serve(
    model: Path,
    overrides: Sequence[str],
    host: str,
    port: int,
    limits: Limits,
    ready: Callable[[str], None],
) -> None:
    """Serve the page until ctrl-C; `ready` is called with its address."""
    from action_gru.recognizer import ActionRecognizer

    recognizer = ActionRecognizer.load(model, overrides=overrides)
    with Folders(limits.keep_s) as folders:
        page = Page(recognizer, folders, limits)
        try:
            ready(launch(page, host, port))
            _sweep_until_interrupted(page)
        finally:
            folders.stop_all()
            page.blocks.close(verbose=False)


def _sweep_until_interrupted(page: Page) -> None:
    try:
        while True:
            time.sleep(SWEEP_EVERY_S)
            page.sweep()
    except KeyboardInterrupt:
        Reporter(quiet=False).info("closing")


def launch(page: Page, host: str, port: int) -> str:
    """Start the server in the background; its address."""
    middleware = importlib.import_module("starlette.middleware").Middleware
    limits = page.limits
    known = {"megabytes": limits.max_upload_mb, "suffixes": sorted(VIDEO_SUFFIXES)}
    _reach_self_directly(host)
    page.blocks.launch(
        server_name=f"[{host}]" if ":" in host else host,
        server_port=port,
        share=False,
        inbrowser=False,
        prevent_thread_lock=True,
        quiet=True,
        show_error=False,
        footer_links=[],
        run_history=False,
        allowed_paths=[],
        max_file_size=limits.max_upload_bytes,
        max_threads=40 + 2 * (limits.cameras + limits.videos),
        state_session_capacity=500,
        enable_monitoring=False,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        app_kwargs={
            "middleware": [middleware(Guard, limits, page.folders.bytes_held)],
            "openapi_url": None,
        },
        theme=_theme(),
        css=CSS.read_text(encoding="utf-8") + bar_rules(page.colours),
        js=SCRIPT.read_text(encoding="utf-8").replace("LIMITS", json.dumps(known)),
    )
    return str(page.blocks.local_url)


def load_gradio() -> Any:
    """Import Gradio with its telemetry off. Raises MissingExtraError."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    # It also keeps statistics of its own calls, computed with pandas after each of them.
    os.environ["GRADIO_ANALYTICS_CACHE_FREQUENCY"] = str(10**12)
    os.environ["GRADIO_ANALYTICS_MAX_EVENTS"] = "100"
    try:
        return importlib.import_module("gradio")
    except ImportError as error:
        raise MissingExtraError("gradio", "web", "the web page") from error


def _theme() -> Any:
    system = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]
    mono = ["ui-monospace", "Consolas", "monospace"]
    theme = load_gradio().themes.Base(
        primary_hue="blue", neutral_hue="gray", font=system, font_mono=mono, radius_size="sm"
    )
    # Gradio's own grey has a contrast of 2.5 to 1 on white; text needs 4.5.
    return theme.set(
        body_text_color_subdued="*neutral_600", body_text_color_subdued_dark="*neutral_400"
    )


def _reach_self_directly(host: str) -> None:
    """Let Gradio reach its own server without a proxy, to see whether it is up."""
    for name in ("no_proxy", "NO_PROXY"):
        known = [part for part in os.environ.get(name, "").split(",") if part]
        os.environ[name] = ",".join(dict.fromkeys([*known, "127.0.0.1", "localhost", host]))
