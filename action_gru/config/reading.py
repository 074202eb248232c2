"""YAML and `a.b=value` overrides in, a validated `Config` out, or an error that names the key."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any

import yaml
from pydantic import ValidationError

from action_gru.config.hints import did_you_mean
from action_gru.config.kinds import NULLS, allows_none, is_text, kind_at, typed_as_text
from action_gru.config.tree import Config
from action_gru.core.errors import ConfigError
from action_gru.core.paths import instead_of
from action_gru.core.safe_yaml import BoundedLoader, parse_yaml


class _Loader(BoundedLoader):
    """YAML with the numbers and booleans people mean (YAML 1.2): 1e-3 is a number, `no` a word.

    kind: the annotation of what is read; where it wants text, 01 and true are words as well.
    """

    def __init__(self, stream: str | IO[str], kind: Any = Config) -> None:
        super().__init__(stream)
        self._kind = kind

    def get_single_node(self) -> yaml.Node | None:
        node = super().get_single_node()
        return None if node is None else typed_as_text(node, self._kind)

    yaml_implicit_resolvers = {  # noqa: RUF012 - the base class declares it so
        first: [rule for rule in rules if rule[0] not in _REPLACED]
        for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
        for _REPLACED in [("tag:yaml.org,2002:float", "tag:yaml.org,2002:bool")]
    }


class _Dumper(yaml.SafeDumper):
    """Quotes whatever text `_Loader` would read as a number or a boolean, such as '1e5'."""


_FLOAT = re.compile(
    r"^[-+]?(\d[\d_]*\.[\d_]*([eE][-+]?\d+)?|\.\d[\d_]*([eE][-+]?\d+)?|\d+[eE][-+]?\d+|\.(inf|nan))$"
)
_BOOL = re.compile(r"^(true|True|TRUE|false|False|FALSE)$")
for _side in (_Loader, _Dumper):
    _side.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+.0123456789"))
    _side.add_implicit_resolver("tag:yaml.org,2002:bool", _BOOL, list("tTfF"))


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read a YAML file, lay `a.b=value` overrides over it, and validate the whole tree.

    Raises ConfigError that names the key's path, what was given and what is allowed.
    """
    path = Path(path)
    if sentence := instead_of("a config", path):
        raise ConfigError(sentence)
    if not path.is_file():
        raise ConfigError(f"no config file at {path} (looked up as {path.absolute()})")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not a text file in UTF-8 ({error.reason})") from error
    tree = _parse_yaml(text, str(path))
    if tree is not None and not isinstance(tree, dict):
        raise ConfigError(
            f"{path}: holds a {type(tree).__name__}; expected sections such as 'data:'"
        )
    return build_config(tree or {}, overrides, source=str(path))


def build_config(
    tree: dict[str, Any], overrides: Sequence[str] = (), source: str = "config"
) -> Config:
    """Validate a tree of plain values with overrides laid over it."""
    tree = json.loads(_to_json(tree, source))
    for override in overrides:
        _apply_override(tree, override)
    try:
        return Config.model_validate_json(_to_json(tree, source))
    except ValidationError as error:
        raise ConfigError(f"{source}: " + "\n".join(_explain(error))) from error


def check_files(config: Config) -> None:
    """Raise ConfigError when a file the config names is not there, saying where it looked."""
    manifest = config.data.manifest
    if manifest is None:
        raise ConfigError(
            "data.manifest is not set; write one with 'action-gru prepare folder DIR' "
            "and set data.manifest=DIR/manifest.csv"
        )
    sentence = instead_of("a manifest", manifest) if config.data.is_video else None
    if sentence is not None:
        raise ConfigError(f"data.manifest: {sentence}")
    kind = "folder" if config.data.traits.may_be_folder and manifest.is_dir() else "file"
    named = [("data.manifest", manifest, kind), ("data.root", config.data.root, "folder")]
    weights = Path(config.features.weights)
    if len(weights.parts) > 1 and config.data.is_video:
        named.append(("features.weights", weights, "file"))
    for key, path, kind in named:
        if path is not None and not (path.is_dir() if kind == "folder" else path.is_file()):
            raise ConfigError(f"{key}: no {kind} at {path} (looked up as {path.absolute()})")


def to_yaml(config: Config) -> str:
    """The resolved tree as YAML, which `load_config` reads back equal."""
    return str(yaml.dump(config.to_tree(), Dumper=_Dumper, sort_keys=False, allow_unicode=True))


def json_schema() -> str:
    """JSON Schema of the tree, for editors."""
    return json.dumps(Config.model_json_schema(), indent=2) + "\n"


def _parse_yaml(text: str, source: str, kind: Any = Config) -> Any:
    try:
        return parse_yaml(text, partial(_Loader, kind=kind))
    except yaml.YAMLError as error:
        hint = "; YAML is indented with spaces, not tabs" if "'\\t'" in str(error) else ""
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error)
        raise ConfigError(f"{source}:{where} is not valid YAML: {problem}{hint}") from error


def _to_json(tree: dict[str, Any], source: str) -> str:
    try:
        return json.dumps(tree, default=str)
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError(
            f"{source}: cannot be read as a tree of plain values ({error})"
        ) from error


def _apply_override(tree: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise ConfigError(f"override '{override}': expected key=value, such as training.seed=1")
    for part in parts[:-1]:
        child = tree.setdefault(part, {})
        if child is None:
            child = tree[part] = {}
        if not isinstance(child, dict):
            raise ConfigError(f"override '{override}': '{part}' holds a value, not a section")
        tree = child
    tree[parts[-1]] = _override_value(text, f"override '{override}'", kind_at(Config, parts))


def _override_value(text: str, source: str, kind: Any) -> Any:
    """A path or a name is taken as it stands, `#` and all; anything else is YAML."""
    if is_text(kind):
        return None if text in NULLS and (allows_none(kind) or not text) else text
    return _parse_yaml(text, source, kind)


def _explain(error: ValidationError) -> list[str]:
    """One line a key: its path, what is allowed, what was given."""
    problems: dict[str, list[str]] = {}
    given: dict[str, str] = {}
    for detail in error.errors():
        is_unknown = detail["type"] == "extra_forbidden"
        # An unknown key may look like anything: it stays, whatever it looks like.
        given_key = detail["loc"][-1:] if is_unknown else ()
        tried = detail["loc"][: len(detail["loc"]) - len(given_key)]
        location = [*(part for part in tried if not _is_union_branch(part)), *given_key]
        path = ".".join(str(part) for part in location)
        if is_unknown:
            hint = did_you_mean([str(part) for part in location], detail["input"])
            problems[f"unknown key '{path}'{hint}"] = []
            continue
        message = (
            detail["msg"].removeprefix("Value error, ").replace("Input should be", "should be")
        )
        message += _how_to_write(detail["type"], detail["input"])
        problems.setdefault(path, []).append(message[0].lower() + message[1:])
        if not isinstance(detail["input"], dict):
            given[path] = f", got {detail['input']!r}"
    return [
        f"{path}: {' or '.join(messages)}{given.get(path, '')}" if messages else path
        for path, messages in problems.items()
    ]


def _how_to_write(problem: str, value: Any) -> str:
    if problem == "string_type":
        return " (in quotes, where YAML reads something else)"
    return f" (write [{value}])" if problem == "tuple_type" and isinstance(value, str) else ""


def _is_union_branch(part: Any) -> bool:
    """pydantic puts the tried type of a union, such as 'literal['auto']', into the path."""
    return isinstance(part, str) and bool(re.search(r"[\[\]()]|^constrained-|^(int|float)$", part))
