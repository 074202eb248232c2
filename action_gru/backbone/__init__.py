"""Frozen networks as feature providers.

The only place that sees an object of ultralytics, timm or torchvision. Knows nothing of caches or
actions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from action_gru.core import exported_from

if TYPE_CHECKING:
    from action_gru.backbone.embedding import Backbone
    from action_gru.backbone.spec import FRAME_VIEWS, FeatureSpec

__all__ = ["FRAME_VIEWS", "Backbone", "FeatureSpec"]

__getattr__ = exported_from(__name__, embedding="Backbone", spec="FRAME_VIEWS FeatureSpec")
