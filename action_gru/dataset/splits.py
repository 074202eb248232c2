"""Divides clips into train, val and test without dividing a group. Knows nothing of features."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from action_gru.core.errors import DataError
from action_gru.core.text import command_line, counted, name_some
from action_gru.dataset.manifest import SPLITS, Clip
from action_gru.timeline.segments import names_of


@dataclass(frozen=True)
class Split:
    """The three parts; val and test may be empty."""

    train: tuple[Clip, ...]
    val: tuple[Clip, ...] = ()
    test: tuple[Clip, ...] = ()

    @property
    def clips(self) -> tuple[Clip, ...]:
        return self.train + self.val + self.test


def split_clips(
    clips: Sequence[Clip],
    how: str = "auto",
    test_share: float = 0.2,
    val_share: float = 0.0,
    seed: int = 0,
    allow_leakage: bool = False,
) -> Split:
    """Divide by the manifest's column, by whole groups, or not at all; see `data.split`.

    Raises DataError when a group or clip is on both sides (unless allow_leakage), when the
    training part lacks a class that another part has, or when there is nothing to train on.
    """
    if how == "auto":
        how = "column" if any(clip.split for clip in clips) else "group"
    if how == "column":
        if lacking := [clip for clip in clips if not clip.split]:
            raise DataError(
                f"{counted(len(lacking), 'clip')} without a split, first {lacking[0].name}; fill "
                "the column with train, val or test, or set data.split=group"
            )
        train, val, test = (tuple(c for c in clips if c.split == name) for name in SPLITS)
    elif how == "group":
        train, test = hold_out(clips, test_share, seed)
        val = ()
    else:
        train, val, test = tuple(clips), (), ()
    if not val and val_share:
        train, val = hold_out(train, val_share, seed + 1)
    parts = zip((train, val, test), SPLITS, strict=True)
    split = Split(*(tuple(replace(clip, split=name) for clip in part) for part, name in parts))
    if not allow_leakage:
        check_leakage(split)
    shares = {"data.test_share=0": how == "group", "data.val_share=0": val_share}
    mends = [f"set {' '.join(share for share, is_drawn in shares.items() if is_drawn)}"]
    if how == "column":
        mends = ["mark some as train in the column split", *(mends if val_share else [])]
    check_classes(split, ", or ".join(mends), by_chance=how != "column")
    return split


def hold_out(
    clips: Sequence[Clip], share: float, seed: int
) -> tuple[tuple[Clip, ...], tuple[Clip, ...]]:
    """(kept, held out): whole groups, about `share` of the clips, classes as balanced as can be."""
    if not share:
        return tuple(clips), ()
    groups = len({clip.group for clip in clips})
    if groups < 2:
        raise DataError(
            f"all {len(clips)} clips are of one group, so no whole group can be held out; give the "
            "manifest a finer group column, or set data.split=none"
        )
    folds, taken = round(min(1 / share, groups)), 1  # 1 / share may be infinite
    if abs(1 / share - folds) > 0.05:  # no whole number of folds: several small ones
        folds = min(20, groups)
        taken = max(1, round(share * folds))
    fold_of = list(zip(clips, grouped_folds(clips, max(2, folds), seed), strict=True))
    kept = tuple(clip for clip, fold in fold_of if fold >= taken)
    return kept, tuple(clip for clip, fold in fold_of if fold < taken)


def grouped_folds(clips: Sequence[Clip], folds: int, seed: int) -> list[int]:
    """Fold number of each clip: a group stays whole, folds are alike in size and classes.

    Greedy, largest group first, each to the fold where it leaves the classes most even. With as
    many folds as groups this is leave-one-group-out.
    """
    groups: dict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        groups[clip.group].append(clip)
    if folds > len(groups):
        raise DataError(
            f"{folds} folds need as many groups, and the data has {len(groups)}; "
            "ask for fewer folds or give the manifest a finer group column"
        )
    names = sorted(groups)
    random.Random(seed).shuffle(names)
    names.sort(key=lambda name: -len(groups[name]))
    counts: list[Counter[str]] = [Counter() for _ in range(folds)]
    fold_of: dict[str, int] = {}
    for place, name in enumerate(names):
        added = Counter(n for clip in groups[name] for n in names_of(clip.label) or ("",))
        # An empty fold is filled first while only just enough groups are left.
        empty = [fold for fold in range(folds) if not counts[fold]]
        choices = empty if len(empty) >= len(names) - place else range(folds)
        best = min(choices, key=lambda fold: (_unevenness(counts[fold], added), fold))
        counts[best] += added
        fold_of[name] = best
    return [fold_of[clip.group] for clip in clips]


def _unevenness(held: Counter[str], added: Counter[str]) -> float:
    """How much a fold's squared class counts grow: small where the added classes are rare."""
    total = sum(held.values()) * sum(added.values())
    return sum(held[label] * count for label, count in added.items()) + 0.5 * total


