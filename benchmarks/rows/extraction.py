"""Extraction against Ultralytics' embed, the loop that everyone writes first, and the limit."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch

from action_gru.backbone import Backbone
from action_gru.core.machine import keeping_freed_memory
from action_gru.dataset import Clip
from action_gru.features import Extractor, FeatureCache
from action_gru.features.extractor import usable_cores
from action_gru.video import DecodeLimits, VideoFile
from action_gru.views import ViewMaker
from action_gru.views.sampler import sample_video
from rows.turns import Goal, Row, in_turns, medians

BOTH = ("rgb", "motion")
ALL_FRAMES_FPS = 240.0
SHIPPED_FPS = 12.0


class ExtractionBench:
    """Clips, a network, and the ways to bring the one through the other."""

    def __init__(self, clips: Sequence[Path], weights: str, device: str, runtime: str) -> None:
        self.clips, self.device, self.weights = list(clips), device, weights
        self.backbone = Backbone(weights, device=device, runtime=runtime)
        self.plain = Backbone(weights, device=device, precision="fp32")
        self.frames = sum(1 for path in self.clips for _ in VideoFile(path).frames())

    def warm_up(self, tasks: Iterable[Callable[[], object]]) -> None:
        """Each task once, on the first clip alone."""
        clips, self.clips = self.clips, self.clips[:1]
        for task in tasks:
            task()
        self.clips = clips

    def ours(self, views: Sequence[str], fps: float) -> None:
        """The product's own path, into an empty cache on disk."""
        clips = [Clip(path, path.name, "x", path.name) for path in self.clips]
        with tempfile.TemporaryDirectory() as folder:
            work = Extractor(self.backbone, FeatureCache(folder), fps=fps, views=views)
            report = work.extract(clips)
        assert not report.quarantined

    def ultralytics(self) -> None:
        """YOLO.embed as its documentation shows it."""
        from ultralytics import YOLO

        model = YOLO(self.weights) if self.weights != "builtin" else None
        assert model is not None
        for path in self.clips:
            for _ in model.embed(str(path), stream=True, verbose=False, imgsz=224):
                pass

    def straightforward(self) -> None:
        """cv2 read, resize, one float32 forward pass a frame, over all frames."""
        side = self.plain.image_size
        for path in self.clips:
            capture = cv2.VideoCapture(str(path))
            while True:
                more, bgr = capture.read()
                if not more:
                    break
                rgb = cv2.cvtColor(cv2.resize(bgr, (side, side)), cv2.COLOR_BGR2RGB)
                self.plain([rgb])

    def decode_only(self) -> None:
        """Decode and convert every frame, one thread a file."""
        with_threads(self._decode, self.clips)

    def _decode(self, path: Path) -> None:
        with VideoFile(path, threads=1, limits=DecodeLimits(isolate=False)) as video:
            for _ in video:
                pass

    def pictures_only(self) -> float:
        """CPU seconds to decode and make the pictures of all frames, in one thread."""
        began_s = time.thread_time()
        for path in self.clips:
            maker = ViewMaker(BOTH, self.backbone.image_size, "squash")
            with VideoFile(path, threads=1, limits=DecodeLimits(isolate=False)) as video:
                for _ in sample_video(video, maker, ALL_FRAMES_FPS):
                    pass
        return time.thread_time() - began_s

    def forward_only(self, pictures: int) -> None:
        """The network alone on so many pictures, in full batches, as many threads as cores."""
        batches = -(-pictures // 32)
        batch = [np.zeros((self.backbone.image_size,) * 2 + (3,), np.uint8)] * 32
        cores = torch.get_num_threads()

        def embed(_: int) -> None:
            torch.set_num_threads(1)
            self.backbone(batch)

        with keeping_freed_memory():
            with_threads(embed, range(batches))
        torch.set_num_threads(cores)


def with_threads(task, items) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(usable_cores()) as pool:
        list(pool.map(task, items))


def rows(clips: Sequence[Path], weights: str, device: str, runtime: str, rounds: int) -> list[Row]:
    bench = ExtractionBench(clips, weights, device, runtime)
    ran = f"{bench.backbone.runtime} {bench.backbone.precision}"
    inputs = bench.frames * len(BOTH)
    tasks = {
        "ours": lambda: bench.ours(BOTH, ALL_FRAMES_FPS),
        "decode only": bench.decode_only,
        "network only": lambda: bench.forward_only(inputs),
        "straightforward loop": bench.straightforward,
        "ours, shipped rate": lambda: bench.ours(BOTH, SHIPPED_FPS),
    }
    if weights != "builtin":
        tasks["ultralytics embed"] = bench.ultralytics
    seconds = in_turns(tasks, rounds, lambda: bench.warm_up(tasks.values()))
    middle = medians(seconds)
    found = []
    if weights != "builtin":
        rival = "ultralytics embed(stream=True)"
        # Ultralytics looks at each frame once, ours at two pictures of it.
        seconds[rival] = [s * len(BOTH) for s in seconds["ultralytics embed"]]
        values = {
            "ours": inputs / middle["ours"],
            rival: bench.frames / middle["ultralytics embed"],
        }
        name = f"extraction, all frames, rgb and motion, {ran}"
        row = Row(name, "network inputs/s", values, against=rival, goal=Goal(4.0, 6.0))
        found.append(row.paired(seconds, "ours", rival))
    seconds["limit"] = [
        max(a, b) for a, b in zip(seconds["decode only"], seconds["network only"], strict=True)
    ]
    limited = Row(
        f"extraction against the larger of decoding and network alone, {ran}",
        "frames/s",
        {name: bench.frames / middle[name] for name in ("ours", "decode only", "network only")},
        against="the larger of both",
        goal=Goal(0.85, 0.85),
        notes=_cpu_note(bench, middle["network only"]),
    )
    loop = "straightforward loop"
    shipped = Row(
        f"shipped rate against the straightforward loop over all frames, {ran}",
        "clips/s",
        {
            "ours, both views": len(clips) / middle["ours, shipped rate"],
            f"{loop}, rgb": len(clips) / middle[loop],
        },
        against=f"{loop}, rgb",
        goal=Goal(10.0, 10.0),
    )
    return [
        *found,
        limited.paired(seconds, "ours", "limit"),
        shipped.paired(seconds, "ours, shipped rate", loop),
    ]


def _cpu_note(bench: ExtractionBench, network_s: float) -> str:
    cores = usable_cores()
    pictures_s = bench.pictures_only()
    return (
        f"decoding and pictures take {1000 * pictures_s / bench.frames:.2f} ms CPU a frame, the "
        f"network {1000 * network_s * cores / bench.frames:.2f}; their sum over {cores} processors "
        f"allows {bench.frames / (pictures_s / cores + network_s):.0f} frames/s"
    )
