"""The models of a server, by name. Knows no request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from action_gru.apps.serve.answers import ModelFacts
from action_gru.apps.serving import MissingThingError
from action_gru.backbone import Backbone
from action_gru.config import build_config
from action_gru.core.errors import ConfigError
from action_gru.core.paths import BEST, FINAL
from action_gru.core.text import name_some
from action_gru.features.source import build_backbone
from action_gru.recognizer import ActionRecognizer
from action_gru.streaming.build import window_of
from action_gru.training import load_checkpoint


@dataclass(frozen=True)
class Served:
    """A model under its name."""

    name: str
    recognizer: ActionRecognizer

    def facts(self) -> ModelFacts:
        recognizer = self.recognizer
        streams = recognizer.model.can_stream
        window_s = window_of(recognizer.checkpoint, recognizer.config) if streams else None
        return ModelFacts(
            name=self.name,
            classes=list(recognizer.classes),
            several=recognizer.model.many,
            threshold=recognizer.threshold,
            fps=recognizer.config.sampling.fps,
            streams=streams,
            window_s=window_s,
        )


class Models(Mapping[str, Served]):
    """In the order in which they were named; the first is used where a request names none."""

    def __init__(self, served: Sequence[Served]) -> None:
        self._served = {one.name: one for one in served}

    def __getitem__(self, name: str) -> Served:
        return self._served[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._served)

    def __len__(self) -> int:
        return len(self._served)

    def find(self, name: str | None) -> Served:
        """Raises MissingThingError for a name that is none of them."""
        if name is None:
            return next(iter(self._served.values()))
        if name not in self._served:
            raise MissingThingError(
                f"no model '{name[:100]}' is served here; there are: {name_some(tuple(self))}"
            )
        return self._served[name]


def name_of(path: Path) -> str:
    """What a model is called: as its run or its file."""
    whole = path.resolve()
    return whole.parent.name if whole.name in (BEST, FINAL) else whole.name.split(".")[0]


def check_names(paths: Sequence[Path]) -> None:
    """Raise ConfigError where two models would have one name."""
    names = [name_of(path) for path in paths]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ConfigError(
            f"two models would be called '{twice[0]}'; rename one: action-gru runs rename"
        )


def load_models(paths: Sequence[Path], overrides: Sequence[str]) -> Models:
    """Those whose features are made in the same way share the network for it.

    Raises CheckpointError and BackboneError as `ActionRecognizer.load` does.
    """
    backbones: dict[str, Backbone] = {}
    served = []
    for path in paths:
        checkpoint = load_checkpoint(path)
        config = build_config(checkpoint.config, ["features.device=auto", *overrides])
        made = config.model_dump_json(include={"features", "detection", "pose"})
        if made not in backbones:
            backbones[made] = build_backbone(config)
        recognizer = ActionRecognizer(checkpoint, config, backbone=backbones[made])
        _warm_up(recognizer)
        served.append(Served(name_of(path), recognizer))
    return Models(served)


def _warm_up(recognizer: ActionRecognizer) -> None:
    """The first calls of a network are slow: not with a request waiting."""
    pictures = np.zeros((2, 64, 64, 3), np.uint8)
    recognizer.classify(pictures, fps=recognizer.config.sampling.fps)
    if recognizer.model.can_stream:
        recognizer.stream().push(pictures[0], 0.0)