def check_leakage(split: Split) -> None:
    """Raise DataError when a group, or the same clip, is on two sides."""
    for kind in ("group", "file"):
        sides: dict[str, set[str]] = defaultdict(set)
        for clip in split.clips:
            sides[clip.group if kind == "group" else str(clip.path)].add(clip.split)
        shared = sorted(name for name, parts in sides.items() if len(parts) > 1)
        if shared:
            parts = " and ".join(sorted(sides[shared[0]], key=SPLITS.index))
            raise DataError(
                f"{kind} '{shared[0]}' is in {parts} ({len(shared)} {kind}s are divided so): the "
                "score would be too good. Split by group (data.split=group), or write "
                "data.allow_leakage: true if this is the protocol you want"
            )


def merge_groups(clips: Sequence[Clip], content: Mapping[str, str]) -> list[Clip]:
    """The clips with groups joined that share a file's bytes. content: SHA-256 by clip name."""
    leader: dict[str, str] = {}

    def find(name: str) -> str:
        while leader.setdefault(name, name) != name:
            name = leader[name]
        return name

    for clip in clips:
        if clip.name in content:
            leader[find(clip.group)] = find(f"sha256 {content[clip.name]}")
    return [replace(clip, group=find(clip.group)) for clip in clips]


def check_classes(split: Split, mend: str = "leave the class out", by_chance: bool = True) -> None:
    """Raise DataError when the training part is empty or lacks a class that another part has.

    mend: what to do, besides adding clips. by_chance: a seed has divided the clips.
    """
    if not split.train:
        raise DataError("no clip is left to train on; lower data.test_share or fill the split")
    known = {label for clip in split.train for label in clip.labels}
    unseen = sorted({label for c in split.val + split.test for label in c.labels} - known)
    if unseen:
        why = _undivided(split.clips, unseen) if by_chance else ""
        raise DataError(
            f"the training part has no clip of {name_some(unseen)}, the other parts have{why}; "
            f"add clips of other groups, or {mend}{_renamed(split, unseen)}"
        )


def _renamed(split: Split, unseen: Sequence[str]) -> str:
    """How a class that one group alone shows, in several clips, may get the name of another."""
    shown = [clip for clip in split.clips if unseen[0] in clip.labels]
    if len(shown) == 1 or len({clip.group for clip in shown}) > 1:
        return ""
    words = ("prepare", "annotations", "FILES", "--videos", "DIR", "--map", f"{unseen[0]}=CLASS")
    command = command_line("action-gru", *words)
    return (
        "; where it is another name of a class that is trained on, its annotation files with "
        f"'{command}' give a CSV with that one"
    )


def _undivided(clips: Sequence[Clip], unseen: Sequence[str]) -> str:
    """Why a division left classes out of training: which ones are in a single group."""
    groups_of: dict[str, list[str]] = defaultdict(list)
    for clip in clips:
        for label in clip.labels:
            groups_of[label].append(clip.group)
    whole = sorted(label for label, groups in groups_of.items() if len(set(groups)) == 1)
    if not set(whole) & set(unseen):
        return ", by chance: try another seed"
    one = [label for label in whole if len(groups_of[label]) == 1]
    several = [label for label in whole if len(groups_of[label]) > 1]
    whys = []
    if one:
        whys.append(f"{', '.join(one)} {'has one clip' if len(one) == 1 else 'have one clip each'}")
    if several:
        whys.append(f"all clips of {', '.join(several)} are of one group")
    return f": {' and '.join(whys)}, so that none is left to train on when it is held out"
