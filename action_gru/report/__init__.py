"""Scores predictions and writes the report that a person can judge them by."""

from action_gru.report.cross_validation import (
    CrossValidationReport,
    FoldResult,
    write_cv_report,
)
from action_gru.report.metrics import (
    CalibrationBin,
    ClassMetrics,
    Metrics,
    compute_metrics,
    majority_baseline,
)
from action_gru.report.pictures import (
    confusion_picture,
    per_class_picture,
    reliability_picture,
    save_picture,
    training_picture,
)
from action_gru.report.predictions import ClipPrediction
from action_gru.report.report import EvaluationReport, write_report
from action_gru.report.segments import (
    SegmentCounts,
    SegmentScores,
    pool_segment_scores,
    segment_scores,
)
from action_gru.report.timeline_picture import timeline_picture
from action_gru.report.uncertainty import (
    FoldSummary,
    fold_summary,
    group_bootstrap_interval,
)

__all__ = [
    "CalibrationBin",
    "ClassMetrics",
    "ClipPrediction",
    "CrossValidationReport",
    "EvaluationReport",
    "FoldResult",
    "FoldSummary",
    "Metrics",
    "SegmentCounts",
    "SegmentScores",
    "compute_metrics",
    "confusion_picture",
    "fold_summary",
    "group_bootstrap_interval",
    "majority_baseline",
    "per_class_picture",
    "pool_segment_scores",
    "reliability_picture",
    "save_picture",
    "segment_scores",
    "timeline_picture",
    "training_picture",
    "write_cv_report",
    "write_report",
]
