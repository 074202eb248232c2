"""What a model looks at of a video: which instants, and the pictures that are made of them.

A view is one entry of `VIEWS`; `FrameSampler` takes the frames that are due, of files and live.
Knows no network and no codec.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from action_gru.core import exported_from

if TYPE_CHECKING:
    from action_gru.views.maker import ViewMaker
    from action_gru.views.pictures import MOTION_HISTORY_S, VIEWS, View
    from action_gru.views.sampler import FrameSampler, Sample

__all__ = ["MOTION_HISTORY_S", "VIEWS", "FrameSampler", "Sample", "View", "ViewMaker"]

__getattr__ = exported_from(
    __name__,
    maker="ViewMaker",
    pictures="MOTION_HISTORY_S VIEWS View",
    sampler="FrameSampler Sample",
)
