"""Clips, measured channels and splits. Knows nothing of what frames show, or of models."""

from action_gru.dataset.manifest import (
    Clip,
    LongVideo,
    check_labels,
    check_long_videos,
    class_list,
    data_hash,
    read_long_videos,
    read_manifest,
)
from action_gru.dataset.splits import (
    Split,
    check_classes,
    check_leakage,
    grouped_folds,
    merge_groups,
    split_clips,
)

__all__ = [
    "Clip",
    "LongVideo",
    "Split",
    "check_classes",
    "check_labels",
    "check_leakage",
    "check_long_videos",
    "class_list",
    "data_hash",
    "grouped_folds",
    "merge_groups",
    "read_long_videos",
    "read_manifest",
    "split_clips",
]
