"""What gives a clip's class away beside the action: its file's form, or a copy in another split.

Knows the facts of a clip as numbers, and no video.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

import numpy as np
from numpy.typing import NDArray

from action_gru.core.text import counted, name_some
from action_gru.dataset.advice import ADVICE, PROBLEM, Finding
from action_gru.dataset.manifest import Clip

SHOTS = 9  # instants of a clip that are looked at
# Bits of 64 in which the mean outlines of two clips may differ (dHash, 9 x 8 grey).
MOST_BITS = 12
# Measured (docs: docs/data.md): copies that are half as large, at another rate, trimmed or
# brighter are above this level of correlation; two moments of one camera are below 0.21.
LEAST_ALIKE, LOOKALIKE_SHARE = 0.5, 0.55
NEIGHBOURS = 5
TOLD, PLAIN = 0.25, 0.8  # lift over guessing: worth saying; it plainly tells the class
CLASS_F1 = 0.9
DEVIATIONS = 3.0  # beyond chance


@dataclass(frozen=True)
class ClipFacts:
    """What a few instants of a clip show.

    fps: the source's own rate. sampled: how many frames a model would see; is_slow: whether they
    come too seldom for its rate. cut: why it is not whole, or ''. light: mean luma, 0 to 255;
    brightest: its 99th percentile. motion: how far luma changes over the clip, 99th percentile of
    the places of a 24 x 24 grid. outline (SHOTS, 64) bool: which of two neighbours is brighter.
    change (P,) float16: how each place differs from its mean over time, of length 1, or zeros.
    thumbnail (H, W, 3) RGB.
    """

    width_px: int
    height_px: int
    fps: float
    length_s: float
    container: str
    sampled: int
    is_slow: bool
    cut: str
    light: float
    brightest: float
    motion: float
    outline: NDArray[np.bool_]
    change: NDArray[np.float16]
    thumbnail: NDArray[np.uint8]


def copies(clips: Sequence[Clip], facts: Mapping[str, ClipFacts]) -> list[tuple[Clip, Clip]]:
    """Pairs of clips of different files that show the same moment, the most alike first.

    A pair has the same outlines, and the same changes over time: what stands still is the same in
    every clip of one camera and is not compared. Where the clips of a set look alike anyway (the
    third nearest of each), a pair must be closer.
    """
    seen = [clip for clip in clips if clip.name in facts and facts[clip.name].change.any()]
    if len(seen) < 2:
        return []
    change = np.stack([facts[clip.name].change for clip in seen]).astype(np.float32)
    outline = np.stack([facts[clip.name].outline.mean(0) for clip in seen]).astype(np.float32)
    alike = change @ change.T
    np.fill_diagonal(alike, -1.0)
    nth = min(4, len(seen) - 1)
    usual = np.partition(alike, -nth, axis=1)[:, -nth].clip(0) if len(seen) > 4 else np.zeros(1)
    least = LEAST_ALIKE + LOOKALIKE_SHARE * np.maximum(usual[:, None], usual[None])
    rows, columns = np.nonzero(np.triu(alike >= least, 1))
    pairs = []
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        first, second = seen[row], seen[column]
        bits = 64 * np.abs(outline[row] - outline[column]).mean()
        if bits <= MOST_BITS and first.path != second.path:
            pairs.append((float(alike[row, column]), first, second))
    pairs.sort(key=lambda pair: -pair[0])
    return [(first, second) for _, first, second in pairs]


def copy_findings(
    pairs: Sequence[tuple[Clip, Clip]], allow_leakage: bool, is_drawn: bool
) -> list[Finding]:
    """Copies across the split, with two labels, and between groups; those of one side counted.

    is_drawn: a seed divides the clips by group, not the manifest.
    """
    across = [pair for pair in pairs if pair[0].split != pair[1].split]
    within = [pair for pair in pairs if pair[0].split == pair[1].split]
    relabelled = [pair for pair in pairs if pair[0].labels != pair[1].labels]
    apart = [pair for pair in within if is_drawn and pair[0].group != pair[1].group]
    found = []
    if across:
        found.append(
            _copy_finding(
                ADVICE if allow_leakage else PROBLEM,
                "copies_across",
                "the same moments on two sides of the split",
                across,
                "keep one of each, or give both the same group: the score would be too good",
            )
        )
    if relabelled:
        what, mend = "the same moments with two labels", "keep the row whose label is right"
        found.append(_copy_finding(PROBLEM, "copies_relabelled", what, relabelled, mend))
    if apart:
        what = "the same moments in two groups"
        mend = "give both the same group, or another seed will divide them"
        found.append(_copy_finding(ADVICE, "copies_apart", what, apart, mend))
    elif within:
        what, mend = "the same moments twice on one side", "keep one: they count double"
        found.append(_copy_finding(ADVICE, "copies_within", what, within, mend))
    return found


def _copy_finding(
    severity: str, topic: str, what: str, pairs: Sequence[tuple[Clip, Clip]], mend: str
) -> Finding:
    first, second = pairs[0]
    sides = [f"{c.name} ({', '.join(filter(None, (c.label, c.split)))})" for c in (first, second)]
    got = f"{counted(len(pairs), 'pair')}, such as {sides[0]} and {sides[1]}"
    return Finding(severity, topic, what, got, mend, tuple(c.name for p in pairs for c in p))


def _traits(facts: Sequence[ClipFacts]) -> dict[str, tuple[bool, NDArray[np.float64]]]:
    """name -> (is it a trait of the file rather than of what it shows, its numbers (N, P))."""
    kinds = sorted({one.container for one in facts})
    size = [[np.log(one.width_px), np.log(one.height_px)] for one in facts]
    return {
        "size": (True, np.array(size)),
        "frame rate": (True, np.array([[np.log(one.fps)] for one in facts])),
        "container": (
            True,
            np.array([[float(one.container == k) for k in kinds] for one in facts]),
        ),
        "length": (False, np.array([[np.log(one.length_s)] for one in facts])),
        "brightness": (False, np.array([[one.light] for one in facts])),
    }


def giveaways(clips: Sequence[Clip], facts: Mapping[str, ClipFacts]) -> list[Finding]:
    """What tells the class without a look at the action: each trait alone, then all together."""
    seen = [clip for clip in clips if clip.name in facts and len(clip.labels) == 1]
    labels = sorted({clip.label for clip in seen})
    if len(labels) < 2:
        return []
    traits = _traits([facts[clip.name] for clip in seen])
    truth = np.array([labels.index(clip.label) for clip in seen])
    groups = np.unique([clip.group for clip in seen], return_inverse=True)[1]
    found: list[Finding] = []
    best = 0.0
    for name, (is_form, values) in traits.items():
        if np.ptp(values, axis=0).max() > 1e-9:
            given = nearest_majority(values, truth, groups, len(labels))
            score = _mean_recall(truth, given, len(labels))
            if finding := _giveaway(f"{name} alone", is_form, truth, given, labels):
                usual = [
                    f"{label} {_IN_WORDS[name]([facts[c.name] for c in seen if c.label == label])}"
                    for label in labels
                ]
                got = f"{finding.got}; in the middle: {name_some(usual, 8)}"
                found.append(replace(finding, got=got))
                best = max(best, score)
    joined = np.concatenate([_standardised(values) for _, values in traits.values()], axis=1)
    given = nearest_majority(joined, truth, groups, len(labels))
    if _mean_recall(truth, given, len(labels)) > best + 0.1:
        named = f"{', '.join(list(traits)[:-1])} and {list(traits)[-1]} together"
        found += filter(None, [_giveaway(named, False, truth, given, labels)])
    return found


def nearest_majority(
    values: NDArray[np.float64],
    truth: NDArray[np.int_],
    groups: NDArray[np.int_],
    classes: int,
) -> NDArray[np.int_]:
    """The class of most of the nearest clips of other groups: (N, P), (N,), (N,) -> (N,).

    All clips as near as the fifth nearest count, nearer ones more, and each by one over the size of
    its class.
    """
    distance = np.linalg.norm(values[:, None] - values[None], axis=-1)
    others = groups[:, None] != groups[None]
    nth = min(NEIGHBOURS, len(values)) - 1
    ranked = np.partition(np.where(others, distance, np.inf), nth, axis=1)[:, nth : nth + 1]
    reach = np.minimum(ranked, distance.max()) + 1e-9
    weight = np.where(others & (distance <= reach), 1 / (distance / reach + 0.5), 0.0)
    known = np.eye(classes)[truth]
    sizes = others.astype(float) @ known
    return np.asarray((weight @ known / sizes.clip(1)).argmax(1))


_IN_WORDS: dict[str, Callable[[Sequence[ClipFacts]], str]] = {
    "size": lambda facts: "x".join(
        f"{median(getattr(one, side) for one in facts):.0f}" for side in ("width_px", "height_px")
    ),
    "frame rate": lambda facts: f"{median(one.fps for one in facts):.4g} fps",
    "container": lambda facts: Counter(one.container for one in facts).most_common(1)[0][0],
    "length": lambda facts: f"{median(one.length_s for one in facts):.1f} s",
    "brightness": lambda facts: f"{median(one.light for one in facts):.0f} of 255",
}


def _standardised(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray((values - values.mean(0)) / values.std(0).clip(1e-9))


def _mean_recall(truth: NDArray[np.int_], given: NDArray[np.int_], classes: int) -> float:
    shares = [(given[truth == number] == number).mean() for number in range(classes)]
    return float(np.mean(shares))


def _giveaway(
    name: str,
    is_form: bool,
    truth: NDArray[np.int_],
    given: NDArray[np.int_],
    labels: Sequence[str],
) -> Finding | None:
    """The finding of a trait that tells all classes better than guessing, or one class surely."""
    chance = 1 / len(labels)
    recall = _mean_recall(truth, given, len(labels))
    lift = (recall - chance) / (1 - chance)
    is_more = recall - chance > DEVIATIONS * (chance * (1 - chance) / len(truth)) ** 0.5
    sure = [
        f"{label} (F1 {score:.2f})"
        for number, label in enumerate(labels)
        if (score := _f1(truth == number, given == number)) >= CLASS_F1
    ]
    if not is_more or not (sure or lift >= TOLD):
        return None
    told = f", and surely {name_some(sure)}" if sure and len(labels) > 2 else ""
    is_plain = is_form and (lift >= PLAIN or bool(sure))
    return Finding(
        PROBLEM if is_plain else ADVICE,
        "giveaway",
        f"{name} tells the class",
        f"right on {recall:.2f} of the clips of new groups, each class counted alike (guessing: "
        f"{chance:.2f}){told}",
        "bring the clips of all classes into one form, or judge the model by how far it is above "
        "this",
    )


def _f1(truth: NDArray[np.bool_], given: NDArray[np.bool_]) -> float:
    """2 tp / (positives + given); 0 with fewer than three clips."""
    if truth.sum() < 3:
        return 0.0
    return float(2 * (truth & given).sum() / (truth.sum() + given.sum()))
