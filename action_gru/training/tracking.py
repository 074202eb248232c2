"""What a training tells TensorBoard, MLflow or Weights & Biases, through Accelerate's trackers.

A tracker that fails stops no training: it is said once, and what is missing is sent at the end.
RUN/log.jsonl has every epoch in any case. RUN/tracking.json keeps how far each tracker was told,
so that a resumed run goes on where it was and no epoch stands twice.
"""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from action_gru.config import Config
from action_gru.core.errors import ActionGruError, ConfigError, MissingExtraError
from action_gru.core.files import write_run_file
from action_gru.core.progress import Reporter

if TYPE_CHECKING:
    from action_gru.training.run_folder import RunFolder

PROJECT = "action-gru"  # of wandb; MLflow's experiment
EXTRAS = ("mlflow", "wandb")
SHOWN = ("loss", "val_loss", "val_accuracy", "test/top1")  # beside the settings, in TensorBoard
# What the user has set stays. A server that is down is asked for seconds, not for the minutes that
# these packages would wait; their makers are told nothing, and our progress bars stay as they are.
DEFAULTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_LOGGING_LEVEL": "WARNING",  # it tells of each table of a new store
    "WANDB_CONSOLE": "off",
    "WANDB_DISABLE_CODE": "true",
    "WANDB_ERROR_REPORTING": "false",
    "WANDB_FINISH_TIMEOUT": "60",
    "WANDB_INIT_TIMEOUT": "30",
    "WANDB_SILENT": "true",
}
Work = Callable[[Any], None]  # on a tracker of this table


def check_tracker(config: Config) -> None:
    """Raise MissingExtraError or ConfigError for a tracker that this machine cannot use."""
    kind = config.training.track
    if kind in EXTRAS and importlib.util.find_spec(kind) is None:
        raise MissingExtraError(kind, kind, f"training.track={kind}")
    if kind == "wandb" and os.environ.get("WANDB_MODE", "online") == "online":
        _set_defaults()
        import wandb

        try:
            wandb.login(timeout=60)  # a person is asked for the key now, not after the extraction
        except Exception as error:
            raise ConfigError(
                f"training.track=wandb: no account to send to ({_brief(error)}); run 'wandb login' "
                "or set WANDB_API_KEY, or WANDB_MODE=offline to keep everything on this machine"
            ) from error


class _TensorBoard:
    """Each kind: what Accelerate's tracker of that kind is started with, and what it lacks."""

    def __init__(self, name: str, folder: Path, known: Mapping[str, Any]) -> None:
        from accelerate.tracking import TensorBoardTracker

        # Epochs that were written and not noted, because the process was killed, are hidden.
        purge = known.get("epochs", 0) + 1
        self.tracker = TensorBoardTracker("tensorboard", folder, purge_step=purge)
        self.tracker.start()
        self.id = None

    def settings(self, values: Mapping[str, Any]) -> None:
        # Accelerate's store_init_configuration writes them as a further run, named by the time.
        from torch.utils.tensorboard.summary import hparams

        for summary in hparams(values, dict.fromkeys(SHOWN, 0.0)):  # type: ignore[no-untyped-call]
            self.tracker.tracker.file_writer.add_summary(summary)

    def files(self, paths: Sequence[Path]) -> None:
        """It has no files; a text is shown."""
        texts = {path.stem: path.read_text("utf-8") for path in paths if path.suffix == ".md"}
        self.tracker.log(texts, step=0)


class _MLflow:
    def __init__(self, name: str, folder: Path, known: Mapping[str, Any]) -> None:
        from accelerate.tracking import MLflowTracker

        # Nested where the caller has a run of its own open; without one it makes no difference.
        self.tracker = MLflowTracker(
            PROJECT, run_id=known.get("id"), run_name=name, nested_run=True
        )
        self.tracker.start()
        self.id = self.tracker.tracker.info.run_id
        self._is_new = not known

    def settings(self, values: Mapping[str, Any]) -> None:
        if self._is_new:  # it refuses another value than the first; config.yaml has the last ones
            self.tracker.store_init_configuration(values)

    def files(self, paths: Sequence[Path]) -> None:
        for path in paths:
            self.tracker.log_artifact(str(path))


class _WandB:
    def __init__(self, name: str, folder: Path, known: Mapping[str, Any]) -> None:
        from accelerate.tracking import WandBTracker

        self.tracker = WandBTracker(
            os.environ.get("WANDB_PROJECT", PROJECT),
            name=name,
            dir=os.environ.get("WANDB_DIR", str(folder)),
            id=known.get("id"),
            resume="allow",
        )
        self.tracker.start()
        self.id = self.tracker.tracker.id

    def settings(self, values: Mapping[str, Any]) -> None:
        self.tracker.store_init_configuration(values)

    def files(self, paths: Sequence[Path]) -> None:
        for path in paths:
            self.tracker.tracker.save(str(path), base_path=str(path.parent), policy="now")


