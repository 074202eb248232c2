"""What values say of a data set: cached features of video, and measured sequences themselves."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

import numpy as np
from numpy.typing import NDArray

from action_gru.config import Config
from action_gru.core.errors import BackboneError, VideoError
from action_gru.core.text import counted, name_some
from action_gru.dataset import Clip, grouped_folds
from action_gru.dataset.advice import ADVICE, PROBLEM, Finding

ALIKE = 0.2  # share of the clips of two classes that are taken for each other
PAIRS_SHOWN = 5
MANY_MISSING = 0.05
JUMP = 5.0  # usual steps
Floats = NDArray[np.float64]


def cached_means(config: Config, clips: Sequence[Clip]) -> tuple[list[Clip], Floats] | None:
    """The clips whose features are in the cache, and the mean of each (N, D); None for too few.

    Extracts and fetches nothing.
    """
    from action_gru.features import FeatureCache

    cache = FeatureCache(config.features.cache_dir)
    if not cache.exists():
        return None
    from action_gru.features.source import build_backbone, build_extractor  # torch, seconds

    features = config.features.model_copy(update={"download": False, "flip": False})
    config = config.model_copy(update={"features": features})
    try:
        extractor = build_extractor(config, build_backbone(config), cache)
    except BackboneError:  # not fetched yet, so there are no features of it either
        return None
    found, means = [], []
    for clip in clips:
        try:
            job = extractor.plan(clip)
        except (VideoError, OSError):
            continue
        entries = [None if key in job.missing else cache.get(job.keys[key]) for key in job.keys]
        whole = [entry for entry in entries if entry is not None]
        if len(whole) == len(entries):
            found.append(clip)
            means.append(np.concatenate([one.values.mean(0, dtype=np.float64) for one in whole]))
    return (found, np.stack(means)) if 2 * len(found) > len(clips) else None


def lookalike_findings(clips: Sequence[Clip], means: Floats) -> list[Finding]:
    """Pairs of classes that a linear rule on mean features takes for each other on new groups.

    means (N, D): of each clip over time, so the rule does not see the order of the frames. Clips of
    several classes are left aside.
    """
    import torch

    from action_gru.training.linear import fit_ridge

    single = [index for index, clip in enumerate(clips) if len(clip.labels) == 1]
    clips, means = [clips[index] for index in single], means[single]
    labels = sorted({clip.label for clip in clips})
    folds = min(5, len({clip.group for clip in clips}))
    if len(labels) < 2 or folds < 2:
        return []
    fold_of = torch.tensor(grouped_folds(clips, folds, 0))
    truth = torch.tensor([labels.index(clip.label) for clip in clips])
    rows = torch.tensor((means - means.mean(0)) / means.std(0).clip(1e-9))
    targets = torch.nn.functional.one_hot(truth, len(labels)).double()
    given = torch.zeros_like(truth)
    for fold in range(folds):
        held = fold_of == fold
        matrix, offset = fit_ridge(rows[~held], targets[~held], 1e-2)
        given[held] = (rows[held] @ matrix + offset).argmax(1)
    confusion = torch.zeros(len(labels), len(labels), dtype=torch.int64)
    for true, answer in zip(truth.tolist(), given.tolist(), strict=True):
        confusion[true, answer] += 1
    return _alike(confusion.numpy(), labels)


def _alike(confusion: NDArray[np.int64], labels: Sequence[str]) -> list[Finding]:
    support, mixed = confusion.sum(1), confusion + confusion.T
    pairs = [
        (mixed[i, j] / (support[i] + support[j]), i, j)
        for i in range(len(labels))
        for j in range(i)
        if mixed[i, j] >= 2
    ]
    worst = [pair for pair in sorted(pairs, reverse=True) if pair[0] >= ALIKE]
    if not worst:
        return []
    named = [
        f"{labels[j]} and {labels[i]} ({mixed[i, j]} of {support[i] + support[j]} clips)"
        for _, i, j in worst[:PAIRS_SHOWN]
    ]
    return [
        Finding(
            ADVICE,
            "alike",
            "classes that look alike in the mean of their features",
            f"taken for each other on new groups: {name_some(named)}",
            "only the order of their frames may differ, which a GRU reads and this rule does not; "
            "else add a view that shows the difference, or join them",
        )
    ]


def series_findings(config: Config, clips: Sequence[Clip]) -> tuple[list[Finding], str]:
    """What measured sequences show, and how many rows and channels they have."""
    from action_gru.features.source import data_source
    from action_gru.series.source import SeriesSource

    source = data_source(config)
    assert isinstance(source, SeriesSource)
    measured = source.measure(clips)
    rows = {name: item.rows for name, item in measured.items.items()}
    summary = (
        f"{counted(sum(len(one.times) for one in rows.values()), 'row')} of "
        f"{counted(len(measured.channels), 'channel')}"
    )
    found = []
    if bad := measured.quarantined:
        name, reason = next(iter(bad.items()))
        got, mend = f"{len(bad)}, such as {name} ({reason})", "mend or drop them"
        what = "sequences that cannot be read"
        found.append(Finding(PROBLEM, "unreadable", what, got, mend, tuple(bad)))
    if not rows:
        return found, summary
    everything = np.concatenate([one.values for one in rows.values()])
    found += _value_findings(everything, measured.channels)
    found += _time_findings({name: one.times for name, one in rows.items()}, measured.unit)
    readable = [clip for clip in clips if clip.name in rows]
    if len(readable) > 1:
        means = np.stack([_summary(rows[clip.name].values) for clip in readable])
        found += lookalike_findings(readable, means)
    return found, summary


def _value_findings(values: NDArray[np.float32], channels: Sequence[str]) -> list[Finding]:
    """values (N, D): all rows of all sequences."""
    found = []
    gaps = np.isnan(values).mean(0)
    if missing := [
        f"{c} ({g:.0%})" for c, g in zip(channels, gaps, strict=True) if g > MANY_MISSING
    ]:
        what = f"channels with more than {MANY_MISSING:.0%} missing values"
        mend = "leave them out with series.channels if what is missing is most of them"
        found.append(Finding(ADVICE, "missing", what, name_some(missing), mend))
    with np.errstate(invalid="ignore"):
        low, high = np.nanmin(values, 0, initial=np.inf), np.nanmax(values, 0, initial=-np.inf)
    if still := [c for c, a, b in zip(channels, low, high, strict=True) if a >= b]:
        mend = "leave them out with series.channels: they say nothing"
        found.append(Finding(ADVICE, "constant", "constant channels", name_some(still), mend))
    return found


def _time_findings(times: dict[str, Floats], unit: str) -> list[Finding]:
    """Sequences of one row, and those whose times jump."""
    found = []
    if short := [name for name, one in times.items() if len(one) < 2]:
        mend = "give longer sequences: one row has no order"
        found.append(
            Finding(ADVICE, "short", "sequences of one row", name_some(short), mend, tuple(short))
        )
    steps = {name: np.diff(one) for name, one in times.items() if len(one) > 1}
    if not steps:
        return found
    usual = median(float(np.median(one)) for one in steps.values())
    jumps = {name: int((one > JUMP * usual).sum()) for name, one in steps.items()}
    if jumping := [name for name, count in jumps.items() if count]:
        what = f"sequences with gaps in time of more than {JUMP:g} usual steps ({usual:g} {unit})"
        got = f"{counted(sum(jumps.values()), 'gap')} in {len(jumping)}: {name_some(jumping)}"
        mend = "cut them there, or fill the gaps: a cell takes neighbouring rows for one step apart"
        found.append(Finding(ADVICE, "jumps", what, got, mend, tuple(jumping)))
    return found


def _summary(values: NDArray[np.float32]) -> Floats:
    """Mean and spread of each channel (T, D) -> (2 D,), 0 where all are missing."""
    known = np.ma.masked_invalid(values.astype(np.float64))
    return np.concatenate([known.mean(0).filled(0.0), known.std(0).filled(0.0)])
