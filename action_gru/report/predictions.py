"""What single clips are and were taken for."""

from __future__ import annotations

from dataclasses import dataclass

from action_gru.timeline import Prediction

TOP_K = 5


@dataclass(frozen=True)
class ClipPrediction:
    """What one clip is, and what the model took it for."""

    path: str
    group: str
    label: str  # the truth
    prediction: Prediction
    start_s: float | None = None  # None: from the start
    end_s: float | None = None  # None: to the end

    @property
    def correct(self) -> bool:
        return self.prediction.label == self.label

    @property
    def name(self) -> str:
        """The path, and which stretch of it if it is not all."""
        if self.start_s is None and self.end_s is None:
            return self.path
        end = "end" if self.end_s is None else f"{self.end_s:.1f} s"
        return f"{self.path} ({self.start_s or 0:.1f} s to {end})"

    def to_json(self) -> dict[str, object]:
        """Plain values for json.dumps."""
        best = self.prediction.top(TOP_K)
        return {
            "path": self.path,
            "start_s": self.start_s,
            "end_s": self.end_s,
            "group": self.group,
            "true_label": self.label,
            "predicted_label": self.prediction.label,
            "score": self.prediction.score,
            "top": [{"label": label, "score": score} for label, score in best],
        }
