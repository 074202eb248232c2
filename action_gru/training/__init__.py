"""Trains models; each run leaves a folder with checkpoints. Knows no command line.

document    what a checkpoint's metadata must be; read without torch
checkpoint  a trained model in one file: safetensors with JSON metadata, no pickle
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from action_gru.core import exported_from

if TYPE_CHECKING:
    from action_gru.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
    from action_gru.training.data import read_clips
    from action_gru.training.document import (
        METADATA,
        Document,
        find_checkpoint,
        find_run,
        read_document,
    )
    from action_gru.training.processes import leave_processes
    from action_gru.training.run import resume, train
    from action_gru.training.run_folder import RunFolder

__all__ = [
    "METADATA",
    "Checkpoint",
    "Document",
    "RunFolder",
    "find_checkpoint",
    "find_run",
    "leave_processes",
    "load_checkpoint",
    "read_clips",
    "read_document",
    "resume",
    "save_checkpoint",
    "train",
]

__getattr__ = exported_from(
    __name__,
    checkpoint="Checkpoint load_checkpoint save_checkpoint",
    data="read_clips",
    document="METADATA Document find_checkpoint find_run read_document",
    processes="leave_processes",
    run="resume train",
    run_folder="RunFolder",
)
