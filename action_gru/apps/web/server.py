"""From a trained run to an address in the browser, and a clean end."""

from __future__ import annotations

import importlib
import json
import os
import signal
import socket
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from action_gru.apps.web.folders import Folders
from action_gru.apps.web.guard import Guard, Limits, Rates
from action_gru.apps.web.words import bar_rules
from action_gru.core.errors import ConfigError, MissingExtraError
from action_gru.core.paths import VIDEO_SUFFIXES
from action_gru.core.progress import Reporter

if TYPE_CHECKING:
    from action_gru.apps.web.page import Page
    from action_gru.recognizer import ActionRecognizer

HOST, PORT = "127.0.0.1", 7860
SWEEP_EVERY_S = 10.0
HELD_UPLOADS = 10  # uploads and results may take so many times the largest upload
CSS, SCRIPT = (Path(__file__).with_name(f"page.{kind}") for kind in ("css", "js"))


def build_page(
    recognizer: ActionRecognizer, folders: Folders, limits: Limits | None = None
) -> Page:
    """The page over a recognizer; its `blocks` is the gradio.Blocks.

    folders: entered already, for Gradio notes where uploads go when its components are made.
    Raises MissingExtraError without Gradio, CheckpointError for a model that cannot run live.
    """
    load_gradio()
    # It noted when it was imported where temporary files go: somewhere else, maybe gone.
    vars(importlib.import_module("gradio.routes"))["DEFAULT_TEMP_DIR"] = str(folders.root)
    from action_gru.apps.web.page import Page

    return Page(recognizer, limits or Limits(), folders)


def serve(
    model: Path,
    overrides: Sequence[str] = (),
    host: str = HOST,
    port: int = PORT,
    limits: Limits | None = None,
    ready: Callable[[str], None] = print,
    stop: threading.Event | None = None,
) -> None:
    """Serve the page until ctrl-C, SIGTERM or `stop`; `ready` is called with its address."""
    from action_gru.recognizer import ActionRecognizer

    load_gradio()
    limits = limits or Limits()
    port = free_port(host, port)
    recognizer = ActionRecognizer.load(model, overrides=overrides)
    stop = stop or threading.Event()
    with Folders(limits.keep_s) as folders:
        page = build_page(recognizer, folders, limits)
        try:
            ready(launch(page, host, port))
            wait(page, stop)
        finally:
            folders.stop_all()
            page.blocks.close(verbose=False)


def launch(page: Page, host: str, port: int) -> str:
    """Start the server in the background; its address."""
    middleware = importlib.import_module("starlette.middleware").Middleware
    limits = page.limits
    most = HELD_UPLOADS * limits.max_upload_bytes
    posts = Rates(limits.posts_per_s, 2 * limits.posts_per_s)
    uploads = Rates(limits.uploads_per_min / 60, limits.uploads_per_min)
    guard = middleware(
        Guard, limits.max_upload_bytes, most, page.folders.bytes_held, posts, uploads
    )
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
        app_kwargs={"middleware": [guard], "openapi_url": None},
        theme=_theme(),
        css=CSS.read_text(encoding="utf-8") + bar_rules(page.colours),
        js=_script(limits),
    )
    return str(page.blocks.local_url)


def wait(page: Page, stop: threading.Event) -> None:
    """Until ctrl-C, SIGTERM or `stop`, with a sweep now and then."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _interrupt)
    try:
        while not stop.wait(SWEEP_EVERY_S):
            page.sweep()
    except KeyboardInterrupt:
        Reporter(quiet=False).say("closing")


def load_gradio() -> Any:
    """Gradio, told to call nobody before it is imported. Raises MissingExtraError."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    # It also keeps figures on its own calls, made anew with pandas after each of them.
    os.environ["GRADIO_ANALYTICS_CACHE_FREQUENCY"] = str(10**12)
    os.environ["GRADIO_ANALYTICS_MAX_EVENTS"] = "100"
    try:
        return importlib.import_module("gradio")
    except ImportError as error:
        raise MissingExtraError("gradio", "web", "the web page") from error


def free_port(host: str, port: int) -> int:
    """The port if it is free, any free one for 0. Raises ConfigError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            return int(probe.getsockname()[1])
    except (OSError, OverflowError) as error:
        raise ConfigError(
            f"{host}, port {port}: cannot be listened on ({error}); choose others with --host "
            "and --port, 0 for any free port"
        ) from error


def _script(limits: Limits) -> str:
    """The page's script with the limits that it tells of."""
    known = {"megabytes": limits.max_upload_mb, "suffixes": sorted(VIDEO_SUFFIXES)}
    return SCRIPT.read_text(encoding="utf-8").replace("LIMITS", json.dumps(known))


def _theme() -> Any:
    gr = load_gradio()
    system = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]
    mono = ["ui-monospace", "Consolas", "monospace"]
    theme = gr.themes.Base(
        primary_hue="blue", neutral_hue="gray", font=system, font_mono=mono, radius_size="sm"
    )
    # Gradio's own grey has a contrast of 2.5 to 1 on white; text needs 4.5.
    return theme.set(
        body_text_color_subdued="*neutral_600", body_text_color_subdued_dark="*neutral_400"
    )


def _reach_self_directly(host: str) -> None:
    """Gradio asks its own server whether it is up; a proxy would not know it."""
    for name in ("no_proxy", "NO_PROXY"):
        known = [part for part in os.environ.get(name, "").split(",") if part]
        os.environ[name] = ",".join(dict.fromkeys([*known, "127.0.0.1", "localhost", host]))


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
