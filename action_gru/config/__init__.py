"""The typed config tree: YAML plus overrides, validated whole before any work."""

from action_gru.config.reading import build_config, load_config
from action_gru.config.tree import Config, check_files, needs_one_label
from action_gru.config.writing import json_schema, short_yaml, to_yaml

__all__ = [
    "Config",
    "build_config",
    "check_files",
    "json_schema",
    "load_config",
    "needs_one_label",
    "short_yaml",
    "to_yaml",
]
