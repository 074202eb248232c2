"""Trains models; each run leaves a folder. Knows no command line."""

from action_gru.training.data import read_clips
from action_gru.training.processes import leave_processes
from action_gru.training.run import resume, train
from action_gru.training.run_folder import RunFolder

__all__ = ["RunFolder", "leave_processes", "read_clips", "resume", "train"]
