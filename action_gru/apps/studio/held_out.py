"""Which clips a training of the studio holds out to be scored on, so that the score is honest.

Whole people where several are named, else whole takes, because the clips of one burst are alike;
single clips only where an action was recorded in one take.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from action_gru.apps.studio.clip_rows import is_take
from action_gru.apps.studio.verdict import CLIP, PERSON, TAKE, why_not
from action_gru.core.errors import DataError
from action_gru.dataset import Clip, grouped_folds
from action_gru.prepare.project import take_of

SHARE, MOST_SHARE = 0.25, 0.5  # of the clips
FOLDS, SEEDS = (4, 3, 2), 5


@dataclass(frozen=True)
class HeldOut:
    """clips: with split and group set. kind: what is new about those held out, in each action.

    alone: the actions of which single clips of a take are held out.
    """

    clips: tuple[Clip, ...]
    kind: str
    alone: tuple[str, ...] = ()

    def part(self, split: str) -> list[Clip]:
        return [clip for clip in self.clips if clip.split == split]


def person_of(clip: Clip) -> str | None:
    """Who is in a clip; None where its group is no name."""
    return None if clip.group == clip.relative or is_take(clip.group) else clip.group


def hold_out(clips: Sequence[Clip]) -> HeldOut:
    """Divide the clips of a project. Raises DataError for too few of an action."""
    if missing := why_not(Counter(clip.label for clip in clips)):
        raise DataError(missing)
    if len({person for clip in clips if (person := person_of(clip))}) > 1:
        by_person = _divide(clips, lambda clip: person_of(clip) or _take(clip))
        if by_person is not None:
            return HeldOut(by_person, PERSON)
    takes: dict[str, set[str]] = defaultdict(set)
    for clip in clips:
        takes[clip.label].add(_take(clip))
    alone = tuple(name for name in sorted(takes) if len(takes[name]) == 1)
    by_take = _divide(clips, lambda c: c.relative if c.label in alone else _take(c))
    if by_take is not None:
        return HeldOut(by_take, CLIP if len(alone) == len(takes) else TAKE, alone)
    by_clip = _divide(clips, lambda clip: clip.relative)
    if by_clip is None:
        raise DataError("several clips are cut from one file; record some in files of their own")
    return HeldOut(by_clip, CLIP, tuple(sorted(takes)))


def _take(clip: Clip) -> str:
    name = clip.relative.rpartition("/")[2]
    return clip.group if is_take(clip.group) else take_of(name) or clip.relative


def _divide(clips: Sequence[Clip], group: Callable[[Clip], str]) -> tuple[Clip, ...] | None:
    """The clips with splits, whole groups held out, about a quarter of the clips, some of each
    action if that can be; None where an action would have fewer than two clips to learn from.
    """
    grouped = [replace(clip, group=group(clip)) for clip in clips]
    groups = len({clip.group for clip in grouped})
    if groups < 2:
        return None
    names = {clip.label for clip in clips}
    best: tuple[tuple[float, ...], list[bool]] | None = None
    for folds, seed in itertools.product(sorted({min(n, groups) for n in FOLDS}), range(SEEDS)):
        parts = grouped_folds(grouped, folds, seed)
        for part in sorted(set(parts)):
            out = [other == part for other in parts]
            held = Counter(c.label for c, is_out in zip(grouped, out, strict=True) if is_out)
            left = Counter(c.label for c, is_out in zip(grouped, out, strict=True) if not is_out)
            share = held.total() / len(clips)
            if min(left[name] for name in names) < 2 or share > MOST_SHARE or len(held) < 2:
                continue
            cost = (float(len(names - held.keys())), abs(share - SHARE))
            if best is None or cost < best[0]:
                best = cost, out
    if best is None:
        return None
    split = [
        replace(clip, split="test" if is_out else "train")
        for clip, is_out in zip(grouped, best[1], strict=True)
    ]
    return tuple(_finer(split))


def _finer(clips: Sequence[Clip]) -> list[Clip]:
    """An action with one group to learn from: each of its clips is a group of its own, or nothing
    of it could be left out while training.
    """
    groups: dict[str, set[str]] = defaultdict(set)
    for clip in clips:
        if clip.split == "train":
            groups[clip.label].add(clip.group)
    return [
        replace(clip, group=clip.relative)
        if clip.split == "train" and len(groups[clip.label]) < 2
        else clip
        for clip in clips
    ]
