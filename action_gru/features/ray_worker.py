"""What runs on a node: one backbone, and the local engine over the clips it is given."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from action_gru.config import build_config
from action_gru.core.errors import ActionGruError, ClusterError
from action_gru.core.machine import use_one_arena
from action_gru.dataset import Clip
from action_gru.features.extractor import Extractor
from action_gru.features.report import ExtractionReport
from action_gru.features.source import build_backbone, build_extractor
from action_gru.features.store import FeatureCache

MakeExtractor = Callable[[dict[str, Any]], Extractor]


@dataclass(frozen=True)
class Outcome:
    """What came of a portion, and how long it took."""

    report: ExtractionReport
    seconds: float


def make_extractor(tree: dict[str, Any]) -> Extractor:
    """The extractor of a config's plain tree."""
    config = build_config(tree)
    return build_extractor(config, build_backbone(config), FeatureCache(config.features.cache_dir))


class Worker:
    """Holds one extractor. folder: where the run was started, so that a relative path to weights
    means the same here.

    Errors of ours come back as ClusterError with the node's name: one kind, which can travel.
    """

    def __init__(self, tree: dict[str, Any], folder: str, make: MakeExtractor) -> None:
        self._tree, self._folder, self._make = tree, folder, make
        self._extractor: Extractor | None = None

    def start(self) -> str:
        """Load the backbone; the node's name."""
        use_one_arena()
        if os.path.isdir(self._folder):  # noqa: PTH112
            os.chdir(self._folder)
        try:
            self._extractor = self._make(self._tree)
        except ActionGruError as error:
            raise self._abroad(error) from error
        return platform.node()

    def extract(self, clips: Sequence[Clip]) -> Outcome:
        """Bring the clips into the cache."""
        assert self._extractor is not None
        begun = time.perf_counter()
        self._extractor.cache.damaged.clear()  # each is told once
        try:
            report = self._extractor.extract(clips)
        except ActionGruError as error:
            raise self._abroad(error) from error
        return Outcome(report, time.perf_counter() - begun)

    def _abroad(self, error: ActionGruError) -> ClusterError:
        return ClusterError(f"{error} (a worker on {platform.node()}, in {os.getcwd()})")  # noqa: PTH109
