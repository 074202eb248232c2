"""Log lines as JSON on stderr, one object a line. Knows nothing of who logs.

{"time": "2026-11-24T20:15:00.123+00:00", "level": "warning", "logger": "action_gru",
 "message": "left out a.mp4: ...", "clip": "a.mp4", ...}
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

LOGGER = logging.getLogger("action_gru")


class JsonLines(logging.Formatter):
    """A record as one line of JSON. extra={"fields": ...} becomes keys of its own."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC)
        fields: dict[str, Any] = getattr(record, "fields", {})
        document = fields | {
            "time": moment.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            document["traceback"] = self.formatException(record.exc_info)
        first = ("time", "level", "logger", "message")
        ordered = {key: document[key] for key in first} | document
        return json.dumps(ordered, default=str)


class _Handler(logging.StreamHandler[Any]):
    """Ours: `is_json` knows it."""


def log_as_json() -> None:
    """From here on every log line, Python's warnings too, is JSON on stderr."""
    handler = _Handler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.captureWarnings(True)
    LOGGER.setLevel(logging.INFO)


def is_json() -> bool:
    """Are log lines JSON?"""
    return any(isinstance(handler, _Handler) for handler in logging.root.handlers)


def log(level: int, message: str, /, **fields: Any) -> None:
    """One line; fields: what JSON can hold."""
    LOGGER.log(level, message, extra={"fields": fields})
