"""The task of a reader that answers visitors: one model, and so much at the same time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from action_gru.apps.studio import background, networks, work_live


def visits_open(
    tell: object, run: str, overrides: Sequence[str], videos: int, cameras: int
) -> dict[str, Any]:
    """Load the model of a run. overrides: of the command line. No picture of a camera is kept.

    Raises BackboneError, CheckpointError.
    """
    networks.overrides[:] = overrides
    background.at_once = videos
    work_live.cameras_kept = 2 * cameras
    work_live.keeps_pictures = False
    return work_live.facts_of(networks.recognizer_of(Path(run)))


TASKS: dict[str, Callable[..., Any]] = {"visits_open": visits_open}
