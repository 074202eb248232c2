"""Trains, evaluates and cross-validates; each run leaves a folder. Knows no command line."""

from action_gru.training.clips import read_clips
from action_gru.training.cross_validation import cross_validate
from action_gru.training.evaluate import evaluate
from action_gru.training.processes import leave_processes
from action_gru.training.run import resume, train
from action_gru.training.run_folder import RunFolder
from action_gru.training.unknown import leave_classes_out

__all__ = [
    "RunFolder",
    "cross_validate",
    "evaluate",
    "leave_classes_out",
    "leave_processes",
    "read_clips",
    "resume",
    "train",
]
