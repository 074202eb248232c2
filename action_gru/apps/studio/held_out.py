"""Which clips a training of the studio holds out to be scored on, so that the score is honest.

Whole people where several are named, else whole takes, because the clips of one burst are alike;
single clips only where an action was recorded in one take.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from action_gru.apps.studio.clip_rows import is_take
from action_gru.apps.studio.verdict import CLIP, PERSON, TAKE, why_not
from action_gru.core.errors import DataError
from action_gru.core.files import file_sha256
from action_gru.dataset import Clip, grouped_folds, merge_groups
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


def content_of_twins(clips: Sequence[Clip]) -> dict[str, str]:
    """SHA-256 by clip name of the files that may be copies: those as large as another one."""
    sizes = {clip.path: clip.path.stat().st_size for clip in clips if clip.path.is_file()}
    often = Counter(sizes.values())
    return {
        clip.name: file_sha256(clip.path) for clip in clips if often[sizes.get(clip.path, -1)] > 1
    }


def hold_out(clips: Sequence[Clip], content: Mapping[str, str] | None = None) -> HeldOut:
    """Divide the clips of a project. content: of content_of_twins; a file that was added twice is
    never on two sides. Raises DataError for too few of an action.
    """
    content = content or {}
    if missing := why_not(Counter(clip.label for clip in clips)):
        raise DataError(missing)
    if len({person for clip in clips if (person := person_of(clip))}) > 1:
        by_person = _divide(clips, lambda clip: person_of(clip) or _take(clip), content)
        if by_person is not None:
            return HeldOut(by_person, PERSON)
    takes: dict[str, set[str]] = defaultdict(set)
    for clip in clips:
        takes[clip.label].add(_take(clip))
    alone = tuple(name for name in sorted(takes) if len(takes[name]) == 1)
    by_take = _divide(clips, lambda c: c.relative if c.label in alone else _take(c), content)
    if by_take is not None:
        return HeldOut(by_take, CLIP if len(alone) == len(takes) else TAKE, alone)
    by_clip = _divide(clips, lambda clip: clip.relative, content)
    if by_clip is None:
        raise DataError(
            "several clips are cut from one file, or are copies of one; record some more"
        )
    return HeldOut(by_clip, CLIP, tuple(sorted(takes)))


def _take(clip: Clip) -> str:
    name = clip.relative.rpartition("/")[2]
    return clip.group if is_take(clip.group) else take_of(name) or clip.relative


def _join(clips: Sequence[Clip], content: Mapping[str, str]) -> list[Clip]:
    """The clips with copies of a file in one group, which keeps the name of its first clip's."""
    names: dict[str, str] = {}
    return [
        replace(joined, group=names.setdefault(joined.group, clip.group))
        for clip, joined in zip(clips, merge_groups(clips, content), strict=True)
    ]


def _divide(
    clips: Sequence[Clip], group: Callable[[Clip], str], content: Mapping[str, str]
) -> tuple[Clip, ...] | None:
    """The clips with splits, whole groups held out, about a quarter of the clips, some of each
    action if that can be; None where an action would have fewer than two clips to learn from.
    """
    grouped = _join([replace(clip, group=group(clip)) for clip in clips], content)
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
    return tuple(_join(_finer(split), content))


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
