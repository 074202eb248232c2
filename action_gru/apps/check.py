"""`check`: what can be told of a data set before it is trained on. Trains nothing, changes nothing.

A clip that cannot be read is a finding. What the command line itself cannot use is an error.
"""

from __future__ import annotations

import random
import textwrap
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from types import MappingProxyType

from action_gru.apps.clip_facts import read_facts
from action_gru.config import Config, check_files
from action_gru.core.errors import ActionGruError, DataError
from action_gru.core.progress import Reporter
from action_gru.core.text import counted, name_some
from action_gru.dataset import (
    Clip,
    check_long_videos,
    class_list,
    read_long_videos,
    split_clips,
)
from action_gru.dataset.advice import (
    ADVICE,
    PROBLEM,
    Finding,
    class_rows,
    count_findings,
    group_finding,
    has_groups,
    split_finding,
)
from action_gru.dataset.leaks import ClipFacts, copies, copy_findings, giveaways
from action_gru.prepare.source import Source
from action_gru.report.advice_page import EXAMPLES, AdviceReport
from action_gru.video import DecodeLimits
from action_gru.views.sampling import slow_clips_warning

MOST_LINES = 5  # before a training
MOST_LETTERS = 280  # of each of these lines
SHORTEST = 4  # sampled frames
DARK, BLACK = 30.0, 20.0  # mean luma of a clip, of 255; its 99th percentile
STILL = 2.5  # levels of luma; two of the 200 fights, where nothing moves, reach 2


def check_data(target: Path, source: Source, reporter: Reporter, most_clips: int) -> AdviceReport:
    """Look at the clips of a source. target: where it is, for the report.

    most_clips: so many clips are looked at, drawn at random; all are counted.
    """
    config, clips = read_clips(source)
    is_drawn = config.data.split in ("auto", "group") and not any(clip.split for clip in clips)
    clips, findings = _with_split(config, clips)
    findings += filter(None, [group_finding(clips)])
    clips = _labelled_rows(clips)
    findings += count_findings(clips)
    if not config.data.is_video:
        from action_gru.apps.check_features import series_findings

        more, summary = series_findings(config, clips)
        return _report(target, clips, [*findings, *more], summary)
    looked = _some(clips, most_clips)
    facts, unread = _look(config, looked, reporter)
    of_files = look_findings(clips, facts, unread, config.sampling.fps)
    is_whole = config.data.task == "clips"  # a stretch is read with what comes before it
    findings += [one for one in of_files if is_whole or one.topic != "short"]
    findings += copy_findings(copies(looked, facts), config.data.allow_leakage, is_drawn)
    findings += giveaways(looked, facts)
    more, notes = _lookalikes(config, [clip for clip in looked if clip.name in facts], reporter)
    findings += more
    notes += source.notes
    if len(looked) < len(clips):
        notes.append(f"{len(looked)} of {len(clips)} clips were looked at, drawn at random")
    if late := len(looked) - len(facts) - len(unread):
        notes.append(f"{counted(late, 'clip')} after the first ten minutes of a file not looked at")
    if not has_groups(clips) and not any(one.topic == "groups" for one in findings):
        notes.append("no groups are given, and the names show none: each file is its own group")
    return _report(target, clips, findings, "", facts, unread, notes)


def _look(
    config: Config, clips: Sequence[Clip], reporter: Reporter
) -> tuple[dict[str, ClipFacts], dict[str, str]]:
    limits = DecodeLimits(**config.decoding.model_dump())
    with reporter.bar("look", len(clips)) as advance:
        return read_facts(clips, config.sampling.fps, limits, lambda name: advance(note=name))


def read_clips(source: Source) -> tuple[Config, list[Clip]]:
    """The config and the clips of a source. Its manifest is written to a place that ends."""
    with TemporaryDirectory() as place:
        return source.config, _clips_of(source.written(Path(place)))


def first_lines(config: Config) -> list[str]:
    """What `train` says before it begins: what names and counts show, in a few lines."""
    try:
        clips, found = _with_split(config, _clips_of(config))
    except ActionGruError:  # training raises it
        return []
    if found:
        return []
    findings = [*filter(None, [group_finding(clips)]), *count_findings(_labelled_rows(clips))]
    lines = [
        textwrap.shorten(f"{one.what}: {one.got}", MOST_LETTERS, placeholder=" ...")
        for one in findings[: MOST_LINES - 1]
    ]
    return [*lines, "'action-gru check' says more, and looks at the clips"] if lines else []


def _clips_of(config: Config) -> list[Clip]:
    from action_gru.features.source import data_source  # as training reads them; imports torch

    check_files(config)
    return data_source(config).clips()


def _with_split(config: Config, clips: Sequence[Clip]) -> tuple[list[Clip], list[Finding]]:
    """The clips with the split that a training would give them; a problem where it has none."""
    data = config.data
    try:
        class_list(clips, config.classes)
        split = split_clips(
            clips, data.split, data.test_share, data.val_share, data.split_seed, data.allow_leakage
        )
        if data.is_video and data.manifest is not None and data.manifest.is_file():
            long = read_long_videos(data.manifest, data.root)
            if not data.allow_leakage:
                check_long_videos(long, split.train)
    except DataError as error:
        return list(clips), [split_finding(error)]
    side_of = {clip.name: clip.split for clip in split.clips}
    return [replace(clip, split=side_of[clip.name]) for clip in clips], []


def _labelled_rows(clips: Sequence[Clip]) -> list[Clip]:
    """The clips; of long videos whose rows are stretches, those that have a label."""
    rows = [replace(row, split=clip.split) for clip in clips for row in clip.stretches if row.label]
    return rows or list(clips)


