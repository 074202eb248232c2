"""Clips, splits and feature sequences. Knows nothing of video or of models."""

from action_gru.dataset.manifest import Clip, class_list, data_hash, read_manifest
from action_gru.dataset.sequences import Batch, SequenceSet
from action_gru.dataset.splits import (
    Split,
    check_classes,
    check_leakage,
    grouped_folds,
    merge_groups,
    split_clips,
)

__all__ = [
    "Batch",
    "Clip",
    "SequenceSet",
    "Split",
    "check_classes",
    "check_leakage",
    "class_list",
    "data_hash",
    "grouped_folds",
    "merge_groups",
    "read_manifest",
    "split_clips",
]
