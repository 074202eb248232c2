"""Frozen YOLO networks as feature providers, and the pictures they look at.

The only place that sees an ultralytics object. Knows nothing of files, caches or actions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from action_gru.lazy import exported_from

if TYPE_CHECKING:
    from action_gru.backbone.embedding import Backbone
    from action_gru.backbone.spec import FeatureSpec
    from action_gru.backbone.views import MOTION_HISTORY_S, ViewMaker

__all__ = ["MOTION_HISTORY_S", "Backbone", "FeatureSpec", "ViewMaker"]

__getattr__ = exported_from(
    __name__,
    embedding="Backbone",
    spec="FeatureSpec",
    views="MOTION_HISTORY_S ViewMaker",
)
