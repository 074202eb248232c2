"""A trained model in one file: safetensors with JSON metadata, no pickle. Knows no training.

file.py      what a checkpoint holds; written and read
document.py  what its metadata and tensors must be before anything is made of them
"""

from action_gru.checkpoint.file import (
    METADATA,
    Checkpoint,
    load_checkpoint,
    save_checkpoint,
    write_run_file,
)

__all__ = ["METADATA", "Checkpoint", "load_checkpoint", "save_checkpoint", "write_run_file"]
