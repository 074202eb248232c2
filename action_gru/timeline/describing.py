"""Events in words: who does what next to what, from when to when. Knows no model and no picture."""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from action_gru.timeline.events import Event
from action_gru.timeline.words import Words


@dataclass(frozen=True)
class Sighting:
    """How many of each class were detected at an instant."""

    time_s: float
    counts: Mapping[str, int]


@dataclass(frozen=True)
class Sentence:
    """One event in words. counts: of each class, what was typically seen during it."""

    text: str
    event: Event
    counts: dict[str, int]

    def to_json(self) -> dict[str, object]:
        return {"text": self.text, **self.event.to_json(), "seen": self.counts}


def describe(
    events: Sequence[Event],
    sightings: Sequence[Sighting],
    words: Words,
    subjects: Sequence[str] = ("person",),
    background: Sequence[str] = (),
) -> list[Sentence]:
    """A sentence an event, in order of start.

    sightings: in order of time; none: nothing was looked for. A class counts as often as in the
    middle one of an event's sightings, so that a flicker is not told. subjects: the classes that
    act; the first of them that is seen is who does it, the others are things beside.
    """
    times_s = [sighting.time_s for sighting in sightings]
    told = [event for event in events if event.label not in background]
    sentences = []
    for event in sorted(told, key=lambda event: (event.start_s, event.person or 0)):
        first = bisect_left(times_s, event.start_s)
        last = bisect_right(times_s, event.end_s)
        if first == last and sightings:  # shorter than the time between two: the nearest one
            nearest = min(
                range(len(times_s)),
                key=lambda index: abs(times_s[index] - (event.start_s + event.end_s) / 2),
            )
            first, last = nearest, nearest + 1
        counts = typical_counts(sightings[first:last])
        sentences.append(Sentence(_sentence(event, counts, words, subjects), event, counts))
    return sentences


def typical_counts(sightings: Sequence[Sighting]) -> dict[str, int]:
    """The median count of each class, those that are not 0, most first."""
    names = sorted({name for sighting in sightings for name in sighting.counts})
    middle = {
        name: int(median(sighting.counts.get(name, 0) for sighting in sightings)) for name in names
    }
    seen = [(name, count) for name, count in middle.items() if count > 0]
    return dict(sorted(seen, key=lambda pair: -pair[1]))


def _sentence(
    event: Event, counts: Mapping[str, int], words: Words, subjects: Sequence[str]
) -> str:
    actor = next((name for name in subjects if counts.get(name)), None)
    count = counts[actor] if actor else 1
    if event.person is not None:
        who, count = words.numbered(subjects[0] if subjects else "person", event.person), 1
    elif actor is not None:
        who = words.phrase(actor, count)
    else:
        who = words.texts["someone"]
    hidden = subjects if event.person is not None else (actor,)
    beside = [
        words.phrase(name, number, near=True)
        for name, number in counts.items()
        if name not in hidden
    ]
    things = words.join(beside)
    times = {
        "start": clock(event.start_s),
        "end": clock(event.end_s),
        "duration": clock(event.duration_s),
    }
    clause = words.clause(event.label, count > 1).format(
        who=who,
        near=words.texts["near"].format(things=things) if things else "",
        things=things,
        label=event.label.replace("_", " "),
        count=words.number(count),
        **times,
    )
    template = "moment" if times["start"] == times["end"] else "span"
    return words.texts[template].format(clause=clause, **times)


def clock(time_s: float) -> str:
    """3.2 -> 00:03, 3723 -> 01:02:03: the second that has begun."""
    minutes, seconds = divmod(int(max(time_s, 0.0) + 1e-6), 60)
    hours, minutes = divmod(minutes, 60)
    head = f"{hours:02d}:" if hours else ""
    return f"{head}{minutes:02d}:{seconds:02d}"


def story(sentences: Sequence[Sentence], words: Words, duration_s: float) -> str:
    """Plain text, a line a sentence; where nothing happened, that it did not."""
    if not sentences:
        return words.texts["nothing"].format(duration=clock(duration_s)) + "\n"
    return "".join(f"{sentence.text}\n" for sentence in sentences)


def sentences_json(sentences: Sequence[Sentence]) -> str:
    """Strict JSON, one line a sentence."""
    lines = ",\n ".join(
        json.dumps(sentence.to_json(), ensure_ascii=False, allow_nan=False)
        for sentence in sentences
    )
    return f"[\n {lines}\n]\n" if lines else "[]\n"
