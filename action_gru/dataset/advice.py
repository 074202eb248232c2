"""What the rows of a manifest say before any training: counts, groups, the split.

A `Finding` says what, got and mend, as errors do; a problem makes `check` fail, an advice does not.
Opens no file.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from statistics import fmean

from action_gru.core.errors import DataError
from action_gru.core.paths import split_of
from action_gru.core.text import counted, name_some
from action_gru.dataset.manifest import SPLITS, Clip

PROBLEM, ADVICE = "problem", "advice"
FEW_CLIPS = 5
MOST_IMBALANCE = 10.0
COVERED, MOST_SHARE = 0.9, 0.6  # of the files, by a guess of groups; by its largest group
GROUPS_SHOWN = 3


@dataclass(frozen=True)
class Finding:
    """severity: PROBLEM or ADVICE. topic: a word for programs. clips: names, the worst first."""

    severity: str
    topic: str
    what: str
    got: str
    mend: str
    clips: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """All of it on one line."""
        return f"{self.what}: {self.got}; {self.mend}"


@dataclass(frozen=True)
class ClassRow:
    """What the data holds of one class. minutes: None where no length is known."""

    label: str
    clips: int
    groups: int
    minutes: float | None
    splits: Mapping[str, int]


def class_rows(clips: Sequence[Clip], lengths_s: Mapping[str, float]) -> list[ClassRow]:
    """One row a class. lengths_s: by clip name; those that are not known count as the mean."""
    by_class = _by_class(clips)
    rows = []
    for label in sorted(by_class):
        inside = by_class[label]
        known = [lengths_s[clip.name] for clip in inside if clip.name in lengths_s]
        splits = Counter(clip.split for clip in inside if clip.split)
        rows.append(
            ClassRow(
                label,
                len(inside),
                len({clip.group for clip in inside}),
                fmean(known) * len(inside) / 60 if known else None,
                {name: splits[name] for name in SPLITS if any(clip.split for clip in clips)},
            )
        )
    return rows


NO_GROUPS = (
    "No groups are given: if clips of one recording or person are on both sides, the figures are "
    "too good; a column 'group' of the manifest keeps them together"
)


def has_groups(clips: Sequence[Clip]) -> bool:
    """Does the manifest name groups? A clip without one is its file's own group."""
    return any(clip.group != clip.relative for clip in clips)


def count_findings(clips: Sequence[Clip]) -> list[Finding]:
    """Classes with very few clips, with one group only, and how uneven they are."""
    by_class = _by_class(clips)
    counts = {label: len(inside) for label, inside in by_class.items()}
    found = []
    if few := sorted(label for label, count in counts.items() if count < FEW_CLIPS):
        named = name_some([f"{label} ({counts[label]})" for label in few])
        found.append(
            Finding(
                ADVICE,
                "few_clips",
                f"classes with fewer than {FEW_CLIPS} clips",
                named,
                "add clips, or join classes: neither a model nor its score can rest on so few",
            )
        )
    whole = sorted(
        label
        for label, inside in by_class.items()
        if len(inside) >= FEW_CLIPS and len({clip.group for clip in inside}) == 1
    )
    if whole:
        found.append(
            Finding(
                ADVICE,
                "one_group",
                "classes whose clips are all of one group",
                name_some(whole),
                "add clips of other groups: such a class is never both trained on and tested",
            )
        )
    if not counts:
        return found
    most, least = max(counts, key=counts.__getitem__), min(counts, key=counts.__getitem__)
    if counts[most] > MOST_IMBALANCE * counts[least]:
        found.append(
            Finding(
                ADVICE,
                "imbalance",
                f"the classes are more uneven than {MOST_IMBALANCE:g} to 1",
                f"{most} has {counted(counts[most], 'clip')}, {least} {counts[least]}",
                "set training.class_balance=weights, and read mean class accuracy, not top-1",
            )
        )
    return found


def split_finding(error: DataError) -> Finding:
    """The finding of a split that training would refuse."""
    said = str(error)
    mark = "; " if "; " in said else ". "
    got, _, mend = said.rpartition(mark)
    return Finding(PROBLEM, "split", "training would refuse this data", got or said, mend)


@dataclass(frozen=True)
class GroupGuess:
    """Groups read from names. how: what of the name. groups: clips by name of the group."""

    how: str
    groups: Mapping[str, Sequence[Clip]]

    def divided(self) -> list[str]:
        """The groups that stand on two sides of the split."""
        sides = {
            name: {clip.split for clip in inside if clip.split}
            for name, inside in self.groups.items()
        }
        return sorted(name for name, found in sides.items() if len(found) > 1)


