"""What commands that read clips are given: a source, and the options that people need most."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from action_gru.cli.common import Overrides, names_and_overrides
from action_gru.core.errors import ConfigError

if TYPE_CHECKING:
    from action_gru.config import Config
    from action_gru.core.progress import Reporter
    from action_gru.prepare.source import Source


@dataclass(frozen=True)
class Clips:
    """Which clips, and how they are looked at."""

    source: Annotated[
        Path,
        Argument(
            metavar="SOURCE",
            help="A folder of class folders (clips/CLASS/*.mp4), a CSV, a config, or "
            "annotation files.",
        ),
    ]
    overrides: Overrides = None
    videos: Annotated[
        Path | None, Option(metavar="DIR", help="Of annotation files: the folder of the videos.")
    ] = None
    views: Annotated[
        str | None, Option(metavar="A,B", help="What is looked at, such as motion,pose.")
    ] = None
    weights: Annotated[
        str | None, Option(metavar="FILE|NAME", help="The network of the features.")
    ] = None
    fps: Annotated[float | None, Option(help="Frames looked at per second.")] = None
    many: Annotated[
        bool, Option("--many", help="A clip may show several classes: 'walk; read'.")
    ] = False

    def options(self) -> dict[str, tuple[str, Any]]:
        """The option as typed -> its key of the config and its value, None where it is left out."""
        views = None if self.views is None else f"[{self.views}]"
        return {
            f"--views {self.views}": ("features.views", views),
            f"--weights {self.weights}": ("features.weights", self.weights),
            f"--fps {self.fps}": ("sampling.fps", self.fps),
            "--many": ("data.labels", "many" if self.many else None),
        }

    def find(self, *changes: str) -> Source:
        """The config and what is told of it; nothing is written. changes: further overrides."""
        from action_gru.prepare.source import read_source

        names, overrides = names_and_overrides(self.overrides or [])
        given = {
            f"override '{key}={value}'": (f"{key}={value}", typed)
            for typed, (key, value) in self.options().items()
            if value is not None
        }
        overrides += [override for override, _ in given.values()]
        try:
            more = [Path(name) for name in names]
            return read_source(self.source, [*overrides, *changes], more, self.videos)
        except ConfigError as error:
            text = str(error)
            for blamed, (_, typed) in given.items():
                text = text.replace(blamed, typed)
            raise ConfigError(text) from error

    def read(self, reporter: Reporter) -> Config:
        """The config, checked; its manifest is written and its clips are there."""
        from action_gru.apps.checks import check_work

        found = self.find()
        for note in found.notes:
            reporter.info(note)
        return check_work(found.written())


@dataclass(frozen=True)
class Training(Clips):
    """The same, and how a model is trained on it."""

    name: Annotated[str | None, Option(help="Of the run; by default the folder's.")] = None
    epochs: Annotated[int | None, Option(help="Passes over the clips.")] = None
    seed: Annotated[int | None, Option(help="Of what is drawn by chance.")] = None

    def options(self) -> dict[str, tuple[str, Any]]:
        return {
            **super().options(),
            f"--name {self.name}": ("run.name", self.name),
            f"--epochs {self.epochs}": ("training.epochs", self.epochs),
            f"--seed {self.seed}": ("training.seed", self.seed),
        }


def with_words(command: Callable[..., None]) -> Callable[..., None]:
    """The command for typer: its parameter that is a dataclass becomes one for each field of it."""
    signature = inspect.signature(command, eval_str=True)
    parameters = list(signature.parameters.values())
    words = next(one for one in parameters if is_dataclass(one.annotation))
    kind: Any = words.annotation
    own = [
        one.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for one in inspect.signature(kind, eval_str=True).parameters.values()
    ]
    rest = [
        one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in parameters if one is not words
    ]

    @functools.wraps(command)
    def run(**values: Any) -> None:
        given = kind(**{one.name: values.pop(one.name) for one in own if one.name in values})
        command(**{words.name: given}, **values)

    run.__signature__ = signature.replace(parameters=[*own, *rest])  # type: ignore[attr-defined]
    return run
