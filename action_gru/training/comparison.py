"""Two runs side by side: their scores, their settings, and whether the scores may be compared.

Reads reports and configs, no weights, and imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import comb
from pathlib import Path
from typing import Any

from action_gru.config import load_config
from action_gru.core.text import counted
from action_gru.training.library import RunInfo, describe_run, newest_report, score_of
from action_gru.training.run_folder import RunFolder

CHANCE = 0.05  # a difference that chance makes more often than this is said to be within it
# Names and places, which say nothing of what was learnt.
_PLACES = {"run.name", "run.folder", "data.manifest", "data.root", "features.cache_dir"}

ClipKey = tuple[str, str, str, str]  # the content or the path, start, end and label


@dataclass(frozen=True)
class Scored:
    """How right one run was on its test clips; what was not measured is None.

    interval: where the score lies with 95 %. recall: by class. right: by clip, empty where the
    report has no single clips.
    """

    score: float | None
    metric: str
    interval: tuple[float, float] | None
    clips: int | None
    recall: Mapping[str, float | None]
    right: Mapping[ClipKey, bool]


@dataclass(frozen=True)
class RunComparison:
    """settings: key -> its values in the two, where they differ. sentence: what may be concluded.

    comparable: both were scored on the same clips by the same figure.
    """

    runs: tuple[RunInfo, RunInfo]
    scores: tuple[Scored, Scored]
    settings: Mapping[str, tuple[Any, Any]]
    comparable: bool
    sentence: str

    @property
    def per_class(self) -> dict[str, tuple[float | None, float | None]]:
        """The share of each class's clips that each of the two finds."""
        first, second = (scored.recall for scored in self.scores)
        return {name: (first.get(name), second.get(name)) for name in {**first, **second}}

    def document(self) -> dict[str, Any]:
        """The same as plain values for JSON."""
        return {
            "runs": [
                run.document()
                | {"score": one.score, "interval": one.interval, "test_clips": one.clips}
                for run, one in zip(self.runs, self.scores, strict=True)
            ],
            "per_class": {name: list(pair) for name, pair in self.per_class.items()},
            "settings": {key: list(pair) for key, pair in self.settings.items()},
            "comparable": self.comparable,
            "sentence": self.sentence,
        }


def compare_runs(a: Path, b: Path) -> RunComparison:
    """Compare two runs. Raises CheckpointError for what is no run, or is damaged."""
    runs = describe_run(a), describe_run(b)
    tests = _test_clips(runs[0].path), _test_clips(runs[1].path)
    scores = _scored(runs[0].path, tests[0]), _scored(runs[1].path, tests[1])
    comparable, sentence = _judged(runs, scores, (set(tests[0].values()), set(tests[1].values())))
    return RunComparison(runs, scores, _differing(runs[0].path, runs[1].path), comparable, sentence)


def _test_clips(run: Path) -> dict[tuple[str, float | None, float | None], ClipKey]:
    """The test clips as a report names them -> what they are, wherever they lie."""
    folder = RunFolder(run)
    rows = folder.rows() if folder.clips.is_file() else []
    return {
        (row["path"], _seconds(row["start_s"]), _seconds(row["end_s"])): (
            row.get("sha256") or row["path"],
            row["start_s"],
            row["end_s"],
            row["label"] or row.get("timeline", ""),
        )
        for row in rows
        if row["split"] == "test"
    }


def _seconds(text: str) -> float | None:
    return float(text) if text else None


def _scored(run: Path, tests: Mapping[tuple[str, float | None, float | None], ClipKey]) -> Scored:
    report = newest_report(run)
    score, metric = score_of(report)
    report = report or {}
    found = next((report[key] for key in report if key.endswith("_interval")), None)
    right = {
        tests[place]: set(_names(clip, "true")) == set(_names(clip, "predicted"))
        for clip in report.get("predictions", ())
        if (place := (clip["path"], clip["start_s"], clip["end_s"])) in tests
    }
    recall = {row["label"]: row["recall"] for row in report.get("per_class", ())}
    interval = None if found is None else (float(found[0]), float(found[1]))
    return Scored(score, metric, interval, report.get("clips"), recall, right)