def _some(clips: Sequence[Clip], most: int) -> list[Clip]:
    if len(clips) <= most:
        return list(clips)
    chosen = sorted(random.Random(0).sample(range(len(clips)), most))
    return [clips[index] for index in chosen]


# topic -> severity, what, mend, and whether a clip is so
_FAULTS: dict[str, tuple[str, str, str, Callable[[ClipFacts], bool]]] = {
    "black": (
        PROBLEM,
        "clips in which nothing is to be seen",
        "replace or drop them",
        lambda one: one.brightest < BLACK,
    ),
    "dark": (
        ADVICE,
        f"clips whose mean brightness is below {DARK:g} of 255",
        "brighten them, or drop them if a person cannot tell the action either",
        lambda one: one.light < DARK and one.brightest >= BLACK,
    ),
    "still": (
        ADVICE,
        "clips in which nearly nothing moves",
        "check that the action is in them; a class of nothing in particular may hold them",
        lambda one: one.motion < STILL and one.brightest >= BLACK and not one.is_slow,
    ),
    "short": (
        ADVICE,
        f"clips of fewer than {SHORTEST} frames at sampling.fps",
        "give longer clips, or raise sampling.fps",
        lambda one: one.sampled < SHORTEST,
    ),
    "cut": (
        ADVICE,
        "files that are cut short or damaged",
        "copy or download them again",
        lambda one: bool(one.cut),
    ),
}


def look_findings(
    clips: Sequence[Clip],
    facts: Mapping[str, ClipFacts],
    unread: Mapping[str, str],
    fps: float,
) -> list[Finding]:
    """Clips that cannot be read, are cut, black, dark, still, too short or too slow."""
    found = []
    if unread:
        name, reason = next(iter(unread.items()))
        got = f"{len(unread)} of {len(facts) + len(unread)}, such as {name} ({reason})"
        mend = "mend the files, or drop their rows"
        what = "clips that cannot be read"
        found.append(Finding(PROBLEM, "unreadable", what, got, mend, tuple(unread)))
    idle = _still_classes(clips, facts)
    is_idle = {clip.name: clip.label in idle for clip in clips}
    for topic, (severity, what, mend, is_so) in _FAULTS.items():
        names = [name for name, one in facts.items() if is_so(one)]
        if topic == "still":
            names = [name for name in names if not is_idle[name]]
        if names:
            got = f"{len(names)} of {len(facts)}: {name_some(names)}"
            found.append(Finding(severity, topic, what, got, mend, tuple(names)))
    slow = [name for name, one in facts.items() if one.is_slow]
    if sentence := slow_clips_warning(slow, len(facts), fps):
        got, _, mend = sentence.partition(": ")
        what = "clips that are too slow for sampling.fps"
        found.append(Finding(ADVICE, "slow", what, got, mend, tuple(slow)))
    return found


def _still_classes(clips: Sequence[Clip], facts: Mapping[str, ClipFacts]) -> set[str]:
    """The classes whose clips hardly move as a rule, such as one of nothing in particular."""
    moved: dict[str, list[float]] = defaultdict(list)
    for clip in clips:
        if clip.name in facts:
            moved[clip.label].append(facts[clip.name].motion)
    return {label for label, each in moved.items() if median(each) < 3 * STILL}


def _lookalikes(
    config: Config, clips: Sequence[Clip], reporter: Reporter
) -> tuple[list[Finding], list[str]]:
    """What cached features say of classes that look alike; a note where there are none."""
    from action_gru.apps.check_features import cached_means, lookalike_findings

    with reporter.doing("reading cached features"):
        try:
            found = cached_means(config, clips)
        except ActionGruError as error:
            return [], [f"whether classes look alike is not known: {error}"]
    if found is None:
        return [], [
            "whether classes look alike is not known yet: 'action-gru extract' first, then check "
            "again"
        ]
    return lookalike_findings(*found), []


def _report(
    target: Path,
    clips: Sequence[Clip],
    findings: Sequence[Finding],
    summary: str,
    facts: Mapping[str, ClipFacts] = MappingProxyType({}),
    unread: Mapping[str, str] = MappingProxyType({}),
    notes: Sequence[str] = (),
) -> AdviceReport:
    rows = class_rows(clips, {name: one.length_s for name, one in facts.items()})
    minutes = sum(row.minutes or 0.0 for row in rows)
    groups = f"{len({c.group for c in clips})} groups" if has_groups(clips) else "no groups given"
    parts = [counted(len(clips), "clip"), f"{len(rows)} classes", groups]
    parts += [summary] if summary else [f"{minutes:.1f} minutes"] if facts else []
    ordered = sorted(findings, key=lambda one: one.severity != PROBLEM)
    return AdviceReport(
        target.name or str(target),
        ", ".join(parts),
        rows,
        ordered,
        notes,
        {name: one.thumbnail for name, one in facts.items()},
        dict(unread)
        | {clip.name: _about(clip, facts[clip.name]) for clip in clips if clip.name in facts},
        _examples(clips, facts),
    )


def _about(clip: Clip, facts: ClipFacts) -> str:
    return ", ".join(
        filter(
            None,
            [
                name_some(clip.labels),
                clip.split,
                f"{facts.width_px}x{facts.height_px}",
                f"{facts.fps:.4g} fps",
                f"{facts.length_s:.1f} s",
                f"brightness {facts.light:.0f}",
            ],
        )
    )


def _examples(clips: Sequence[Clip], facts: Mapping[str, ClipFacts]) -> dict[str, list[str]]:
    """A few clips of each class, of different groups where there are some."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for clip in clips:
        if clip.name in facts:
            for label in clip.labels:
                found[label].setdefault(clip.group, clip.name)
    return {label: list(names.values())[:EXAMPLES] for label, names in sorted(found.items())}
