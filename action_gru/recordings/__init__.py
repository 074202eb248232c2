"""Measured sequences from files: long tables, .ts, arrays. Knows nothing of clips or configs."""

from action_gru.recordings.arrays import read_array
from action_gru.recordings.long_table import LongColumns, read_long_table
from action_gru.recordings.preparing import RowPreparer, prepare
from action_gru.recordings.recording import Recording, Recordings, merge
from action_gru.recordings.rows import RowReader
from action_gru.recordings.ts import read_ts

__all__ = [
    "LongColumns",
    "Recording",
    "Recordings",
    "RowPreparer",
    "RowReader",
    "merge",
    "prepare",
    "read_array",
    "read_long_table",
    "read_ts",
]