KINDS: dict[str, Any] = {"tensorboard": _TensorBoard, "mlflow": _MLflow, "wandb": _WandB}


class Tracking:
    """The tracker of one training, opened when it is first told something.

    folder: of the run; TensorBoard and wandb write into it. name: of the run in MLflow and wandb.
    """

    def __init__(
        self, config: Config, folder: Path, reporter: Reporter, name: str | None = None
    ) -> None:
        self.kind, self.name, self.folder = config.training.track, name or folder.name, folder
        self._settings = _flat(config.to_tree())
        self._reporter = reporter
        self._notes = folder / "tracking.json"
        self._known: dict[str, Any] = _read(self._notes).get(self.kind, {})
        self._open: Any = None
        self._is_down = self.kind == "none"

    def epochs(self, history: Sequence[Mapping[str, float]]) -> None:
        """Send the epochs of a training that were not sent before. history: all of them."""
        if len(history) > self._known.get("epochs", 0):
            self._tell(lambda kind: self._send(kind, history))

    def result(self, figures: Mapping[str, Any], files: Iterable[Path], step: int = 0) -> None:
        """Send what a training came to. figures: those that are numbers count."""
        scores = {
            f"test/{name}": float(value)
            for name, value in figures.items()
            if isinstance(value, int | float) and not isinstance(value, bool)
        }
        there = [path for path in files if path.is_file()]
        if scores:
            self._tell(lambda kind: kind.tracker.log(scores, step=step))
        self._tell(lambda kind: kind.files(there))

    def close(self) -> None:
        """Finish what is open; the tracker has everything then, or a warning was given."""
        if self._open is not None:
            self._tell(lambda kind: kind.tracker.finish())
            self._open = None

    def _tell(self, work: Work) -> None:
        if self._is_down:
            return
        try:
            if self._open is None:
                self._open = self._start()
            work(self._open)
        except ActionGruError:  # of our own folder
            raise
        except Exception as error:  # whatever the tracker's package or its server comes up with
            self._is_down = True
            self._reporter.warn(
                f"training.track={self.kind}: it does not take the figures ({_brief(error)}). The "
                f"training goes on; {self.folder / 'log.jsonl'} has each epoch, and what is "
                "missing is sent once more when the training has ended, or when it is resumed"
            )

    def _start(self) -> Any:
        _set_defaults()
        kind = KINDS[self.kind](self.name, self.folder, self._known)
        kind.settings(self._settings)
        self._known = {"epochs": 0, "id": kind.id} | self._known
        self._note()
        return kind

    def _send(self, kind: Any, history: Sequence[Mapping[str, float]]) -> None:
        for row in history[self._known["epochs"] :]:
            figures = {name: value for name, value in row.items() if name != "epoch"}
            kind.tracker.log(figures, step=int(row["epoch"]))
            self._known["epochs"] = int(row["epoch"])
        self._note()

    def _note(self) -> None:
        notes = _read(self._notes) | {self.kind: self._known}
        write_run_file(self._notes, (json.dumps(notes) + "\n").encode(), self.folder)


def track_result(
    run: RunFolder, figures: Mapping[str, Any], files: Iterable[Path], reporter: Reporter
) -> None:
    """Send the scores and the files of a trained run, and epochs that its tracker has missed."""
    lines = run.log.read_text("utf-8").splitlines() if run.log.is_file() else []
    history = [json.loads(line) for line in lines]
    tracking = Tracking(run.config(), run.path, reporter)
    kept = [run.path / "config.yaml", run.path / "training.png", run.best, run.final]
    tracking.epochs(history)
    tracking.result(figures, [*files, *kept], len(history))
    tracking.close()


def track_study(config: Config, folder: Path, reporter: Reporter) -> None:
    """Send the figures of the report in a folder that is no training's, such as `cv`'s.

    TensorBoard, which shows curves, is told nothing.
    """
    if config.training.track in EXTRAS:
        tracking = Tracking(config, folder, reporter)
        tracking.result(_read(folder / "report.json"), [folder / "report.md"])
        tracking.close()


def _set_defaults() -> None:
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)


def _read(path: Path) -> dict[str, Any]:
    """What was noted; nothing where the notes are gone or cannot be read."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _brief(error: Exception) -> str:
    """The first line of an error, short enough for a message."""
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:160]


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, bool | int | float | str]:
    """{"training": {"epochs": 3}} -> {"training.epochs": 3}; what is no scalar, as JSON."""
    found: dict[str, bool | int | float | str] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{name}.")
        else:
            is_scalar = isinstance(value, bool | int | float | str)
            found[prefix + name] = value if is_scalar else json.dumps(value)
    return found
