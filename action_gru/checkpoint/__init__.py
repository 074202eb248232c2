"""A trained model in one file: safetensors with JSON metadata, no pickle. Knows no training.

document.py  what its metadata must be; read without torch
file.py      what a checkpoint holds; written and read
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from action_gru.lazy import exported_from

if TYPE_CHECKING:
    from action_gru.checkpoint.document import (
        METADATA,
        Document,
        find_checkpoint,
        find_run,
        read_document,
    )
    from action_gru.checkpoint.file import (
        Checkpoint,
        load_checkpoint,
        save_checkpoint,
        write_run_file,
    )

__all__ = [
    "METADATA",
    "Checkpoint",
    "Document",
    "find_checkpoint",
    "find_run",
    "load_checkpoint",
    "read_document",
    "save_checkpoint",
    "write_run_file",
]

__getattr__ = exported_from(
    __name__,
    document="METADATA Document find_checkpoint find_run read_document",
    file="Checkpoint load_checkpoint save_checkpoint write_run_file",
)
