"""The timeline command: what happens when in a long video, as a table, as files, as a picture.

Of the whole picture, or person by person: the reader is the same, observers add to it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from action_gru.apps.checks import PICTURE, SENTENCES
from action_gru.apps.narrator import Narrator
from action_gru.apps.people_overlay import PeopleOverlay, marks_of
from action_gru.core.errors import ActionGruError
from action_gru.core.progress import Reporter
from action_gru.core.text import clock_text
from action_gru.recognizer import ActionRecognizer
from action_gru.report.plots import save_figure
from action_gru.report.segments import SegmentScores, segment_scores
from action_gru.report.timeline_plot import plot_people, plot_timeline
from action_gru.streaming import MIN_EVIDENCE, ActionStream, TimelineReader
from action_gru.streaming.people import PeopleStream
from action_gru.timeline import Event, Timeline, read_segments, write_sentences, write_timeline
from action_gru.timeline.sentences import story
from action_gru.video import VideoWriter
from action_gru.views.sampling import rate_warning


def make_timeline(
    video: Path,
    model: Path,
    overrides: Sequence[str],
    targets: Sequence[Path],
    reporter: Reporter,
    *,
    reference: Path | None = None,
    per_person: bool = False,
    annotated: Path | None = None,
    as_json: bool = False,
    in_words: bool = False,
) -> bool:
    """Read a video once, write the targets, print the answer; False when ctrl-C cut it short.

    What was read before ctrl-C is written and printed all the same. in_words: sentences, too.
    annotated: with per_person, a video of the sampled frames with everyone marked.
    """
    segments = read_segments(reference) if reference else None
    recognizer = ActionRecognizer.load(model, overrides=overrides)
    narrator = Narrator(recognizer) if in_words else None
    reader = _read(recognizer, video, narrator, per_person, annotated, reporter)
    timeline = reader.timeline()
    if narrator is not None:
        timeline = narrator.tell(timeline)
    doubts = _doubts(timeline, reader, segments)
    for problem in doubts:
        reporter.warn(f"{video}: {problem}")
    scores = None
    if segments is not None:
        background = recognizer.config.events.background
        scores = segment_scores(timeline.events, segments, timeline.duration_s, background)
    _print(timeline, scores, as_json, narrator, doubts)
    _write_all(timeline, targets, segments, reporter)
    if annotated is not None and annotated.exists():
        reporter.say(f"wrote {annotated}")
    return timeline.complete


def _read(
    recognizer: ActionRecognizer,
    video: Path,
    narrator: Narrator | None,
    per_person: bool,
    annotated: Path | None,
    reporter: Reporter,
) -> TimelineReader[Any]:
    """A reader that has read the video, or as much of it as there was before ctrl-C."""
    counter = narrator.counter if narrator else None
    reader: TimelineReader[Any]
    with ExitStack() as stack:
        observers: list[Callable[[PeopleStream], None]] = []
        if per_person:
            reader = recognizer.read_people(video)
            if counter is not None:
                observers.append(lambda stream: counter.add(stream.found, stream.last_s))
            if annotated is not None:
                observers.append(_Painter(annotated, stack).add)
        else:
            reader = recognizer.read_timeline(video, counter.look if counter else None)
        advance = stack.enter_context(reporter.bar("timeline", 0))
        done_s = 0
        try:
            for _ in reader:
                for observe in observers:
                    observe(reader.stream)  # type: ignore[arg-type]
                if (now_s := int(reader.stream.last_s)) > done_s:
                    total_s = max(now_s, round(reader.declared_s or 0))
                    advance(now_s - done_s, total=total_s, note=_note(reader))
                    done_s = now_s
        except KeyboardInterrupt:
            read_s = reader.recorder.read_s
            reporter.warn(f"stopped at {clock_text(read_s)}; what was read is kept")
    return reader


class _Painter:
    """Writes the scenes with everyone marked; closed by the stack that it is given."""

    def __init__(self, path: Path, stack: ExitStack) -> None:
        self._path, self._stack = path, stack
        self._writer: VideoWriter | None = None

    def add(self, stream: PeopleStream) -> None:
        assert stream.scene is not None
        image = stream.scene.image
        if self._writer is None:
            size_px = (image.shape[1], image.shape[0])
            writer = VideoWriter(self._path, size_px, stream.looker.fps)
            self._writer = self._stack.enter_context(writer)
            self._overlay = PeopleOverlay(size_px, stream.classes)
        self._writer.write(self._overlay.draw(image, marks_of(stream.people)))


def _note(reader: TimelineReader[Any]) -> str:
    stream, events = reader.stream, reader.recorder.events
    if isinstance(stream, PeopleStream):
        return f"{len(stream.people)} people, {len(events)} events"
    current = stream.current if isinstance(stream, ActionStream) else None
    events = [*events, *([current] if current else [])]
    last = f", last {events[-1].label}" if events else ""
    return f"{len(events)} event{'' if len(events) == 1 else 's'}{last}"


def _doubts(
    timeline: Timeline, reader: TimelineReader[Any], reference: Sequence[Event] | None
) -> list[str]:
    """What the user should know before believing the answer."""
    stream, end_s, declared_s = reader.stream, timeline.duration_s, reader.declared_s
    slow = rate_warning(reader.recorder.instants_s, stream.looker.fps)
    doubts = [slow] if slow else []
    if isinstance(stream, PeopleStream):
        doubts += _doubts_of_people(stream)
    if isinstance(stream, ActionStream):
        doubts += _doubts_of_events(timeline, stream)
    if timeline.restarts:
        doubts.append(
            f"started afresh {timeline.restarts} times, the last for: {stream.restart_reason} "
            f"(stream.max_gap_s is {stream.looker.max_gap_s:g})"
        )
    if timeline.complete and declared_s and end_s < 0.9 * declared_s - 1:
        doubts.append(
            f"ends at {clock_text(end_s)}, and its header tells of {clock_text(declared_s)}: "
            "cut short or damaged?"
        )
    if reference and reference[-1].end_s > end_s + 1 and timeline.complete:
        doubts.append("the reference goes on after its end: is it of another video?")
    return doubts


def _doubts_of_people(stream: PeopleStream) -> list[str]:
    doubts = []
    if not stream.met:
        doubts.append(
            "nobody was found; a smaller detection.min_score or a larger detection.image_size "
            "finds more"
        )
    if stream.crowded_out:
        doubts.append(
            f"{stream.crowded_out} times someone was seen and not followed: people.max is "
            f"{stream.following.most}"
        )
    return doubts


def _doubts_of_events(timeline: Timeline, stream: ActionStream) -> list[str]:
    events, end_s = timeline.events, timeline.duration_s
    doubts = []
    if len(events) == 1 and events[0].duration_s > 0.9 * end_s and not stream.tracker.background:
        doubts.append(
            f"'{events[0].label}' from start to end. If one class means nothing in particular, "
            "name it: events.background=[CLASS]"
        )
    if not events and end_s < MIN_EVIDENCE * stream.window_s:
        doubts.append(
            f"is shorter than half the window of {stream.window_s:.2g} s: use 'action-gru classify'"
        )
    return doubts


def _write_all(
    timeline: Timeline,
    targets: Sequence[Path],
    reference: Sequence[Event] | None,
    reporter: Reporter,
) -> None:
    """Write every target that can be written, then raise the first error."""
    errors: list[ActionGruError] = []
    for target in targets:
        try:
            _write(timeline, target, reference)
            reporter.say(f"wrote {target}")
        except ActionGruError as error:
            errors.append(error)
    if errors:
        raise errors[0]


def _write(timeline: Timeline, target: Path, reference: Sequence[Event] | None) -> None:
    if target.suffix.lower() == PICTURE:
        apart = timeline.people is not None
        picture = plot_people(timeline) if apart else plot_timeline(timeline, reference)
        save_figure(picture, target)
    elif target.suffix.lower() == SENTENCES:
        write_sentences(timeline, target)
    else:
        write_timeline(timeline, target)


def _print(
    timeline: Timeline,
    scores: SegmentScores | None,
    as_json: bool,
    narrator: Narrator | None,
    warnings: Sequence[str],
) -> None:
    """warnings: what to know before believing it; a person has been told them on stderr."""
    if as_json:
        document = {
            "video": timeline.source,
            "complete": timeline.complete,
            "duration_s": round(timeline.duration_s, 3),
            "restarts": timeline.restarts,
            "warnings": list(warnings),
            **({} if timeline.people is None else {"people": timeline.people}),
            "events": [event.to_json() for event in timeline.events],
        }
        told = {"sentences": [one.to_json() for one in narrator.sentences]} if narrator else {}
        print(json.dumps(document | told | ({"scores": scores.to_json()} if scores else {})))
        return
    if narrator is not None:
        print(story(narrator.sentences, narrator.words, timeline.duration_s), end="")
    for event in timeline.events if narrator is None else ():
        print(event)
    if not timeline.events and narrator is None:
        print(f"nothing in particular in {clock_text(timeline.duration_s)}")
    if scores is not None:
        f1 = ", ".join(f"F1@{round(100 * iou)} {value:.3f}" for iou, value in scores.f1.items())
        print(f"{f1}, edit {scores.edit:.3f}, time accuracy {scores.time_accuracy:.3f}")
