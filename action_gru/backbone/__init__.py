"""Frozen YOLO networks as feature providers, and the pictures they look at.

The only place that sees an ultralytics object. Knows nothing of files, caches or actions.
"""

from action_gru.backbone.embedding import Backbone, FeatureSpec
from action_gru.backbone.views import MOTION_HISTORY_S, ViewMaker

__all__ = ["MOTION_HISTORY_S", "Backbone", "FeatureSpec", "ViewMaker"]
