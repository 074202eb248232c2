"""The settings by which a project's clips are read and trained on. Only workers import it.

They work in the project's folder, so that a run's paths are those of a command line there.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from action_gru.backbone.weight_files import BUILTIN, find_weights
from action_gru.config import Config, build_config
from action_gru.config.inputs import FeaturesSection
from action_gru.core.errors import BackboneError, ConfigError
from action_gru.core.files import write_or_raise
from action_gru.prepare.project import NETWORK, read_project
from action_gru.prepare.project_file import FILE, read_tree
from action_gru.prepare.source import Source, read_source

HERE = Path()
ANSWER_S = 10.0  # after which a server that says nothing is given up
USUAL = str(FeaturesSection.model_fields["weights"].default)


def project_source(overrides: Sequence[str] = ()) -> Source:
    """The project's clips, and their config. Raises DataError where there are none."""
    return read_source(HERE, overrides, as_recorded=True)


def reading_config() -> Config:
    """How a clip is read, also where there is none yet."""
    project = read_project(HERE)
    features = {"weights": project.weights or USUAL, "cache_dir": "cache/features"}
    return build_config({"features": features})


def choose_network(tell: Callable[[str], None]) -> str:
    """Choose the network of a new project for good: the usual one if it is here or can be fetched,
    else the one that comes along. Returns what to know of it, '' as a rule.
    """
    project = read_project(HERE)
    chosen = project.weights
    if chosen is None:
        chosen = USUAL if _can_have(USUAL, tell) else BUILTIN
        place = project.hidden / NETWORK
        write_or_raise(place, chosen.encode(), ConfigError)
    if chosen != BUILTIN or read_tree(HERE / FILE).get("weights"):
        return ""
    return (
        f"with the small network: {USUAL} is not here and could not be fetched; it works, "
        "but tells fewer actions apart"
    )


def _can_have(weights: str, tell: Callable[[str], None]) -> bool:
    tell(f"fetching {weights}, once")
    try:
        with _impatient():
            find_weights(weights, download=True)
    except BackboneError:
        return False
    return True


@contextmanager
def _impatient() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(ANSWER_S)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
