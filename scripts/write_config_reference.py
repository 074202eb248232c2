"""Writes docs/config.md from the config's own types and docstrings."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from action_gru.config import Config, json_schema
from action_gru.config.sinks import SINKS

PAGE = Path(__file__).parents[1] / "docs" / "config.md"
HEAD = """# Every key of a config

Written by `python scripts/write_config_reference.py`; do not edit it. Set a key in the YAML file or
on the command line, as `section.key=value`. `action-gru config CONFIG` prints the whole config as
it will be used.
"""
BOUNDS = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}


def page() -> str:
    """The reference as Markdown: one table a section, one row a key."""
    schema = json.loads(json_schema())
    return "\n".join([HEAD, *_sections(schema)])


def _sections(schema: dict[str, Any]) -> Iterator[str]:
    for name, defaults in Config().to_tree().items():
        properties = schema["$defs"][f"{name.capitalize()}Section"]["properties"]
        yield f"## {name}\n\n| key | values | default | meaning |\n|---|---|---|---|"
        for key, entry in properties.items():
            cells = (f"`{key}`", _values(entry), f"`{json.dumps(defaults[key])}`", _text(entry))
            yield f"| {' | '.join(cells)} |"
        yield ""
        if name == "events":
            yield from _sinks(schema)


def _sinks(schema: dict[str, Any]) -> Iterator[str]:
    """A table for each kind of an entry of events.sinks; keys that all have stand in the first."""
    every = schema["$defs"][SINKS["mqtt"].__name__]["properties"].keys()
    tables = {
        kind: dict(schema["$defs"][one.__name__]["properties"]) for kind, one in SINKS.items()
    }
    shared = [key for key in every if all(key in table for table in tables.values())]
    first = {key: tables["mqtt"][key] for key in shared if key != "kind"}
    rest = {
        kind: {key: entry for key, entry in table.items() if key not in shared}
        for kind, table in tables.items()
    }
    for kind, table in {"": first, **rest}.items():
        what = f"### events.sinks, kind: {kind}" if kind else "### events.sinks, all kinds"
        yield f"{what}\n\n| key | values | default | meaning |\n|---|---|---|---|"
        for key, entry in table.items():
            default = f"`{json.dumps(entry['default'])}`" if "default" in entry else ""
            yield f"| `{key}` | {_values(entry)} | {default} | {_text(entry)} |"
        yield ""


def _values(entry: dict[str, Any]) -> str:
    """What the key may hold, such as `"auto"` or integer >= 1."""
    if "discriminator" in entry:
        return "sinks"
    if "anyOf" in entry:
        return " or ".join(_values(option) for option in entry["anyOf"])
    if "enum" in entry or "const" in entry:
        return ", ".join(f"`{json.dumps(one)}`" for one in entry.get("enum", [entry.get("const")]))
    if entry.get("type") == "array":
        return f"list of {_values(entry.get('items', {}))}"
    if "additionalProperties" in entry and isinstance(entry["additionalProperties"], dict):
        return f"map to {_values(entry['additionalProperties'])}"
    bounds = [f"{sign} {entry[name]:g}" for name, sign in BOUNDS.items() if name in entry]
    return " ".join([entry.get("type", "any"), " and ".join(bounds)]).strip()


def _text(entry: dict[str, Any]) -> str:
    text = " ".join(entry.get("description", "").split())
    # A bracket outside of code would begin a link.
    escaped = re.sub(r"(`[^`]*`)|([\[\]])", lambda found: found[1] or f"\\{found[2]}", text)
    return escaped.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
