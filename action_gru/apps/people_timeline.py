"""The timeline command person by person: who does what when, as a table, as files, as a video."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from action_gru.apps.people_overlay import PeopleOverlay, marks_of
from action_gru.apps.targets import VIDEOS, check_target, check_targets, timeline_endings
from action_gru.apps.telling import Teller
from action_gru.apps.timeline import print_timeline, write_all
from action_gru.phrases import clock_text
from action_gru.progress import Reporter
from action_gru.recognizer import ActionRecognizer
from action_gru.source_rate import rate_warning
from action_gru.streaming.people_video import PeopleReader
from action_gru.streaming.scene import Scene
from action_gru.streaming.spotting import Spotter
from action_gru.timeline import Timeline
from action_gru.video import VideoWriter


def make_people_timeline(
    video: Path,
    model: Path,
    overrides: Sequence[str],
    targets: Sequence[Path],
    annotated: Path | None,
    as_json: bool,
    reporter: Reporter,
    in_words: bool = False,
) -> bool:
    """Read a video once, write the targets, print the answer; False when ctrl-C cut it short.

    annotated: a video of the sampled frames with everyone marked.
    """
    check_targets("--out", targets, timeline_endings(in_words), [video])
    if annotated is not None:
        check_target("--annotate", annotated, VIDEOS, [video, *targets])
    recognizer = ActionRecognizer.load(model, overrides=overrides)
    teller = Teller(recognizer) if in_words else None
    reader = recognizer.read_people(video)
    _read(reader, annotated, reporter, teller.spotter if teller else None)
    timeline = reader.timeline()
    if teller is not None:
        timeline = teller.tell(timeline)
    doubts = _doubts(timeline, reader)
    for problem in doubts:
        reporter.warn(f"{video}: {problem}")
    print_timeline(timeline, None, as_json, teller, doubts)
    write_all(timeline, targets, None, reporter)
    if annotated is not None and annotated.exists():
        reporter.say(f"wrote {annotated}")
    return timeline.complete


def _read(
    reader: PeopleReader, annotated: Path | None, reporter: Reporter, spotter: Spotter | None
) -> None:
    done_s = 0
    with ExitStack() as stack:
        advance = stack.enter_context(reporter.bar("timeline", 0))
        painter = _Painter(annotated, reader, stack) if annotated else None
        try:
            for scene, _ in reader:
                if spotter is not None:
                    spotter.note(reader.stream.found, scene.time_s)
                if painter is not None:
                    painter.add(scene)
                if int(scene.time_s) > done_s:
                    now_s = int(scene.time_s)
                    note = f"{len(reader.stream.people)} people, {len(reader.events)} events"
                    total_s = max(now_s, round(reader.declared_s or 0))
                    advance(now_s - done_s, total=total_s, note=note)
                    done_s = now_s
        except KeyboardInterrupt:
            reporter.warn(f"stopped at {clock_text(reader.read_s)}; what was read is kept")


class _Painter:
    """Writes the scenes with everyone marked; closed by the stack that it is given."""

    def __init__(self, path: Path, reader: PeopleReader, stack: ExitStack) -> None:
        self._path, self._reader, self._stack = path, reader, stack
        self._writer: VideoWriter | None = None

    def add(self, scene: Scene) -> None:
        size_px = (scene.image.shape[1], scene.image.shape[0])
        if self._writer is None:
            fps = self._reader.stream.looker.fps
            self._writer = self._stack.enter_context(VideoWriter(self._path, size_px, fps))
            self._overlay = PeopleOverlay(size_px, self._reader.engine.engine.classes)
        marks = marks_of(self._reader.stream.people)
        self._writer.write(self._overlay.draw(scene.image, marks))


def _doubts(timeline: Timeline, reader: PeopleReader) -> list[str]:
    """What the user should know before believing the answer."""
    stream = reader.stream
    slow = rate_warning(reader.instants_s, stream.looker.fps)
    doubts = [slow] if slow else []
    if not timeline.people:
        doubts.append(
            "nobody was found; a smaller detection.min_score or a larger detection.image_size "
            "finds more"
        )
    if stream.crowded_out:
        doubts.append(
            f"{stream.crowded_out} times someone was seen and not followed: people.max is "
            f"{stream.following.most}"
        )
    if timeline.restarts:
        doubts.append(
            f"started afresh {timeline.restarts} times, the last for: {stream.restart_reason} "
            f"(stream.max_gap_s is {stream.looker.max_gap_s:g})"
        )
    declared_s = reader.declared_s
    if timeline.complete and declared_s and timeline.duration_s < 0.9 * declared_s - 1:
        doubts.append(
            f"ends at {clock_text(timeline.duration_s)}, and its header tells of "
            f"{clock_text(declared_s)}: cut short or damaged?"
        )
    return doubts
