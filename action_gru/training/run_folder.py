"""A run's folder on disk: what a training leaves, and how it is found again.

RUN/config.yaml       the resolved config          RUN/best.safetensors      the scored model
RUN/final.safetensors the model to use, trained on all clips, where training.refit asks for it
RUN/clips.csv         every clip with its split    RUN/last.safetensors      to resume from
RUN/quarantine.csv    clips left out, and why      RUN/baseline.safetensors  the mean-pooled model
RUN/log.jsonl         one line an epoch            RUN/evaluation/NAME/      reports
RUN/training.png      loss and accuracy            RUN/summary.json          what it met, in figures
RUN/tensorboard/      event files, by training.track; RUN/tracking.json: what a tracker was told

Whoever trains in it holds a lock on the folder, which ends with the process.
"""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from action_gru.config import Config, build_config, load_config, to_yaml
from action_gru.core.errors import CheckpointError, ConfigError, RunInterrupted
from action_gru.core.files import PART, hold_folder, remove_leftovers, write_run_file
from action_gru.core.paths import BEST, FINAL
from action_gru.dataset import Clip, LongVideo
from action_gru.training.document import find_run

COLUMNS = (
    "path", "label", "group", "split", "start_s", "end_s", "timeline", "frame_rate", "sha256",
)  # fmt: skip
# Stands in a run until it trains. A folder without it is a user's, or a run with a result: nothing
# in it is ever removed.
BEGUN = ".begun"
PATHS = (
    ("data", "manifest"), ("data", "root"), ("features", "weights"), ("features", "cache_dir"),
)  # fmt: skip
BEFORE_TRAINING = (BEGUN, "config.yaml", "quarantine.csv")  # all that a run has until then


