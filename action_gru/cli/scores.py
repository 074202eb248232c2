"""What of a report is printed: the main figures as JSON, and lines for a person."""

from __future__ import annotations

from typing import Any

from action_gru.core.text import counted, name_or_count

SUMMARY = (
    "clips", "sentence", "classes_without_clips", "better_than_guessing", "top1", "top1_interval",
    "mean_class_accuracy", "baselines",
)  # fmt: skip
MANY_SUMMARY = (
    "clips", "sentence", "classes_without_clips", "better_than_guessing", "mean_average_precision",
    "mean_average_precision_interval", "macro_f1", "exact_match", "hamming", "baselines",
)  # fmt: skip
CV_FIGURES = ("top1_mean", "top1_spread", "mean_pooled_top1_mean", "majority_top1_mean")
MANY_CV = (
    "mean_average_precision_mean", "mean_average_precision_spread",
    "mean_pooled_mean_average_precision_mean", "frequency_mean_average_precision_mean",
)  # fmt: skip


def summary_of(report: Any) -> dict[str, Any]:
    """What --json prints of a report: the main figures of its report.json."""
    if hasattr(report, "summary"):  # of long videos
        return dict(report.summary)
    whole = report.to_json()
    if "labels" in whole:
        return {key: whole[key] for key in MANY_SUMMARY} | {"quarantined": len(report.quarantined)}
    pooled = whole["timelines"]
    return {key: whole[key] for key in SUMMARY} | {
        "quarantined": len(report.quarantined),
        "timelines": pooled and {key: pooled[key] for key in pooled if key != "per_video"},
        "order": report.order.by_verdict if report.order else None,
    }


def score_line(report: Any) -> str:
    """The main figures of a report in lines for a person."""
    if hasattr(report, "score_line"):  # of long videos, or several labels a clip
        return f"{report.score_line}\n{report.sentence}"
    metrics, baselines = report.metrics, report.baselines
    names = metrics.classes_without_clips
    text = (
        f"{counted(metrics.clips, 'clip')}: top-1 {metrics.top1:.3f}, mean class accuracy "
        f"{metrics.mean_class_accuracy:.3f} (mean-pooled {figure(baselines['mean_pooled'])}, "
        f"majority {figure(baselines['majority'])})"
    ) + (f"; no clip of {name_or_count(names, len(metrics.classes))}" if names else "")
    if pooled := report.to_json()["timelines"]:
        f1, edit = pooled["f1"]["50"], pooled["edit"]
        text += f"\n{pooled['videos']} long videos: F1@50 {f1:.3f}, edit {edit:.3f}"
    if report.warnings:
        scores = report.warnings.scores
        text += (
            f"\nwarnings of the end within {scores['horizon']:g}: at the last rows F1 "
            f"{figure(scores['f1'])}; over every row F1 {figure(scores['row_f1'])}, AUROC "
            f"{figure(scores['row_auroc'])}"
        )
    if report.order:
        text += f"\n{report.order.sentence} {report.order.overall_sentence}".rstrip()
    return f"{text}\n{report.sentence}"


def figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
