"""A config as text: the whole tree, what differs from the defaults, the JSON Schema."""

from __future__ import annotations

import json
import textwrap
from typing import Any

import yaml

from action_gru.config.reading import add_resolvers
from action_gru.config.tree import Config

COLUMN, WIDTH = 36, 70  # where comments begin, and how long they are


class _Dumper(yaml.SafeDumper):
    """Quotes text that `load_config` would read as a number or a boolean, such as '1e5'."""


add_resolvers(_Dumper)


def to_yaml(config: Config) -> str:
    """The resolved tree as YAML, which `load_config` reads back equal."""
    return _dumped(config.to_tree(), sort_keys=False)


def _dumped(value: Any, **options: Any) -> str:
    return str(yaml.dump(value, Dumper=_Dumper, allow_unicode=True, **options))


def short_yaml(config: Config, command: str) -> str:
    """What differs from the defaults, and the manifest, each key with what it is.

    `load_config` reads it back equal. command: the one that uses it, for the first line.
    """
    tree, default = config.to_tree(), Config().to_tree()
    lines = [
        f"# {command}",
        "# What is not named here is at its default; 'action-gru config FILE' prints every key.",
    ]
    for section, values in tree.items():
        changed = {
            key: value
            for key, value in values.items()
            if value != default[section][key] or (section, key) == ("data", "manifest")
        }
        if changed:
            lines.append(f"{section}:")
        for key, value in changed.items():
            text = _dumped({key: value}, default_flow_style=True, width=float("inf"))
            written = f"  {text.strip().removeprefix('{').removesuffix('}')}"
            lines.append(f"{written:<{COLUMN}} # {_meaning(section, key)}")
    return "\n".join(lines) + "\n"


def _meaning(section: str, key: str) -> str:
    """What the config's source says of a key, as far as a line holds it."""
    fields = Config.model_fields[section].annotation.model_fields  # type: ignore[union-attr]
    return textwrap.shorten(fields[key].description or "", WIDTH, placeholder=" ...")


def json_schema() -> str:
    """JSON Schema of the tree, for editors."""
    return json.dumps(Config.model_json_schema(), indent=2) + "\n"
