"""The timeline command: what happens when in a long video, as a table, as files, as a picture.

Of the whole picture, or person by person: the reader is the same, observers add to it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from action_gru.apps.checks import PICTURE, SENTENCES
from action_gru.core.errors import ActionGruError
from action_gru.core.numbered_pictures import content_sha256
from action_gru.core.progress import Reporter
from action_gru.core.text import clock_text, counted
from action_gru.detection.detector import Detections, Detector, kinds_of
from action_gru.recognizer import ActionRecognizer
from action_gru.report.segments import score_segments
from action_gru.streaming import MIN_EVIDENCE, ActionStream, TimelineReader
from action_gru.streaming.people import PeopleStream
from action_gru.timeline import Event, Timeline, write_sentences, write_timeline
from action_gru.timeline.sentences import Sentence, Sighting, describe, load_words, story
from action_gru.training import Checkpoint
from action_gru.training.run_folder import RunFolder
from action_gru.video import Image, VideoWriter
from action_gru.views.sampling import cut_warning, rate_warning

COUNT_EVERY_S = 0.5  # of video; how often objects are counted for sentences


def make_timeline(
    video: Path,
    model: Path,
    overrides: Sequence[str],
    targets: Sequence[Path],
    reporter: Reporter,
    *,
    reference: Sequence[Event] | None = None,
    per_person: bool = False,
    annotated: Path | None = None,
    as_json: bool = False,
    in_words: bool = False,
) -> bool:
    """Read a video once, write the targets, print the answer; False when ctrl-C cut it short.

    What was read before ctrl-C is written and printed all the same. in_words: sentences, too.
    annotated: with per_person, a video of the sampled frames with everyone marked. reference: what
    truly happens, in order of time.
    """
    recognizer = ActionRecognizer.load(model, overrides=overrides)
    section = recognizer.config.describe
    words = load_words(section.language, section.templates) if in_words else None
    counter = _counter(recognizer) if in_words and section.detect else None
    reader = _read(recognizer, video, counter, per_person, annotated, reporter)
    timeline = reader.timeline()
    sentences: list[Sentence] = []
    if words is not None:
        sightings = counter.sightings if counter else []
        sentences = describe(timeline.events, sightings, words, section.subjects)
        timeline = replace(timeline, sentences=tuple(one.text for one in sentences))
    follower = reader.stream.follower if isinstance(reader.stream, PeopleStream) else None
    # It looks some scenes ahead of what was read when ctrl-C came.
    end_s = timeline.duration_s
    changes = [one for one in follower.changes if one.time_s <= end_s] if follower else []
    for change in changes:
        reporter.info(f"{clock_text(change.time_s)}  {change.text}")
    doubts = list(doubts_of(timeline, reader, reference))
    if reference is not None and _was_trained_on(video, model, recognizer.checkpoint):
        doubts.append("the model was trained on this video: the figures are too good")
    for problem in doubts:
        reporter.warn(f"{video}: {problem}")
    scores = None
    if reference is not None:
        background = recognizer.config.events.background
        several = recognizer.classes if recognizer.thresholds else ()
        scores = score_segments(timeline.events, reference, end_s, background, several)
    if as_json:
        document = _document(timeline, doubts)
        document |= {"followed": [asdict(change) for change in changes]} if changes else {}
        document |= {"sentences": [one.to_json() for one in sentences]} if words else {}
        print(json.dumps(document | ({"scores": scores.to_json()} if scores else {})))
    else:
        print(story(sentences, words, timeline.duration_s) if words else _table(timeline), end="")
        if scores is not None:
            f1 = ", ".join(f"F1@{round(100 * iou)} {value:.3f}" for iou, value in scores.f1.items())
            print(f"{f1}, edit {scores.edit:.3f}, time accuracy {scores.time_accuracy:.3f}")
    _write_all(timeline, targets, reference, reporter)
    if annotated is not None and annotated.exists():
        reporter.info(f"wrote {annotated}")
    return timeline.complete


class ObjectCounter:
    """Counts what is detected in a stream of frames, at most once in COUNT_EVERY_S.

    min_score: the weakest box that counts.
    """

    def __init__(self, detector: Detector, min_score: float) -> None:
        self.detector, self.min_score = detector, min_score
        self.sightings: list[Sighting] = []

    def count(self, image: Image, time_s: float) -> None:
        """Detect in a frame (H, W, 3) uint8 RGB if it is time."""
        if self._due(time_s):
            self.add(self.detector([image])[0], time_s)

    def add(self, found: Detections, time_s: float) -> None:
        """Take in boxes that are detected already, if it is time."""
        if self._due(time_s):
            sure = found[found.scores >= self.min_score]
            names = [self.detector.names[kind] for kind in np.asarray(sure.kinds)]
            self.sightings.append(Sighting(time_s, dict(Counter(names))))

    def _due(self, time_s: float) -> bool:
        # Half of a millisecond: containers round their instants.
        last_s = self.sightings[-1].time_s if self.sightings else np.inf
        return not 0 <= time_s - last_s < COUNT_EVERY_S - 0.0005


def _counter(recognizer: ActionRecognizer) -> ObjectCounter:
    """Raises ConfigError where the detector does not know a subject."""
    section, detector = recognizer.config.describe, recognizer.detector
    kinds_of(section.subjects, detector, "describe.subjects")
    return ObjectCounter(detector, recognizer.config.detection.min_score)


def _read(
    recognizer: ActionRecognizer,
    video: Path,
    counter: ObjectCounter | None,
    per_person: bool,
    annotated: Path | None,
    reporter: Reporter,
) -> TimelineReader[Any]:
    """A reader that has read the video, or as much of it as there was before ctrl-C."""
    watch = counter.count if counter else None
    reader: TimelineReader[Any] = (
        recognizer.read_people(video) if per_person else recognizer.read_timeline(video, watch)
    )
    stream, done_s = reader.stream, 0
    with ExitStack() as stack:
        painter = _Painter(annotated, recognizer.thresholds, stack) if annotated else None
        advance = stack.enter_context(reporter.bar("timeline", 0))
        try:
            for _ in reader:
                if isinstance(stream, PeopleStream):
                    if counter is not None:
                        counter.add(stream.found, stream.last_s)
                    if painter is not None:
                        painter.add(stream)
                if (now_s := int(stream.last_s)) > done_s:
                    total_s = max(now_s, round(reader.declared_s or 0))
                    advance(now_s - done_s, total=total_s, note=_note(reader))
                    done_s = now_s
        except KeyboardInterrupt:
            read_s = reader.recorder.read_s
            reporter.warn(f"stopped at {clock_text(read_s)}; what was read is kept")
    return reader


class _Painter:
    """Writes the scenes with everyone marked; the stack closes the file."""

    def __init__(
        self, path: Path, thresholds: Mapping[str, float] | None, stack: ExitStack
    ) -> None:
        self._path, self._thresholds, self._stack = path, thresholds, stack
        self._writer: VideoWriter | None = None

    def add(self, stream: PeopleStream) -> None:
        from action_gru.apps.overlay import Overlay, marks_of  # brings matplotlib along

        assert stream.scene is not None
        image = stream.scene.image
        if self._writer is None:
            size_px = (image.shape[1], image.shape[0])
            writer = VideoWriter(self._path, size_px, stream.sampler.fps)
            self._writer = self._stack.enter_context(writer)
            self._overlay = Overlay(size_px, stream.classes, self._thresholds)
        self._writer.write(self._overlay.draw(image, people=marks_of(stream.people)))


def _note(reader: TimelineReader[Any]) -> str:
    stream, events = reader.stream, reader.recorder.events
    if isinstance(stream, PeopleStream):
        return f"{counted(len(stream.people), 'person')}, {counted(len(events), 'event')}"
    events = [*events, *(stream.current if isinstance(stream, ActionStream) else ())]
    last = f", last {events[-1].label}" if events else ""
    return f"{counted(len(events), 'event')}{last}"


def doubts_of(
    timeline: Timeline, reader: TimelineReader[Any], reference: Sequence[Event] | None
) -> Iterator[str]:
    """What the user should know before believing the answer."""
    stream, end_s, declared_s = reader.stream, timeline.duration_s, reader.declared_s
    if slow := rate_warning(reader.recorder.instants_s, stream.sampler.fps):
        yield slow
    if isinstance(stream, PeopleStream) and not stream.met:
        yield (
            "nobody was found; a smaller detection.min_score or a larger detection.image_size "
            "finds more"
        )
    if isinstance(stream, PeopleStream) and stream.crowded_out:
        yield (
            f"{stream.crowded_out} times someone was seen and not followed: people.max is "
            f"{stream.following.most}"
        )
    if isinstance(stream, ActionStream):
        yield from _doubts_of_events(timeline.events, end_s, stream)
    if timeline.restarts:
        yield (
            f"started afresh {counted(timeline.restarts, 'time')}, the last for: "
            f"{stream.restart_reason} (stream.max_gap_s is {stream.sampler.max_gap_s:g})"
        )
    cut = cut_warning(end_s, declared_s, reader.video.damaged)
    if timeline.complete and cut is not None:
        yield cut
    yield from reader.video.notes
    if reference and reference[-1].end_s > end_s + 1 and timeline.complete:
        yield "the reference continues after its end: is it of another video?"


def _was_trained_on(video: Path, model: Path, checkpoint: Checkpoint) -> bool:
    """Whether a video is among the files of the run that a model lies in."""
    run = RunFolder(model if model.is_dir() else model.parent)
    parts = checkpoint.data.get("clips") or {}
    return run.clips.is_file() and content_sha256(video) in run.trained_content("test" not in parts)


def _doubts_of_events(events: Sequence[Event], end_s: float, stream: ActionStream) -> Iterator[str]:
    if len(events) == 1 and events[0].duration_s > 0.9 * end_s and not stream.tracker.background:
        yield (
            f"'{events[0].label}' from start to end. If one class means nothing in particular, "
            "name it: events.background=[CLASS]"
        )
    if not events and end_s < MIN_EVIDENCE * stream.window_s:
        window_s = f"{stream.window_s:.2g}"
        yield f"is shorter than half the window of {window_s} s: use 'action-gru classify'"


def _table(timeline: Timeline) -> str:
    if not timeline.events:
        return f"nothing in particular in {clock_text(timeline.duration_s)}\n"
    return "".join(f"{event}\n" for event in timeline.events)


def _document(timeline: Timeline, warnings: Sequence[str]) -> dict[str, object]:
    return {
        "video": timeline.source,
        "complete": timeline.complete,
        "duration_s": round(timeline.duration_s, 3),
        "restarts": timeline.restarts,
        "warnings": warnings,
        **({} if timeline.people is None else {"people": timeline.people}),
        "events": [event.to_json() for event in timeline.events],
    }


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
            if target.suffix.lower() == PICTURE:
                from action_gru.report.plots import save_figure
                from action_gru.report.timeline_plot import plot_people, plot_timeline

                apart = timeline.people is not None
                picture = plot_people(timeline) if apart else plot_timeline(timeline, reference)
                save_figure(picture, target)
            elif target.suffix.lower() == SENTENCES:
                write_sentences(timeline, target)
            else:
                write_timeline(timeline, target)
            reporter.info(f"wrote {target}")
        except ActionGruError as error:
            errors.append(error)
    if errors:
        raise errors[0]
