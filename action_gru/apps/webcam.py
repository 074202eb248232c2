"""The webcam command: cameras, files and network streams, live, in a window or as JSON lines."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from action_gru.apps.live_loop import Answer, Feed, LiveLoop
from action_gru.apps.live_view import QUIT, LiveView, Recorder, Window
from action_gru.core.errors import ActionGruError
from action_gru.core.progress import Reporter
from action_gru.recognizer import ActionRecognizer
from action_gru.streaming.people import PeopleStream
from action_gru.timeline import Event, Prediction
from action_gru.views.sampling import rate_warning

TITLE = "action_gru: q quits, space pauses, r records"
DRAW_EVERY_S = 1 / 25
TOP = 3
RATE_KNOWN_AFTER = 12  # sampled instants
ALARMING = ("lost", "failed")


@dataclass(frozen=True)
class WebcamOptions:
    """What the command line chose. record: a file to record to from the start."""

    window: bool = True
    as_json: bool = False
    record: Path | None = None
    pace: bool = True
    loop: bool = False
    max_retries: int | None = None
    per_person: bool = False


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
        loop = LiveLoop(
            recognizer,
            sources,
            pace=options.pace,
            loop=options.loop,
            max_retries=options.max_retries,
            per_person=options.per_person,
        )
        show = Webcam(stack.enter_context(loop), window, options, reporter)
        try:
            show.run()
        except KeyboardInterrupt:
            reporter.say("stopped")
        finally:
            show.close()
    return loop.summary()


class Webcam:
    """One showing: draws, records, prints and reads keys around a live loop."""

    def __init__(
        self, loop: LiveLoop, window: Window | None, options: WebcamOptions, reporter: Reporter
    ) -> None:
        self.loop, self.window, self.options, self.reporter = loop, window, options, reporter
        self.view = LiveView(loop)
        self.recorder = Recorder(options.record) if options.record else None
        self.paused = False
        self._drawn_s = 0.0
        self._states = {id(feed): "" for feed in loop.feeds}
        self._restarts = {id(feed): 0 for feed in loop.feeds}
        self._rate_unknown = {id(feed) for feed in loop.feeds}

    def run(self) -> None:
        for answers in self.loop.turns():
            began_s = time.perf_counter()
            for answer in answers:
                self._print(answer)
            self._say_states()
            self._say_rates()
            self._draw()
            self.loop.count_work(time.perf_counter() - began_s)
            if self.window is not None and self._obey(self.window.key()):
                return

    def close(self) -> None:
        """Print the events that were still open, and finish the recording."""
        for feed, events in self.loop.finish():
            for event in events:
                self._print_event(feed, event)
        self._stop_recording()

    def _draw(self) -> None:
        if self.window is None and self.recorder is None:
            return
        now_s = time.perf_counter()
        if now_s - self._drawn_s < DRAW_EVERY_S:
            return
        self._drawn_s = now_s
        image = self.view.draw(self._notes())
        if image is None:
            return
        if self.recorder is not None and not self.paused:
            self._record(image)
        if self.window is not None:
            self.window.show(image)

    def _notes(self) -> list[str]:
        if not self.paused:
            return ["● recording"] if self.recorder else []
        return ["paused, the recording too"] if self.recorder else ["paused"]

    def _record(self, image: NDArray[np.uint8]) -> None:
        """A full disk ends the recording, not the watching."""
        assert self.recorder is not None
        try:
            self.recorder.add(image)
        except (OSError, ValueError, ActionGruError) as error:
            self.reporter.warn(f"{self.recorder.path}: the recording has ended: {error}")
            self.recorder.discard()
            self.recorder = None

    def _obey(self, key: str) -> bool:
        """Do what a key asks for; True to end."""
        if key == " ":
            self._pause(not self.paused)
        elif key == "r" and self.recorder is not None:
            self._stop_recording()
        elif key == "r":
            name = datetime.now().strftime("recording-%Y%m%d-%H%M%S.mp4")
            self.recorder = Recorder(Path(name))
        return key in QUIT

    def _pause(self, paused: bool) -> None:
        """Files wait, cameras are not looked at, the recording leaves the time out."""
        self.paused = paused
        for feed in self.loop.feeds:
            feed.pause(paused)
        if paused and self.recorder is not None:
            self.recorder.pause()

    def _stop_recording(self) -> None:
        recorder, self.recorder = self.recorder, None
        if recorder is None:
            return
        try:
            frames = recorder.close()
        except (OSError, ValueError, ActionGruError) as error:
            self.reporter.warn(f"{recorder.path}: the recording is lost: {error}")
            recorder.discard()
        else:
            told = f"wrote {recorder.path} ({frames} frames)" if frames else "nothing was recorded"
            self.reporter.say(told)

    def _say_states(self) -> None:
        """Tell once when a source is lost, back or over, and when its stream began afresh."""
        for feed in self.loop.feeds:
            stream = feed.stream
            if stream.restarts > self._restarts[id(feed)]:
                self._restarts[id(feed)] = stream.restarts
                self.reporter.say(f"{feed.source.name}: started afresh: {stream.restart_reason}")
            status = feed.source.status
            if status.state != self._states[id(feed)]:
                self._states[id(feed)] = status.state
                news = status.detail or f"{feed.source.name} is live"
                told = news if feed.source.name in news else f"{feed.source.name}: {news}"
                tell = self.reporter.warn if status.state in ALARMING else self.reporter.say
                tell(told)
                if self.options.as_json and status.state in ALARMING:
                    line = {"source": feed.source.name, "state": status.state, "detail": news}
                    print(json.dumps(line), flush=True)

    def _say_rates(self) -> None:
        """Tell once of a source whose frames come too seldom for the model."""
        for feed in self.loop.feeds:
            instants_s = tuple(feed.instants_s)
            known = len(instants_s) >= RATE_KNOWN_AFTER or feed.over
            if id(feed) not in self._rate_unknown or not known:
                continue
            self._rate_unknown.remove(id(feed))
            warning = rate_warning(instants_s, feed.stream.looker.fps)
            if warning is None:
                continue
            self.reporter.warn(f"{feed.source.name}: {warning}")
            if self.options.as_json:
                line = {"source": feed.source.name, "warnings": [warning]}
                print(json.dumps(line), flush=True)

    def _print(self, answer: Answer) -> None:
        for event in answer.ended:
            self._print_event(answer.feed, event)
        if not self.options.as_json or answer.latency_s is None:
            return
        feed = answer.feed
        document = {
            "source": feed.source.name,
            **(_said(answer.prediction) if answer.prediction else self._people_said(answer)),
            "event": answer.current.to_json() if answer.current else None,
            "latency_ms": round(1000 * answer.latency_s, 1),
            "dropped": feed.dropped,
        }
        print(json.dumps(document), flush=True)

    def _print_event(self, feed: Feed, event: Event) -> None:
        if self.options.as_json:
            line = json.dumps({"source": feed.source.name, "ended": event.to_json()})
        else:
            line = f"{feed.source.name}  {event}" if len(self.loop.feeds) > 1 else str(event)
        print(line, flush=True)

    def _people_said(self, answer: Answer) -> dict[str, object]:
        """Everyone who was looked at: box (left, top, right, bottom in px), label and event."""
        stream = answer.feed.stream
        assert isinstance(stream, PeopleStream)
        people = []
        for person in answer.people:
            assert person.prediction is not None
            current = person.stream.current
            event = None if current is None else replace(current, person=person.number).to_json()
            box = [round(float(side), 1) for side in person.box]
            said = _said(self.loop.recognizer.judged(person.prediction)) | {"event": event}
            del said["time_s"]
            people.append({"person": person.number, "box": box} | said)
        return {"time_s": round(stream.last_s, 3), "people": people}


def _said(prediction: Prediction) -> dict[str, object]:
    return {
        "time_s": round(prediction.time_s, 3),
        "label": prediction.label,
        "score": round(prediction.score, 4),
        "unsure": prediction.unsure,
        "top": {label: round(score, 4) for label, score in prediction.top(TOP)},
    }
