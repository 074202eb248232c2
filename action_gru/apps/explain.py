"""The explain command: why a model answered as it did, as text, as a picture, as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from action_gru.apps.checks import check_picture_or_folder
from action_gru.core.progress import Reporter
from action_gru.evaluation.explanation import Explanation, describe
from action_gru.evaluation.explanation_plot import plot_explanation
from action_gru.recognizer import ActionRecognizer
from action_gru.report.documents import json_text, replace_file
from action_gru.report.plots import save_figure

PICTURE, VALUES = "explanation.png", "explanation.json"


def explain_video(
    video: Path,
    model: Path,
    overrides: Sequence[str],
    target: Path | None,
    label: str | None,
    frames: int,
    as_json: bool,
    reporter: Reporter,
) -> None:
    """Explain one video, write the target, print the answer.

    target: a .png, or a folder that gets explanation.png and explanation.json.
    """
    if target is not None:
        check_picture_or_folder("--out", target, [video])
    recognizer = ActionRecognizer.load(model, overrides=overrides)
    explanation = recognizer.explain(video, label, frames)
    for warning in explanation.warnings:
        reporter.warn(f"{video}: {warning}")
    if target is not None:
        _write(explanation, target, reporter)
    print(json.dumps(explanation.to_json()) if as_json else f"{video}: {describe(explanation)}")


def _write(explanation: Explanation, target: Path, reporter: Reporter) -> None:
    is_picture = bool(target.suffix) and not target.is_dir()
    picture = target if is_picture else target / PICTURE
    save_figure(plot_explanation(explanation), picture)
    reporter.say(f"wrote {picture}")
    if not is_picture:
        values = target / VALUES
        replace_file(values, json_text(explanation.to_json()).encode())
        reporter.say(f"wrote {values}")
