"""Tables and arrays to clips and measured values, as the config's sections say.

A clip is one id of a table, one case of a `.ts` file, one array, or a window of one of these; its
bounds are in the unit of the time column (rows where there is none). Knows nothing of video.
"""

from action_gru.measured.clips import MeasuredClip, window_bounds
from action_gru.measured.measurements import (
    Measurements,
    classes_of,
    measure,
    prepare_clip,
    read_measured_clips,
    row_preparer,
)
from action_gru.measured.tables import LATER, SOON, long_columns

__all__ = [
    "LATER",
    "SOON",
    "MeasuredClip",
    "Measurements",
    "classes_of",
    "long_columns",
    "measure",
    "prepare_clip",
    "read_measured_clips",
    "row_preparer",
    "window_bounds",
]
