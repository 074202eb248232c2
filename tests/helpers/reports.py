"""A small evaluation report."""

import numpy as np

from action_gru.report.evaluation import EvaluationReport
from action_gru.report.metrics import compute_metrics
from action_gru.report.mistakes import ClipPrediction
from action_gru.timeline import Prediction


def sure(predicted, num_classes=3, score=0.8):
    """Probabilities (N, C): `score` for the predicted class, the rest shared out."""
    values = np.full((len(predicted), num_classes), (1 - score) / (num_classes - 1))
    values[np.arange(len(predicted)), predicted] = score
    return values


def small_report(**changes):
    labels, predicted = [0, 0, 1, 1], [0, 2, 1, 2]
    classes = ["run|walk", "b", "c"]
    probabilities = sure(predicted)
    probabilities[3] = [0.05, 0.05, 0.9]
    clips = tuple(
        ClipPrediction(
            f"v{i}.mp4", f"g{i}", classes[label], Prediction.from_probabilities(classes, p)
        )
        for i, (label, p) in enumerate(zip(labels, probabilities, strict=True))
    )
    values = {
        "run_name": "first_run",
        "data": "four clips",
        "split": "test",
        "metrics": compute_metrics(labels, probabilities, classes),
        "predictions": clips,
        "baselines": {"majority": 0.5, "mean_pooled": None},
        "baseline_notes": {"mean_pooled": "not trained"},
    }
    return EvaluationReport(**{**values, **changes})
