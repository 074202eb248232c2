"""The events of a live loop, on their way to every sink: one thread decides what goes where.

Whoever calls `picture` and `look` never waits for a sink, a disk or a network.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from action_gru.apps.sinks.clip import ClipRecorder, ClipSink, Cut, names_of
from action_gru.apps.sinks.conditions import Conditions
from action_gru.apps.sinks.files import CsvSink, JsonlSink
from action_gru.apps.sinks.message import Message, Watched
from action_gru.apps.sinks.mqtt import MqttSink
from action_gru.apps.sinks.sound import SoundSink
from action_gru.apps.sinks.store import Spool, Store, left_elsewhere
from action_gru.apps.sinks.targets import spool_folder
from action_gru.apps.sinks.webhook import WebhookSink
from action_gru.apps.sinks.worker import Delivery, SinkStatus, Worker
from action_gru.config.sinks import (
    ClipSinkSection,
    CsvSinkSection,
    FileSinkSection,
    MessageSinkSection,
    MqttSinkSection,
    SinkSection,
    SoundSinkSection,
    WebhookSinkSection,
)
from action_gru.core.errors import ConfigError
from action_gru.core.progress import Reporter
from action_gru.core.text import counted
from action_gru.timeline import Event
from action_gru.video import Frame

MOST_LOOKS = 1000  # that wait for the deciding thread
MOST_BOXES = 256  # of people who were seen last
SOUNDS_KEPT = 3  # that wait in memory
FLUSH_S, CLIPS_FLUSH_S = 10.0, 60.0


@dataclass(frozen=True)
class _Look:
    """What is known of a source at one moment. clock: seconds since 1970 at its time 0."""

    source: str
    clock: float
    going: tuple[Event, ...]
    ended: tuple[Event, ...]
    boxes: Mapping[int, Sequence[float]]
    picture_px: tuple[int, int] | None


@dataclass
class _Outlet:
    """One sink: what may pass, who delivers it, and who cuts its clips."""

    conditions: Conditions
    worker: Worker[Any]
    recorder: ClipRecorder | None = None

    def take(self, message: Message) -> None:
        (self.worker.put if self.recorder is None else self.recorder.take)(message)


@dataclass
class _Known:
    """Of one source: events that go on, and where people were seen last."""

    open: dict[tuple[int | None, str, float], Watched] = field(default_factory=dict)
    boxes: dict[int, Sequence[float]] = field(default_factory=dict)


class EventSinks:
    """Takes what a live loop sees and lets each sink have the messages that it asks for.

    waits: pictures for clips wait for their encoder; only where sources are read without pace.
    Raises ConfigError where a sink cannot be made, or messages have no place to wait in.
    """

    def __init__(
        self,
        sinks: Sequence[SinkSection],
        sources: Sequence[str],
        classes: Sequence[str],
        model: str,
        reporter: Reporter,
        *,
        waits: bool = False,
        spool: Path | None = None,
    ) -> None:
        """classes: those that events may be of. model: its name, for messages."""
        self._sources, self._model, self._reporter = names_of(sources), model, reporter
        self._clocks: dict[str, float] = {}
        self._known = {name: _Known() for name in self._sources}
        self._looks: queue.Queue[_Look | None] = queue.Queue(MOST_LOOKS)
        self._missed = 0
        self._outlets: list[_Outlet] = []
        names = names_of([sink.name or sink.kind for sink in sinks])  # type: ignore[attr-defined]
        spool = spool or spool_folder()
        for sink, name in zip(sinks, names, strict=True):
            self._outlets.append(self._outlet(sink, name, classes, waits, spool))
        self._tell_others(spool)
        self._recorders = [one.recorder for one in self._outlets if one.recorder]
        self._thread = threading.Thread(target=self._decide, name="sinks", daemon=True)
        for outlet in self._outlets:
            outlet.worker.start()
        self._thread.start()

    def picture(self, source: int, frame: Frame) -> None:
        """Every frame of the source of that number, from the thread that reads it."""
        name = self._sources[source]
        self._clocks[name] = time.time() - frame.time_s
        for recorder in self._recorders:
            recorder.picture(name, frame)

    def look(
        self,
        source: int,
        going: Sequence[Event],
        ended: Sequence[Event] = (),
        boxes: Mapping[int, Sequence[float]] | None = None,
        picture_px: tuple[int, int] | None = None,
    ) -> None:
        """The events of a source that go on now, and those that are over since the last look.

        boxes: by person, left, top, right, bottom in px of a picture of that width and height.
        """
        if not (going or ended or boxes):
            return
        name = self._sources[source]
        clock = self._clocks.get(name, time.time())
        look = _Look(name, clock, tuple(going), tuple(ended), dict(boxes or {}), picture_px)
        try:
            self._looks.put_nowait(look)
        except queue.Full:  # what still goes on is looked at again
            if ended and not self._missed:
                self._reporter.warn("events are lost: the disk with their spool does not answer")
            self._missed += len(ended)

    def status(self) -> list[SinkStatus]:
        """How each sink is doing."""
        return [outlet.worker.status() for outlet in self._outlets]

    def summary(self) -> dict[str, int]:
        """The same of all together, for the end."""
        states = self.status()
        return {
            "messages_sent": sum(state.sent for state in states),
            "messages_waiting": sum(state.waiting for state in states),
            "messages_dropped": sum(state.dropped for state in states) + self._missed,
        }

    def close(self, within_s: float | None = None) -> None:
        """Deliver what waits as far as that is possible in this time; tell what is left.

        within_s: by default ten seconds; clips, which nothing else keeps, have a minute.
        """
        clips_s = CLIPS_FLUSH_S if within_s is None else within_s
        within_s = FLUSH_S if within_s is None else within_s
        began_s = time.monotonic()
        until_s = began_s + within_s
        with suppress(queue.Full):
            self._looks.put(None, timeout=within_s)
        self._thread.join(max(0.0, until_s - time.monotonic()))
        for outlet in self._outlets:
            if outlet.recorder is not None:
                outlet.recorder.close()
            outlet.worker.close()
        try:
            with self._reporter.doing("sending what waits"):
                for outlet in self._outlets:
                    outlet.worker.wait(until_s if outlet.recorder is None else began_s + clips_s)
        finally:  # also after ctrl-C
            for outlet in self._outlets:
                outlet.worker.tell_left()
        if self._missed:
            lost = counted(self._missed, "event")
            self._reporter.warn(f"{lost} reached no sink; see above")

    def _tell_others(self, spool: Path) -> None:
        """What waits there for a sink that this program does not have."""
        stores = [outlet.worker.store for outlet in self._outlets]
        for target, folder, count in left_elsewhere(spool, stores):
            left = counted(count, "message")
            self._reporter.info(f"{left} wait for a sink that is not named now, {target}: {folder}")

    def _outlet(
        self, sink: SinkSection, name: str, classes: Sequence[str], waits: bool, spool: Path
    ) -> _Outlet:
        if isinstance(sink, ClipSinkSection):
            kept: Store[Cut] = Store(1e6 * sink.memory_mb, lambda cut: cut.size_bytes)
            cuts = Worker(name, "clip", ClipSink(sink), kept, self._reporter)
            cuts.most = f"{sink.memory_mb:g} MB"
            return _Outlet(Conditions(sink, "both"), cuts, ClipRecorder(sink, cuts, waits))
        delivery, target = self._delivery(sink, classes)
        kind = str(sink.kind)  # type: ignore[attr-defined]
        store: Store[Message] = Store(SOUNDS_KEPT)
        when = sink.when if isinstance(sink, SoundSinkSection | MessageSinkSection) else "both"
        if isinstance(sink, MessageSinkSection):
            try:
                store = Spool(spool, f"{kind} {target}", sink.limit)
            except OSError as error:
                raise ConfigError(
                    f"{spool}: messages cannot wait there ({error.strerror or error}); set "
                    "ACTION_GRU_HOME to a folder you may write"
                ) from error
        return _Outlet(Conditions(sink, when), Worker(name, kind, delivery, store, self._reporter))

    def _delivery(self, sink: SinkSection, classes: Sequence[str]) -> tuple[Delivery[Message], str]:
        """What delivers to a sink, and whose messages its spool holds, without secrets."""
        if isinstance(sink, MqttSinkSection):
            return MqttSink(sink, classes, self._model), sink.url
        if isinstance(sink, WebhookSinkSection):
            return WebhookSink(sink), sink.url
        if isinstance(sink, FileSinkSection):
            kind = CsvSink if isinstance(sink, CsvSinkSection) else JsonlSink
            return kind(sink.path), str(sink.path.absolute())
        assert isinstance(sink, SoundSinkSection)
        return SoundSink(sink), "sound"

    def _decide(self) -> None:
        is_told = False
        while (look := self._looks.get()) is not None:
            try:
                self._take_in(look)
            except Exception as error:  # a mistake of ours must not end every later event
                self._missed += len(look.ended)
                if not is_told:
                    self._reporter.warn(f"events were lost: {type(error).__name__}: {error}")
                is_told = True

    def _take_in(self, look: _Look) -> None:
        known = self._known[look.source]
        for person, box in look.boxes.items():
            known.boxes.pop(person, None)
            known.boxes[person] = box
        while len(known.boxes) > MOST_BOXES:
            del known.boxes[next(iter(known.boxes))]
        for event in look.ended:
            self._pass_on(look, known, event, is_over=True)
        for event in look.going:
            self._pass_on(look, known, event, is_over=False)

    def _pass_on(self, look: _Look, known: _Known, event: Event, is_over: bool) -> None:
        key = (event.person, event.label, event.start_s)
        watched = known.open.get(key)
        if watched is None:
            watched = Watched(look.source, event, look.clock + event.start_s)
            known.open[key] = watched
        watched.event = event
        if event.person is not None:
            watched.box = known.boxes.get(event.person, watched.box)
            watched.picture_px = look.picture_px or watched.picture_px
        for outlet in self._outlets:
            for state in outlet.conditions.due(watched, is_over):
                outlet.take(watched.message(state, self._model))
        if is_over:
            del known.open[key]