def _names(clip: Mapping[str, Any], which: str) -> list[str]:
    """The true or the predicted labels of a report's clip."""
    several = clip.get(f"{which}_labels")
    return [clip[f"{which}_label"]] if several is None else list(several)


def _differing(a: Path, b: Path) -> dict[str, tuple[Any, Any]]:
    trees = [_flat(load_config(run / "config.yaml").to_tree()) for run in (a, b)]
    return {
        key: (trees[0].get(key), trees[1].get(key))
        for key in {**trees[0], **trees[1]}
        if key not in _PLACES and trees[0].get(key) != trees[1].get(key)
    }


def _flat(tree: Mapping[str, Any], start: str = "") -> dict[str, Any]:
    """{'a': {'b': 1}} -> {'a.b': 1}"""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        below = isinstance(value, Mapping)
        flat |= _flat(value, f"{start}{key}.") if below else {f"{start}{key}": value}
    return flat


def _judged(
    runs: tuple[RunInfo, RunInfo],
    scores: tuple[Scored, Scored],
    tests: tuple[set[ClipKey], set[ClipKey]],
) -> tuple[bool, str]:
    """Whether the scores may be compared, and what follows from them."""
    for run, one in zip(runs, scores, strict=True):
        if one.score is None:
            again = f"score it: action-gru evaluate -m {run.path}"
            return False, f"Not comparable: {run.name} was not scored on test clips; {again}"
    if scores[0].metric != scores[1].metric:
        names = f"{scores[0].metric} and {scores[1].metric}"
        return False, f"Not comparable: they are scored by different figures, {names}"
    if tests[0] != tests[1]:
        both = len(tests[0] & tests[1])
        counts = f"{len(tests[0])} and {len(tests[1])}, {both} of them in both"
        return False, (
            f"Not comparable: they were tested on different clips ({counts}); score both on one "
            "set: action-gru evaluate -m NAME --manifest CSV --root DIR"
        )
    return True, f"Tested on the same {counted(len(tests[0]), 'clip')}{_apart(runs, scores)}."


def _apart(runs: tuple[RunInfo, RunInfo], scores: tuple[Scored, Scored]) -> str:
    """On which clips one alone is right, and whether chance would do that too."""
    first, second = (scored.right for scored in scores)
    both = first.keys() & second.keys()
    if not both:
        return _by_intervals(runs, scores)
    alone = [
        sum(one[key] and not other[key] for key in both)
        for one, other in ((first, second), (second, first))
    ]
    if not any(alone):
        return ", and both are right on the same ones: neither is shown to be better"
    text = f": {runs[0].name} alone is right on {alone[0]}, {runs[1].name} alone on {alone[1]}"
    chance = sign_test(*alone)
    if chance > CHANCE:
        return f"{text}, which chance does too (p = {chance:.2f}): neither is shown to be better"
    better = runs[0] if alone[0] > alone[1] else runs[1]
    return f"{text} (p = {chance:.3f}): {better.name} is better"


def _by_intervals(runs: tuple[RunInfo, RunInfo], scores: tuple[Scored, Scored]) -> str:
    """What can be said without the answers to single clips."""
    first, second = (scored.interval for scored in scores)
    if first is None or second is None:
        return ", without an interval: neither is shown to be better"
    if first[0] <= second[1] and second[0] <= first[1]:
        return ": their intervals overlap, neither is shown to be better"
    return f": their intervals do not overlap, {runs[first[0] < second[0]].name} is better"


def sign_test(a: int, b: int) -> float:
    """How often a fair coin divides a + b at least as unevenly (two-sided, exact; McNemar's test).

    3 against 0 -> 2 * 1/8 = 0.25
    """
    throws = a + b
    tail = sum(comb(throws, k) for k in range(max(a, b), throws + 1)) / 2**throws
    return float(min(1.0, 2 * tail))
