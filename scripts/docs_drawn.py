"""The pictures of the docs that need nothing but this project: people are drawn, models trained here.

Knows nothing of the tutorial's real clips.
"""  # noqa: E501

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from action_gru.apps.live_loop import LiveLoop
from action_gru.apps.live_view import LiveView
from action_gru.apps.overlay import Overlay, marks_of
from action_gru.config import build_config
from action_gru.core.progress import Reporter
from action_gru.demo import DEMO_CONFIG
from action_gru.demo.dataset import write_demo_dataset, write_video
from action_gru.demo.scenes import Scene, clip_scene, draw_clip, long_scene
from action_gru.evaluation.explanation_plot import plot_explanation
from action_gru.recognizer import ActionRecognizer
from action_gru.report.plots import save_figure
from action_gru.report.timeline_plot import plot_timeline
from action_gru.timeline import Event
from action_gru.training import train

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from helpers.crowd import crowd_scene  # type: ignore[import-not-found]
from helpers.people_doubles import SceneDetector  # type: ignore[import-not-found]

FPS = 24.0
STRANGER = 987_650  # a person who is in no training clip
LONG_S, SHOWN_S, UPLOADED_S = 40.0, 28.0, 16.0
CROWD = ("wave", "clap", "punch", "walk")


class Drawn:
    """Draws into `out`; videos and the model, which several pictures share, stay in `work`."""

    def __init__(self, work: Path, out: Path, clips_per_class: int = 20, epochs: int = 25) -> None:
        self.work, self.out = work, out
        self.clips_per_class, self.epochs = clips_per_class, epochs
        work.mkdir(parents=True, exist_ok=True)

    @cached_property
    def recognizer(self) -> ActionRecognizer:
        """A demo model without the long videos."""
        manifest = write_demo_dataset(
            self.work / "demo", clips_per_class=self.clips_per_class, long_videos=0
        )
        shutil.rmtree(self.work / "runs" / "demo", ignore_errors=True)
        changes = [
            f"data.manifest={manifest}", f"run.folder={self.work / 'runs'}",
            f"features.cache_dir={self.work / 'cache'}", f"training.epochs={self.epochs}",
            "training.mean_pooled_baseline=false", "training.device=cpu", "features.device=cpu",
        ]  # fmt: skip
        run = train(build_config(DEMO_CONFIG, changes), Reporter(quiet=True))
        return ActionRecognizer.load(run.path, device="cpu")

    @cached_property
    def long(self) -> Scene:
        return long_scene(STRANGER, duration_s=LONG_S)

    def long_video(self, seconds: float = LONG_S) -> Path:
        path = self.work / f"long{round(seconds)}.mp4"
        write_video(path, (self.long.image_at(i / FPS) for i in range(int(seconds * FPS))), FPS)
        return path

    def explain(self, target: Path) -> None:
        clip = self.work / "stand_up.mp4"
        write_video(clip, draw_clip("stand_up", STRANGER, fps=FPS), FPS)
        save_figure(plot_explanation(self.recognizer.explain(clip)), target)

    def timeline(self, target: Path) -> None:
        timeline = self.recognizer.timeline(self.long_video())
        moves = self.long.actors[0].moves
        truth = [Event(move.action, *move.span_s, 1.0) for move in moves]
        save_figure(plot_timeline(timeline, truth), target)

    def webcam(self, target: Path) -> None:
        """What the window shows; the figures of speed are those of this machine."""
        with LiveLoop(self.recognizer, [str(self.long_video())], pace=False) as loop:
            view = LiveView(loop)
            for _ in loop.turns():
                image, frame = view.draw(), loop.feeds[0].frame
                if frame is not None and frame.time_s >= SHOWN_S:
                    break
        assert image is not None
        Image.fromarray(image).save(target)

    def people(self, target: Path) -> None:
        scene = crowd_scene(CROWD, 3, size_px=(1280, 360), duration_s=4.0)
        detector = SceneDetector(scene)  # boxes as a perfect detector would give them
        self.recognizer.detector = detector
        stream, engine = self.recognizer.people(), self.recognizer.people_engine
        for index in range(int(3.0 * FPS)):
            detector.time_s = time_s = index / FPS
            image = scene.image_at(time_s)
            due = stream.sampler.sample(image, time_s)
            people = engine.advance([stream], [due])[0] if due is not None else ()
            if people:
                overlay = Overlay((1280, 360), self.recognizer.classes)
                shown = overlay.draw(image, people=marks_of(people))
        Image.fromarray(shown).save(target)

    def web_video(self, target: Path) -> None:
        with self._page() as tab:
            tab.set_input_files("#upload input[type=file]", self.long_video(UPLOADED_S))
            tab.wait_for_selector("#video_tab video", timeout=300_000)
            tab.wait_for_function("document.querySelector('video').duration > 1")
            tab.evaluate("document.querySelector('video').currentTime = 8")
            tab.wait_for_timeout(2000)
            tab.screenshot(path=target)

    def web_camera(self, target: Path) -> None:
        with self._page() as tab:
            tab.get_by_role("tab", name="Camera").click()
            tab.locator("#camera").get_by_text("Click to Access Webcam").click()
            tab.locator("#camera").get_by_text("Start").click()
            tab.wait_for_selector("#camera_status >> text=frames a second", timeout=120_000)
            tab.wait_for_timeout(8000)
            tab.screenshot(path=target)

    @contextmanager
    def _page(self) -> Iterator[Any]:
        """A tab of a browser on the page, whose camera shows a person who waves."""
        from playwright.sync_api import sync_playwright

        from action_gru.apps.serving import free_port
        from action_gru.apps.web import Limits, Page
        from action_gru.apps.web.guard import Folders
        from action_gru.apps.web.server import launch

        film = self.work / "camera.mjpeg"
        pictures = [cv2.imencode(".jpg", i[..., ::-1])[1] for i in draw_clip("wave", STRANGER)]
        film.write_bytes(b"".join(picture.tobytes() for picture in pictures))
        switches = [
            "--no-sandbox", "--disable-gpu", "--use-fake-ui-for-media-stream",
            "--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={film}",
        ]  # fmt: skip
        with Folders(600.0) as folders, sync_playwright() as driver:
            page = Page(self.recognizer, folders, Limits())
            address = launch(page, "127.0.0.1", free_port("127.0.0.1", 0))
            chromium = shutil.which("chromium") or shutil.which("chromium-browser")
            browser = driver.chromium.launch(executable_path=chromium, args=switches)
            context = browser.new_context(
                viewport={"width": 900, "height": 1000}, permissions=["camera"]
            )
            tab = context.new_page()
            tab.goto(address)
            tab.wait_for_selector("#upload input[type=file]", state="attached")
            yield tab
            browser.close()
            page.blocks.close(verbose=False)

    def good_clips(self, target: Path) -> None:
        """Film strips of four pictures: the right way, and what goes wrong."""
        figure = Figure(figsize=(11, 5.8), layout="constrained")
        strips = list(_strips())
        grid = figure.subplots(len(strips) // 2, 2)
        for axes, (title, pictures) in zip(grid.flat, strips, strict=True):
            axes.imshow(np.concatenate(pictures, axis=1))
            right = title.startswith("right")
            axes.set_title(title, loc="left", fontsize=11, color="#00674a" if right else "#a33a00")
            axes.set_axis_off()
        save_figure(figure, target)

    def pictures(self) -> dict[str, Callable[[Path], None]]:
        return {
            "explain.png": self.explain, "good_clips.png": self.good_clips,
            "people.png": self.people, "timeline.png": self.timeline,
            "web_camera.png": self.web_camera, "web_video.png": self.web_video,
            "webcam.png": self.webcam,
        }  # fmt: skip


def _strips() -> Iterator[tuple[str, Sequence[np.ndarray]]]:
    scene = clip_scene("stand_up", STRANGER)
    start_s, end_s = scene.actors[0].moves[0].span_s
    action = np.linspace(start_s - 0.1, end_s + 0.1, 4)
    right = [scene.image_at(t) for t in action]
    blank = np.full_like(right[0], 255)
    far = replace(scene.actors[0].view, scale_px=scene.actors[0].view.scale_px * 0.3)
    small = replace(scene, actors=(replace(scene.actors[0], view=far),))
    other = clip_scene("wave", STRANGER + 1)
    yield "right: one whole action, all of the person, enough light", right
    yield "wrong: too dark", [(image * 0.12).astype(np.uint8) for image in right]
    yield "wrong: cut off, the legs are missing", [_zoomed(image, scene) for image in right]
    yield "wrong: too small, a few pixels for the network", [small.image_at(t) for t in action]
    yield (
        "wrong: too short, it ends before anything happens",
        [scene.image_at(start_s - t) for t in (0.12, 0.08, 0.04, 0.0)],
    )
    yield "wrong: too long, most of it is something else", [
        right[-1], *(scene.image_at(end_s + t) for t in (1.0, 2.0, 3.0))
    ]  # fmt: skip
    yield (
        "wrong: one picture a second, the movement falls between",
        [right[0], blank, right[-1], blank],
    )
    yield "wrong: each class in a room of its own, so the room is learned", [
        right[0], right[-1], other.image_at(0.7), other.image_at(1.0),
    ]  # fmt: skip


def _zoomed(image: np.ndarray, scene: Scene) -> np.ndarray:
    """The upper body alone, at the size of the picture."""
    view, (height, width) = scene.actors[0].view, image.shape[:2]
    left = int(np.clip(view.x_px - width / 4, 0, width / 2))
    top = int(max(0, view.y_px - 1.05 * view.scale_px))
    part = image[top : top + height // 2, left : left + width // 2]
    return np.asarray(cv2.resize(part, (width, height), interpolation=cv2.INTER_LINEAR))


def shrink(picture: Path) -> None:
    """Write it again with 256 colours: a third of the bytes, and no difference to see."""
    image = Image.open(picture).convert("RGB")
    image.quantize(256, dither=Image.Dither.NONE).save(picture, optimize=True)
