"""Writes the files of a report atomically."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from action_gru.core.errors import ConfigError
from action_gru.core.files import write_or_raise


def replace_file(path: Path, content: bytes) -> None:
    """Write beside the target, then move over it. Raises ConfigError when that fails."""
    failed, mend = "the report cannot be written", "name a folder you may write to"
    write_or_raise(path, content, ConfigError, failed, mend)


def json_text(values: Mapping[str, object]) -> str:
    """Strict JSON without NaN: one line a key, and one line an item of a list."""
    body = ",\n".join(f" {json.dumps(key)}: {_json_value(value)}" for key, value in values.items())
    return f"{{\n{body}\n}}\n"


def _json_value(value: object) -> str:
    if isinstance(value, list) and value:
        items = ",\n  ".join(_json_line(item) for item in value)
        return f"[\n  {items}\n ]"
    return _json_line(value)


def _json_line(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