class RunFolder:
    """Paths and small files of one run."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.best = self.path / BEST
        self.final = self.path / FINAL
        self.last = self.path / "last.safetensors"
        self.baseline = self.path / "baseline.safetensors"
        self.log = self.path / "log.jsonl"
        self.figures = self.path / "summary.json"  # there once the training is finished
        self._held: weakref.finalize[[int], RunFolder] | None = None

    def __reduce__(self) -> tuple[type[RunFolder], tuple[Path]]:
        """A copy in another process holds no lock."""
        return RunFolder, (self.path,)

    @classmethod
    def create(cls, config: Config, suffix: str = "") -> RunFolder:
        """Make the first free folder of runs/NAME, runs/NAME-2, ... and keep the config in it.

        A folder whose run was killed before it trained is free too. The new one is held.
        """
        name = config.run.name + suffix
        for number in range(1, 10_000):
            path = config.run.folder / (name if number == 1 else f"{name}-{number}")
            run = cls(path)
            try:
                config.run.folder.mkdir(parents=True, exist_ok=True)
                path.mkdir()
                is_ours = run._hold()
            except FileExistsError:
                if not path.exists():
                    raise ConfigError(
                        f"run.folder: {config.run.folder} is a file; choose another folder"
                    ) from None
                is_ours = run._take_over()
            except OSError as error:
                raise ConfigError(
                    f"run.folder: {path} cannot be made ({error.strerror}); choose another folder"
                ) from error
            if is_ours:
                write_run_file(path / BEGUN, b"", path)
                run.write_config(config)
                return run
        raise ConfigError(f"run.folder: {config.run.folder} holds 9999 runs named {name}; tidy it")

    def _hold(self) -> bool:
        """Lock the folder for this process; False when another one holds it."""
        try:
            number = hold_folder(self.path)
        except BlockingIOError:
            return False
        if number is not None:
            self._held = weakref.finalize(self, os.close, number)
        return True

    def _take_over(self) -> bool:
        """Hold and empty the folder, if it is of a run that was killed before it trained."""
        if not self._is_unused() or not self._hold() or self._held is None:
            return False  # without locks nobody knows whether that run goes on
        if not self._is_unused():  # its process has begun to train and ended, meanwhile
            self.release()
            return False
        for path in self.path.iterdir():
            path.unlink()
        return True

    def _is_unused(self) -> bool:
        names = [path.name for path in self.path.iterdir()] if self.path.is_dir() else ["a file"]
        return BEGUN in names and all(
            name in BEFORE_TRAINING or name.endswith(PART) for name in names
        )

    def hold(self) -> None:
        """Take the run for this process alone, and remove what a killed one left half-written.

        Raises CheckpointError when another process works on it.
        """
        if not self._hold():
            raise CheckpointError(
                f"{self.path}: another process trains this run now; wait for it, or end it first"
            )
        remove_leftovers(self.path)

    def release(self) -> None:
        """Let other processes have the run."""
        if self._held is not None:
            self._held()
            self._held = None

    @classmethod
    def open(cls, path: str | Path) -> RunFolder:
        """A run that was trained before. Raises CheckpointError for any other folder."""
        return cls(find_run(Path(path)))

    @contextmanager
    def naming_interrupts(self) -> Iterator[None]:
        """Makes ctrl-C name this run, once there is something to resume."""
        try:
            yield
        except KeyboardInterrupt as stop:
            if self.last.is_file():
                raise RunInterrupted(self.path) from stop
            raise

    def discard_if_empty(self) -> None:
        """Remove the folder if it holds nothing but the config that this program wrote."""
        if {path.name for path in self.path.iterdir()} == {BEGUN, "config.yaml"}:
            shutil.rmtree(self.path)

    def config(self, overrides: Sequence[str] = ()) -> Config:
        """The config that the run was trained with, with overrides laid over it.

        Its relative paths that are not there from here start where the training was started.
        """
        source = self.path / "config.yaml"
        tree = load_config(source).to_tree()
        folder, parent = Path(tree["run"]["folder"]), self.path.absolute().parent
        # Of /a/runs/NAME with run.folder=runs: /a. None where the run was moved.
        began = next((place for place in parent.parents if place / folder == parent), None)
        for section, key in PATHS if began and not folder.is_absolute() else ():
            text = tree[section][key]
            if text and not Path(text).exists() and (began / text).exists():
                tree[section][key] = str(began / text)
        return build_config(tree, overrides, str(source))

    def write_config(self, config: Config) -> None:
        """Keep the config that the run is trained with from now on."""
        write_run_file(self.path / "config.yaml", to_yaml(config).encode(), self.path)

    def write_clips(
        self, clips: Sequence[Clip], content: Mapping[str, str], long: Sequence[LongVideo] = ()
    ) -> None:
        """Keep which clip stood on which side. content: SHA-256 of the file, by clip name."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        for clip in clips:
            for part in clip.stretches or (clip,):
                bounds = ["" if bound is None else bound for bound in (part.start_s, part.end_s)]
                row = [clip.relative, part.label, clip.group, clip.split, *bounds]
                writer.writerow([*row, "", clip.frame_rate, content.get(clip.name, "")])
        for video in long:
            row = [video.relative, "", video.group, video.split, "", "", video.timeline]
            writer.writerow([*row, video.frame_rate, ""])
        write_run_file(self.path / "clips.csv", text.getvalue().encode(), self.path)
        self.take_name()

    def take_name(self) -> None:
        """Marks the run as one with a result: no other run takes the folder."""
        (self.path / BEGUN).unlink(missing_ok=True)

    @property
    def clips(self) -> Path:
        """The manifest with the splits as this run used them."""
        return self.path / "clips.csv"

    def rows(self) -> list[dict[str, str]]:
        """The rows of clips.csv."""
        try:
            with self.clips.open(encoding="utf-8", newline="") as file:
                return list(csv.DictReader(file))
        except OSError as error:
            raise CheckpointError(
                f"{self.clips}: cannot be read ({error.strerror}); copy the run folder whole"
            ) from error

    def has_split(self, name: str) -> bool:
        return any(row["split"] == name and not row.get("timeline") for row in self.rows())

    def trained_content(self, final: bool = False) -> set[str]:
        """SHA-256 of every file that the best model, or the final one, was trained on."""
        rows = self.rows()
        return {row["sha256"] for row in rows if final or row["split"] == "train"} - {""}

    def trained_labels(self) -> list[str]:
        """The label of each training clip."""
        return [row["label"] for row in self.rows() if row["split"] == "train"]

    def write_log(self, history: Sequence[Mapping[str, float]]) -> None:
        """Rewrite log.jsonl, one epoch a line, so that a resumed run has each epoch once."""
        lines = "".join(json.dumps(row) + "\n" for row in history)
        write_run_file(self.log, lines.encode(), self.path)

    def write_summary(self, figures: Mapping[str, int]) -> None:
        """Keep what the latest start of the run met, in figures."""
        text = json.dumps(figures, indent=1) + "\n"
        write_run_file(self.figures, text.encode(), self.path)

    def summary(self) -> dict[str, int]:
        """What `write_summary` kept; nothing of a run of an older version."""
        is_there = self.figures.is_file()
        found: dict[str, int] = json.loads(self.figures.read_bytes()) if is_there else {}
        return found

    def new_evaluation(self, name: str) -> Path:
        """A free folder name for a report: evaluation/NAME, NAME-2, ..."""
        folder = self.path / "evaluation"
        taken = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
        names = [name, *(f"{name}-{number}" for number in range(2, len(taken) + 3))]
        return folder / next(candidate for candidate in names if candidate not in taken)
