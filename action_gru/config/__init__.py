"""The typed config tree: YAML plus overrides, validated whole before any work."""

from action_gru.config.reading import build_config, json_schema, load_config, to_yaml
from action_gru.config.tree import Config, check_files, needs_one_label

__all__ = [
    "Config",
    "build_config",
    "check_files",
    "json_schema",
    "load_config",
    "needs_one_label",
    "to_yaml",
]
