"""The explain command: why a model answered as it did, as text, as a picture, as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from action_gru.apps.targets import check_picture_or_folder, check_target, folder_for
from action_gru.evaluation.explanation import describe
from action_gru.evaluation.explanation_plot import plot_explanation
from action_gru.progress import Reporter
from action_gru.recognizer import ActionRecognizer
from action_gru.report.files import json_text, replace_file
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
    with _place(target, video) as picture:
        recognizer = ActionRecognizer.load(model, overrides=overrides)
        explanation = recognizer.explain(video, label, frames)
        for warning in explanation.warnings:
            reporter.warn(f"{video}: {warning}")
        if picture is not None:
            save_figure(plot_explanation(explanation), picture)
            reporter.say(f"wrote {picture}")
            if picture != target:
                values = picture.with_name(VALUES)
                replace_file(values, json_text(explanation.to_json()).encode())
                reporter.say(f"wrote {values}")
    print(json.dumps(explanation.to_json()) if as_json else f"{video}: {describe(explanation)}")


@contextmanager
def _place(target: Path | None, video: Path) -> Iterator[Path | None]:
    """The picture's path, checked before the work: the target, or in the folder that it names."""
    if target is None:
        yield None
        return
    check_picture_or_folder("--out", target, [video])
    if target.suffix and not target.is_dir():
        yield target
    else:
        with folder_for("--out", target) as folder:
            for name in (PICTURE, VALUES):
                check_target("--out", folder / name, (".png", ".json"), [video])
            yield folder / PICTURE
