"""The explain command: why a model answered as it did, as text, as a picture, as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from action_gru.apps.targets import check_target
from action_gru.errors import ConfigError
from action_gru.evaluation import save_picture
from action_gru.evaluation.files import json_text, replace_file
from action_gru.explanation import Explanation, describe, explanation_picture
from action_gru.progress import Reporter
from action_gru.recognizer import ActionRecognizer

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
        _check(target, video)
    recognizer = ActionRecognizer.load(model, overrides=overrides)
    explanation = recognizer.explain(video, label, frames)
    if recognizer.checkpoint.flip:
        reporter.say("the figures are those of the plain copy; classify averages a mirrored one")
    if target is not None:
        _write(explanation, target, reporter)
    if as_json:
        print(json.dumps(explanation.to_json()))
    else:
        print(f"{video}: {describe(explanation)}")


def _check(target: Path, video: Path) -> None:
    """Raise ConfigError where the target cannot be written."""
    if target.suffix.lower() == ".png" and not target.is_dir():
        check_target("--out", target, (".png",), [video])
    elif target.is_file() or (target.suffix and not target.is_dir()):
        raise ConfigError(f"--out {target}: is neither a folder nor a .png; name one of these")
    else:
        try:
            target.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"--out {target}: cannot be made ({error.strerror})") from error
        for name in (PICTURE, VALUES):
            check_target("--out", target / name, (".png", ".json"), [video])


def _write(explanation: Explanation, target: Path, reporter: Reporter) -> None:
    picture = target / PICTURE if target.is_dir() else target
    save_picture(explanation_picture(explanation), picture)
    reporter.say(f"wrote {picture}")
    if target.is_dir():
        text = json_text(explanation.to_json())
        replace_file(target / VALUES, text.encode())
        reporter.say(f"wrote {target / VALUES}")
