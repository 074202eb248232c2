"""Frozen YOLO networks as feature providers, and the pictures they look at.

The only place that sees an ultralytics object. Knows nothing of files, caches or actions.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from action_gru.backbone.views import MOTION_HISTORY_S, ViewMaker

if TYPE_CHECKING:
    from action_gru.backbone.embedding import Backbone, FeatureSpec

__all__ = ["MOTION_HISTORY_S", "Backbone", "FeatureSpec", "ViewMaker"]


def __getattr__(name: str) -> Any:
    """Import the network's side when it is first asked for: pictures are made without torch."""
    if name in ("Backbone", "FeatureSpec"):
        return getattr(import_module("action_gru.backbone.embedding"), name)
    raise AttributeError(f"module 'action_gru.backbone' has no attribute {name!r}")