_WHO = re.compile(
    r"(?:^|[^a-z0-9])((?:person|people|subject|subj|sub|actor|user|participant|patient|child|"
    r"player|speaker|signer|talker|session|scene|source|src|seq|sequence|group|g|s|p)[ _-]?\d+)"
    r"(?=$|[^a-z0-9])",
    re.IGNORECASE,
)
_PIECE = re.compile(r"(.*?[a-z0-9])[^a-z0-9]+(?:clip|part|piece|segment|seg|shot|c)?\d+", re.I)
_WORD = re.compile(r"([^\W_]+)[\W_]")


def _who(clip: Clip) -> str | None:
    match = _WHO.search(PurePosixPath(clip.relative).stem)
    return match and match[1]


def _folder(clip: Clip) -> str | None:
    parts = PurePosixPath(clip.relative).parts[:-1]
    return "/".join(p for p in parts if p != clip.label and not split_of(p)) or None


def _before_label(clip: Clip) -> str | None:
    if not clip.label:  # a clip of nothing
        return None
    before, label, _ = PurePosixPath(clip.relative).stem.partition(clip.label)
    return before.strip("_-. ") or None if label else None


def _piece(clip: Clip) -> str | None:
    match = _PIECE.fullmatch(PurePosixPath(clip.relative).stem)
    return match and match[1]


def _word(clip: Clip) -> str | None:
    match = _WORD.match(PurePosixPath(clip.relative).stem)
    return match and match[1]


# In the order in which they are tried: what says most comes first.
_KEYS: dict[str, Callable[[Clip], str | None]] = {
    "a person's or scene's number in the name": _who,
    "the folder inside of the class's": _folder,
    "the name before the class": _before_label,
    "the name before its last number": _piece,
    "the first word of the name": _word,
}


def guess_groups(clips: Sequence[Clip]) -> GroupGuess | None:
    """The first reading of the file names that divides the clips into plausible groups."""
    for how, key in _KEYS.items():
        groups: dict[str, list[Clip]] = defaultdict(list)
        for clip in clips:
            if (name := key(clip)) is not None:
                groups[name].append(clip)
        if _is_plausible(clips, groups, must_cross=key is _word):
            return GroupGuess(how, dict(sorted(groups.items(), key=lambda item: -len(item[1]))))
    return None


def _is_plausible(
    clips: Sequence[Clip], groups: Mapping[str, Sequence[Clip]], must_cross: bool
) -> bool:
    """must_cross: half of the groups hold clips of several classes."""
    covered = sum(map(len, groups.values()))
    files = len({clip.relative for clip in clips})
    if covered < COVERED * len(clips) or not 2 <= len(groups) <= MOST_SHARE * files:
        return False
    if max(map(len, groups.values())) > MOST_SHARE * len(clips) and len(groups) > 2:
        return False
    sides = [{clip.split for clip in inside} for inside in groups.values()]
    if len(groups) <= len(SPLITS) and all(len(one) == 1 and one != {""} for one in sides):
        return False  # it only repeats the split: X_TRAIN, X_TEST
    by_class = _by_class([clip for inside in groups.values() for clip in inside])
    group_of = {clip.name: name for name, inside in groups.items() for clip in inside}
    # A name that only repeats the class says nothing of who or where.
    single = [len({group_of[clip.name] for clip in inside}) == 1 for inside in by_class.values()]
    if sum(single) > len(single) / 2:
        return False
    crossing = [len({clip.label for clip in inside}) > 1 for inside in groups.values()]
    return not must_cross or sum(crossing) >= len(crossing) / 2


def group_finding(clips: Sequence[Clip]) -> Finding | None:
    """The question whether groups read from names are right; None with a column of groups, and
    where the names show none. clips: with the split of the training.
    """
    guess = None if has_groups(clips) else guess_groups(clips)
    if guess is None:
        return None
    shown = [
        f"{name}: {counted(len(inside), 'clip')} ({_classes_text(inside)})"
        for name, inside in list(guess.groups.items())[:GROUPS_SHOWN]
    ]
    got = f"{len(guess.groups)} by {guess.how}"
    if divided := guess.divided():
        got += (
            f", {len(divided)} of them on two sides of the split now, such as {divided[0]}: if "
            "they are right, the score would be too good"
        )
    got += f". The largest are {'; '.join(shown)}"
    return Finding(
        ADVICE,
        "groups",
        "no groups are given, and the names look like some",
        got,
        "are these right? Then write them into a column 'group' of the manifest; they are not used "
        "until it says so",
        tuple(clip.name for clip in next(iter(guess.groups.values()))[:GROUPS_SHOWN]),
    )


def _classes_text(clips: Sequence[Clip]) -> str:
    counts = Counter(label for clip in clips for label in clip.labels).most_common()
    return name_some([f"{label} {count}" for label, count in counts], 3)


def _by_class(clips: Sequence[Clip]) -> dict[str, list[Clip]]:
    found: dict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        for label in clip.labels:
            found[label].append(clip)
    return found
