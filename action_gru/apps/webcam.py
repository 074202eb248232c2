"""The webcam command: cameras, files and network streams, live, in a window or as JSON lines."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from action_gru.apps.live_loop import Answer, Feed, LiveLoop
from action_gru.apps.live_view import LiveView
from action_gru.apps.live_window import Window
from action_gru.apps.recorder import Recorder
from action_gru.config.sinks import SinkSection
from action_gru.core.errors import ActionGruError
from action_gru.core.progress import Reporter
from action_gru.core.text import counted
from action_gru.recognizer import ActionRecognizer
from action_gru.streaming import ActionStream
from action_gru.streaming.follow import Change
from action_gru.streaming.people import PeopleStream, Person
from action_gru.timeline import ManyEventTracker, Prediction
from action_gru.video.live_reader import parse_source

if TYPE_CHECKING:
    from action_gru.apps.live_metrics import LiveMetrics
    from action_gru.apps.sinks.events import EventSinks

TITLE = "action_gru: q quits, space pauses, r records"
QUIT = frozenset({"q", "Q", "\x1b"})
DRAW_EVERY_S = 1 / 25
TOP = 3
ALARMING = ("lost", "failed")
RECORDING_ERRORS = (OSError, ValueError, ActionGruError)


@dataclass(frozen=True)
class WebcamOptions:
    """What the command line chose. record: a file to record to from the start. metrics: a port."""

    window: bool = True
    as_json: bool = False
    record: Path | None = None
    pace: bool = True
    loop: bool = False
    max_retries: int | None = None
    per_person: bool = False
    sinks: tuple[SinkSection, ...] = ()
    metrics: int | None = None


def run_webcam(
    sources: Sequence[str],
    model: Path,
    overrides: Sequence[str],
    options: WebcamOptions,
    reporter: Reporter,
) -> dict[str, float | int]:
    """Run until the sources end, q is pressed or ctrl-C; how it went (see LiveLoop.summary)."""
    with ExitStack() as stack:
        window = stack.enter_context(Window(TITLE)) if options.window else None
        with reporter.doing("loading the model"):
            recognizer = ActionRecognizer.load(model, overrides=overrides)
        sinks = open_sinks(options, sources, recognizer, model, reporter)
        loop = LiveLoop(
            recognizer,
            sources,
            pace=options.pace,
            loop=options.loop,
            max_retries=options.max_retries,
            per_person=options.per_person,
            show=None if sinks is None else sinks.picture,
        )
        if sinks is not None:
            stack.callback(sinks.close)
        metrics = None if options.metrics is None else open_metrics(options.metrics, loop, sinks)
        if metrics is not None:
            stack.callback(metrics.close)
            reporter.info(f"metrics at {metrics.address}")
        show = Webcam(stack.enter_context(loop), window, options, reporter, sinks, metrics)
        try:
            show.run()
        except KeyboardInterrupt:
            reporter.info("stopped")
        finally:
            show.close()
    return loop.summary() | ({} if sinks is None else sinks.summary())


def open_sinks(
    options: WebcamOptions,
    sources: Sequence[str],
    recognizer: ActionRecognizer,
    model: Path,
    reporter: Reporter,
) -> EventSinks | None:
    """What takes the events; None where they go nowhere but to the screen."""
    if not options.sinks:
        return None
    from action_gru.apps.sinks.events import EventSinks

    names = [parse_source(source).name for source in sources]
    quiet = recognizer.config.events.background
    classes = [label for label in recognizer.classes if label not in quiet]
    waits = not options.pace
    return EventSinks(options.sinks, names, classes, model.name, reporter, waits=waits)


def open_metrics(port: int, loop: LiveLoop, sinks: EventSinks | None) -> LiveMetrics:
    from action_gru.apps.live_metrics import LiveMetrics  # its library is an extra

    return LiveMetrics(port, loop, sinks)


class Webcam:
    """Draws, records, prints and reads keys around a live loop."""

    def __init__(
        self,
        loop: LiveLoop,
        window: Window | None,
        options: WebcamOptions,
        reporter: Reporter,
        sinks: EventSinks | None = None,
        metrics: LiveMetrics | None = None,
    ) -> None:
        self.loop, self.window, self.reporter = loop, window, reporter
        self.sinks, self.metrics = sinks, metrics
        self.as_json = options.as_json
        self.view = LiveView(loop)
        self.recorder = Recorder(options.record) if options.record else None
        self.paused = False
        self._drawn_s = 0.0
        self._news: dict[tuple[int, str], Any] = {}  # the last news of each feed, by kind

    def run(self) -> None:
        for answers in self.loop.turns():
            began_s = time.perf_counter()
            for answer in answers:
                self._tell(answer)
            for feed in self.loop.feeds:
                self._say_state(feed)
                self._say_rate(feed)
            self._draw()
            self.loop.work_s += time.perf_counter() - began_s
            if self.window is not None and self._obey(self.window.key()):
                return

    def close(self) -> None:
        """Print the events that were still open, and finish the recording."""
        for answer in self.loop.finish():
            self._tell(answer)
        self._stop_recording()

    def _tell(self, answer: Answer) -> None:
        self._print(answer)
        self._send(answer)
        if self.metrics is not None:
            self.metrics.count(answer)

    def _draw(self) -> None:
        now_s = time.perf_counter()
        if not (self.window or self.recorder) or now_s - self._drawn_s < DRAW_EVERY_S:
            return
        self._drawn_s = now_s
        notes = ["● recording"] if self.recorder else []
        if self.paused:
            notes = ["paused, the recording too" if self.recorder else "paused"]
        image = self.view.draw(notes)
        if image is None:
            return
        if self.recorder is not None and not self.paused:
            try:
                self.recorder.add(image)
            except RECORDING_ERRORS as error:  # a full disk does not end the watching
                self._give_up_recording(f"the recording has ended: {error}")
        if self.window is not None:
            self.window.show(image)

    def _obey(self, key: str) -> bool:
        """Handle a key; True to end."""
        if key == " ":  # files wait, cameras are not read, the recording leaves the time out
            self.paused = not self.paused
            for feed in self.loop.feeds:
                feed.source.pause(self.paused)
            if self.paused and self.recorder is not None:
                self.recorder.pause()
        elif key == "r" and self.recorder is not None:
            self._stop_recording()
        elif key == "r":
            name = datetime.now().strftime("recording-%Y%m%d-%H%M%S.mp4")
            self.recorder = Recorder(Path(name))
        return key in QUIT

    def _stop_recording(self) -> None:
        if (recorder := self.recorder) is None:
            return
        try:
            frames = recorder.close()
        except RECORDING_ERRORS as error:
            self._give_up_recording(f"the recording is lost: {error}")
            return
        self.recorder = None
        done = (
            f"wrote {recorder.path} ({counted(frames, 'frame')})"
            if frames
            else "nothing was recorded"
        )
        self.reporter.info(done)

    def _give_up_recording(self, why: str) -> None:
        assert self.recorder is not None
        self.reporter.warn(f"{self.recorder.path}: {why}")
        self.recorder.discard()
        self.recorder = None

    def _is_news(self, feed: Feed, kind: str, value: object, at_first: object) -> bool:
        """Whether this value differs from the feed's last one."""
        last, self._news[id(feed), kind] = self._news.get((id(feed), kind), at_first), value
        return bool(value != last)

    def _say_state(self, feed: Feed) -> None:
        """Report once when a source is lost, back or over, and when its stream began afresh."""
        stream, status, name = feed.stream, feed.source.status, feed.source.name
        if self._is_news(feed, "restarts", stream.restarts, 0):
            self.reporter.info(f"{name}: started afresh: {stream.restart_reason}")
            self._print_json(source=name, restarts=stream.restarts, detail=stream.restart_reason)
        self._say_whom(feed)
        if self._is_news(feed, "state", status.state, ""):
            news = status.detail or f"{name} is live"
            alarming = status.state in ALARMING
            report = self.reporter.warn if alarming else self.reporter.info
            report(news if name in news else f"{name}: {news}")
            if alarming:
                self._print_json(source=name, state=status.state, detail=news)

    def _say_whom(self, feed: Feed) -> None:
        """Report who is followed, where it is one person alone."""
        change = newest_change(feed.stream)
        if change is not None and self._is_news(feed, "follow", change, None):
            self.reporter.info(f"{feed.source.name}: {change.text}")
            self._print_json(source=feed.source.name, follow=change.person, detail=change.text)

    def _say_rate(self, feed: Feed) -> None:
        """Report a source whose frames come too seldom for the model, and when that is over."""
        if feed.over and self._is_news(feed, "over", True, False):
            feed.rate.end()
        name, warning = feed.source.name, feed.rate.warning
        if not self._is_news(feed, "slow", bool(warning), False):
            return
        if warning:
            self.reporter.warn(f"{name}: {warning}")
        else:
            self.reporter.info(f"{name}: has enough frames a second again")
        self._print_json(source=name, warnings=[warning] if warning else [])

    def _print(self, answer: Answer) -> None:
        feed, stream, name = answer.feed, answer.feed.stream, answer.feed.source.name
        for event in answer.ended:
            self._print_json(source=name, ended=event.to_json())
            if not self.as_json:
                print(f"{name}  {event}" if len(self.loop.feeds) > 1 else event, flush=True)
        if not self.as_json or answer.latency_s is None:
            return
        if isinstance(stream, PeopleStream):
            people = [self._person_json(person) for person in answer.people]
            found = {"time_s": round(stream.last_s, 3), "people": people, "event": None}
            if stream.follower is not None:
                del found["people"]
                hidden = {"person": stream.follower.number, "box": None, "label": None}
                found |= people[0] if people else hidden
        else:
            assert answer.prediction is not None
            found = _prediction_json(answer.prediction) | _current_json(stream)
        latency_ms = round(1000 * answer.latency_s, 1)
        self._print_json(source=name, **found, latency_ms=latency_ms, dropped=feed.dropped)

    def _send(self, answer: Answer) -> None:
        """Let the sinks know what goes on and what is over."""
        if self.sinks is None:
            return
        number, stream = self.loop.feeds.index(answer.feed), answer.feed.stream
        if not isinstance(stream, PeopleStream):
            self.sinks.look(number, stream.current, answer.ended)
            return
        going = [
            replace(event, person=person.number)
            for person in stream.people
            for event in person.stream.current
        ]
        boxes = {person.number: person.box.tolist() for person in stream.people}
        height_px, width_px = (0, 0) if stream.scene is None else stream.scene.image.shape[:2]
        self.sinks.look(number, going, answer.ended, boxes, (width_px, height_px))

    def _print_json(self, **line: object) -> None:
        if self.as_json:
            print(json.dumps(line), flush=True)

    def _person_json(self, person: Person) -> dict[str, object]:
        """box: left, top, right, bottom in px."""
        assert person.prediction is not None
        answer = _prediction_json(self.loop.recognizer.judged(person.prediction))
        del answer["time_s"]
        box = [round(float(side), 1) for side in person.box]
        current = _current_json(person.stream, person.number)
        return {"person": person.number, "box": box} | answer | current


def newest_change(stream: ActionStream | PeopleStream) -> Change | None:
    """Whom a stream that follows one person has begun to follow last."""
    follower = stream.follower if isinstance(stream, PeopleStream) else None
    return follower.changes[-1] if follower and follower.changes else None


def _current_json(stream: ActionStream, person: int | None = None) -> dict[str, object]:
    """The current event; where several classes may be shown at once also all current ones."""
    current = [replace(event, person=person).to_json() for event in stream.current]
    first: dict[str, object] = {"event": current[0] if current else None}
    several = isinstance(stream.tracker, ManyEventTracker)
    return first | {"events": current} if several else first


def _prediction_json(prediction: Prediction) -> dict[str, object]:
    several = {} if prediction.active is None else {"labels": list(prediction.active)}
    return several | {
        "time_s": round(prediction.time_s, 3),
        "label": prediction.label,
        "score": round(prediction.score, 4),
        "unsure": prediction.unsure,
        "top": {label: round(score, 4) for label, score in prediction.top(TOP)},
    }
