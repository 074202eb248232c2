"""The timeline command: what happens when in a long video, as a table, as files, as a picture."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from action_gru.apps.targets import PICTURE, SENTENCES, check_targets, timeline_endings
from action_gru.apps.telling import Teller
from action_gru.dataset import check_labels
from action_gru.errors import ActionGruError
from action_gru.phrases import clock_text
from action_gru.progress import Reporter
from action_gru.recognizer import ActionRecognizer
from action_gru.report.plots import save_figure
from action_gru.report.segments import SegmentScores, segment_scores
from action_gru.report.timeline_plot import plot_people, plot_timeline
from action_gru.source_rate import rate_warning
from action_gru.streaming import MIN_EVIDENCE, TimelineReader
from action_gru.timeline import Event, Timeline
from action_gru.timeline.describing import story
from action_gru.timeline.export import write_sentences, write_timeline
from action_gru.timeline.reference import read_segments


def make_timeline(
    video: Path,
    model: Path,
    overrides: Sequence[str],
    targets: Sequence[Path],
    reference: Path | None,
    as_json: bool,
    reporter: Reporter,
    in_words: bool = False,
) -> bool:
    """Read a video once, write the targets, print the answer; False when ctrl-C cut it short.

    What was read before ctrl-C is written and printed all the same. in_words: sentences, too.
    """
    read = [video, *([reference] if reference else [])]
    check_targets("--out", targets, timeline_endings(in_words), read)
    segments = read_segments(reference) if reference else None
    recognizer = ActionRecognizer.load(model, overrides=overrides)
    check_labels(segments or (), str(reference), recognizer.classes)
    teller = Teller(recognizer) if in_words else None
    watch = teller.spotter.look if teller and teller.spotter else None
    reader = recognizer.read_timeline(video, watch)
    background = tuple(reader.stream.tracker.background)
    _read(reader, reporter)
    timeline = reader.timeline()
    if teller is not None:
        timeline = teller.tell(timeline)
    doubts = _doubts(timeline, reader, segments)
    for problem in doubts:
        reporter.warn(f"{video}: {problem}")
    scores = None
    if segments is not None:
        scores = segment_scores(timeline.events, segments, timeline.duration_s, background)
    print_timeline(timeline, scores, as_json, teller, doubts)
    write_all(timeline, targets, segments, reporter)
    return timeline.complete


def _doubts(
    timeline: Timeline, reader: TimelineReader, reference: Sequence[Event] | None
) -> list[str]:
    """What the user should know before believing the answer."""
    slow = rate_warning(reader.instants_s, reader.stream.looker.fps)
    doubts = [slow] if slow else []
    end_s, declared_s = timeline.duration_s, reader.declared_s
    events, stream = timeline.events, reader.stream
    if len(events) == 1 and events[0].duration_s > 0.9 * end_s and not stream.tracker.background:
        doubts.append(
            f"'{events[0].label}' from start to end. If one class means nothing in particular, "
            "name it: events.background=[CLASS]"
        )
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
    if not events and end_s < MIN_EVIDENCE * stream.window_s:
        doubts.append(
            f"is shorter than half the window of {stream.window_s:.2g} s: use 'action-gru classify'"
        )
    return doubts


def write_all(
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


def _read(reader: TimelineReader, reporter: Reporter) -> None:
    done_s = 0
    with reporter.bar("timeline", 0) as advance:
        try:
            for prediction in reader:
                if int(prediction.time_s) > done_s:
                    now_s = int(prediction.time_s)
                    total_s = max(now_s, round(reader.declared_s or 0))
                    advance(now_s - done_s, total=total_s, note=_note(reader))
                    done_s = now_s
        except KeyboardInterrupt:
            reporter.warn(f"stopped at {clock_text(reader.read_s)}; what was read is kept")


def _note(reader: TimelineReader) -> str:
    current = reader.stream.current
    events = [*reader.events, *([current] if current else [])]
    last = f", last {events[-1].label}" if events else ""
    return f"{len(events)} event{'' if len(events) == 1 else 's'}{last}"


def _write(timeline: Timeline, target: Path, reference: Sequence[Event] | None) -> None:
    if target.suffix.lower() == PICTURE:
        apart = timeline.people is not None
        picture = plot_people(timeline) if apart else plot_timeline(timeline, reference)
        save_figure(picture, target)
    elif target.suffix.lower() == SENTENCES:
        write_sentences(timeline, target)
    else:
        write_timeline(timeline, target)


def print_timeline(
    timeline: Timeline,
    scores: SegmentScores | None,
    as_json: bool,
    teller: Teller | None = None,
    warnings: Sequence[str] = (),
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
        told = {"sentences": [one.to_json() for one in teller.sentences]} if teller else {}
        print(json.dumps(document | told | ({"scores": scores.to_json()} if scores else {})))
        return
    if teller is not None:
        print(story(teller.sentences, teller.words, timeline.duration_s), end="")
    for event in timeline.events if teller is None else ():
        times = f"{clock_text(event.start_s):>9}  {clock_text(event.end_s):>9}"
        who = "" if event.person is None else f"person {event.person}  "
        print(f"{times}  {who}{event.label}  {event.score:.2f}")
    if not timeline.events and teller is None:
        print(f"nothing in particular in {clock_text(timeline.duration_s)}")
    if scores is not None:
        f1 = ", ".join(f"F1@{round(100 * iou)} {value:.3f}" for iou, value in scores.f1.items())
        print(f"{f1}, edit {scores.edit:.3f}, time accuracy {scores.time_accuracy:.3f}")
