"""What a training's score says in plain words, and what to record next. Knows no model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from action_gru.core.text import name_some

PLACE = Path(".studio", "training")  # where a run is made
DOCUMENT = "studio.json"  # in a run: what its training said
PERSON, TAKE, CLIP = "person", "take", "clip"  # what is new about the clips that are held out
LEAST_CLIPS = 3  # of an action: two to learn from and one to be asked about
GOOD, FAIR = 0.85, 0.65  # of the clips that were held out
SURE_CLIPS = 8  # held out; of fewer even all right proves little
FEW_CLIPS = 8  # of an action
MIXED_SHARE, MIXED_CLIPS = 0.25, 2  # of an action's clips, taken for one other; one is a slip
WEAK = 0.5  # of an action's clips that are right
MOST_ADVICE = 4


@dataclass(frozen=True)
class Answer:
    """What was said of a clip that was held out. score: of the answer, 0 to 1."""

    clip: str
    was: str
    said: str
    score: float

    @property
    def is_right(self) -> bool:
        return self.was == self.said


def why_not(counts: Mapping[str, int]) -> str | None:
    """What is missing before anything can be trained; None if nothing is. counts: clips by action;
    an action without clips is no obstacle.
    """
    begun = {name: count for name, count in counts.items() if count}
    if len(begun) < 2:
        return f"record at least {LEAST_CLIPS} clips of each of two actions"
    few = [f"{name} has {count}" for name, count in begun.items() if count < LEAST_CLIPS]
    return f"record at least {LEAST_CLIPS} clips of each action: {name_some(few)}" if few else None


def verdict(
    answers: Sequence[Answer], kind: str, people: Sequence[str] = (), alone: Sequence[str] = ()
) -> dict[str, str]:
    """{"level": good, fair or poor, "text"}. kind, alone: as of HeldOut; people: held out ones."""
    right, total = sum(one.is_right for one in answers), len(answers)
    chance = max(Counter(one.was for one in answers).values()) / total
    share = right / total
    how_many = f"{right} of {total}" if right < total else f"All {total}"
    text = f"{how_many} clips it had never seen {'is' if right == 1 else 'are'} right."
    level = "good" if share >= GOOD else "fair" if share >= FAIR and share > chance else "poor"
    if kind == PERSON and people:
        text += f" They show {name_some(people)}, whom it did not know."
    elif kind == CLIP:
        level = "fair" if level == "good" else level
        text += (
            " But they were recorded in one go with clips that it learned from, which makes them "
            "easy: record each action a second time, and train again."
        )
    elif alone:
        text += f" Those of {name_some(alone)} are of one take with clips that it learned from."
    if level == "good" and total < SURE_CLIPS:
        level = "fair"
        text += " That is too few clips to be sure."
    return {"level": level, "text": text}


def advice(
    answers: Sequence[Answer],
    counts: Mapping[str, int],
    background: Sequence[str] = (),
    people: Sequence[str] = (),
) -> list[str]:
    """What would help most, the most urgent first. counts: clips by action; people: all named."""
    pairs = _mixed(answers)
    found = [
        f"{first} and {second} are mixed up: record 10 more of each" for first, second in pairs
    ]
    found += [
        f"{one['name']}: {one['right']} of {one['total']} right; record 10 more"
        for one in by_action(answers, list(counts))
        if one["total"]
        and one["right"] <= WEAK * one["total"]
        and not any(one["name"] in pair for pair in pairs)
    ]
    few = [name for name, count in counts.items() if count < FEW_CLIPS]
    if few:
        found.append(f"{name_some(few)}: fewer than {FEW_CLIPS} clips; record 10 more")
    found += [
        f"'{name}' has no clips: record yourself doing nothing, or it will always see an action"
        for name in background
        if not counts.get(name)
    ]
    if len(people) == 1:
        found.append(f"only {people[0]} is in the clips: record others too, if it must know them")
    return found[:MOST_ADVICE]


def _mixed(answers: Sequence[Answer]) -> list[tuple[str, str]]:
    """Pairs of actions that are taken for each other, the most often mixed up first."""
    totals = Counter(one.was for one in answers)
    wrong = Counter((one.was, one.said) for one in answers if not one.is_right)
    pairs: Counter[tuple[str, str]] = Counter()
    for (was, said), count in wrong.items():
        if count >= MIXED_SHARE * totals[was]:
            first, second = sorted((was, said))
            pairs[first, second] += count
    return [pair for pair, count in pairs.most_common() if count >= MIXED_CLIPS]


def by_action(answers: Sequence[Answer], names: Sequence[str]) -> list[dict[str, Any]]:
    """Of each action how many of its held-out clips are right."""
    totals, right = Counter(a.was for a in answers), Counter(a.was for a in answers if a.is_right)
    return [{"name": name, "right": right[name], "total": totals[name]} for name in names]
