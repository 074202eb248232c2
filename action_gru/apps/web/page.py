"""The page as a whole: two tabs over one recognizer. Knows no address and no command line."""

from __future__ import annotations

import threading
import time

import gradio as gr

from action_gru.apps.web.camera_tab import CameraTab
from action_gru.apps.web.folders import Folders
from action_gru.apps.web.guard import Limits
from action_gru.apps.web.requests import browser_of
from action_gru.apps.web.video_tab import VideoTab
from action_gru.apps.web.words import class_list
from action_gru.core.graphics import class_colours
from action_gru.recognizer import ActionRecognizer


class Page:
    """One page for any number of browsers; `blocks` is the gradio.Blocks."""

    def __init__(self, recognizer: ActionRecognizer, limits: Limits, folders: Folders) -> None:
        recognizer.stream()  # a model that cannot run live says so here
        self.limits, self.folders = limits, folders
        self.colours = class_colours(recognizer.classes)
        # Streams share nothing that they write. Taking turns keeps a short step short: the cores
        # are not split between a video and a camera.
        turn = threading.Lock()
        with gr.Blocks(
            title="action-gru", analytics_enabled=False, delete_cache=(60, int(limits.keep_s))
        ) as blocks:
            gr.HTML("<h1>What happens when?</h1>", elem_classes="title")
            with gr.Tab("Video", elem_id="video_tab"):
                self.video = VideoTab(recognizer, limits, folders, turn)
            with gr.Tab("Camera", elem_id="camera_tab"):
                self.camera = CameraTab(blocks, recognizer, limits, turn)
            known = f"<h2>The {len(recognizer.classes)} actions it knows</h2>"
            gr.HTML(known + class_list(self.colours), elem_classes="known")
            blocks.unload(self.leave)
        self.blocks: gr.Blocks = blocks.queue(max_size=16 + 4 * limits.videos, api_open=False)

    def leave(self, request: gr.Request) -> None:
        """A browser has closed the page: its camera's stream and its running job end."""
        self.camera.sessions.leave(browser_of(request))
        self.folders.stop(browser_of(request))

    def sweep(self) -> None:
        """Drop what has been silent or lain too long; call it now and then."""
        self.camera.sessions.sweep(time.monotonic())
        self.folders.sweep()
