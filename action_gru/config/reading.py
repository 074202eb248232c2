"""YAML and `a.b=value` overrides in, a validated `Config` out, or an error that names the key."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher, get_close_matches
from functools import partial
from pathlib import Path
from typing import IO, Any, get_args, get_origin

import yaml
from pydantic import ValidationError

from action_gru.config.kinds import (
    bare,
    is_text,
    keys_of,
    kind_at,
    kind_of_key,
    paths,
    sections_of,
)
from action_gru.config.section import IN_WORDS
from action_gru.config.tree import Config
from action_gru.core.errors import ConfigError
from action_gru.core.paths import instead_of, missing
from action_gru.core.safe_yaml import BoundedLoader, parse_yaml

TEXT, NULL = "tag:yaml.org,2002:str", "tag:yaml.org,2002:null"
NULLS = ("null", "~", "")
MOST_NAMED = 5
ALIKE_HERE, ALIKE_ELSEWHERE = 0.6, 0.75  # shares of the letters, for "did you mean"
FIXED = "because its default suits every run"
# Keys of older versions: what each is fixed at now, and why.
REMOVED: dict[str, tuple[Any, str]] = {
    "training.mixup": (0.0, "because no data set gained by it"),
    "training.ridge": (0.001, FIXED),
    "training.warmup_share": (0.1, FIXED),
    "training.grad_clip": (1.0, FIXED),
    "evaluation.mistakes": (12, FIXED),
    "detection.overlap": (0.7, FIXED),
    "people.margin": (0.25, FIXED),
    "pose.top": (2, "because the view reads the two people who are largest and nearest"),
    "describe.every_s": (0.5, FIXED),
}


class _Loader(BoundedLoader):
    """YAML with the numbers and booleans people mean (YAML 1.2): 1e-3 is a number, `no` a word.

    kind: the annotation of what is read; where it wants text, 01 and true are words as well.
    """

    def __init__(self, stream: str | IO[str], kind: Any = Config) -> None:
        super().__init__(stream)
        self._kind = kind

    def get_single_node(self) -> yaml.Node | None:
        node = super().get_single_node()
        return None if node is None else _as_typed(node, self._kind)

    yaml_implicit_resolvers = {  # noqa: RUF012 - the base class declares it so
        first: [rule for rule in rules if rule[0] not in _REPLACED]
        for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
        for _REPLACED in [("tag:yaml.org,2002:float", "tag:yaml.org,2002:bool")]
    }


_FLOAT = re.compile(
    r"^[-+]?(\d[\d_]*\.[\d_]*([eE][-+]?\d+)?|\.\d[\d_]*([eE][-+]?\d+)?|\d+[eE][-+]?\d+|\.(inf|nan))$"
)
_BOOL = re.compile(r"^(true|True|TRUE|false|False|FALSE)$")


def add_resolvers(side: Any) -> None:
    """Let a loader or a dumper take what people mean by numbers and booleans."""
    side.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+.0123456789"))
    side.add_implicit_resolver("tag:yaml.org,2002:bool", _BOOL, list("tTfF"))


add_resolvers(_Loader)


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read a YAML file, lay `a.b=value` overrides over it, and validate the whole tree.

    Raises ConfigError that names the key's path, what was given and what is allowed.
    """
    path = _shipped(Path(path))
    if sentence := instead_of("a config", path):
        raise ConfigError(sentence)
    if not path.is_file():
        raise ConfigError(missing("config file", path))
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


def _shipped(path: Path) -> Path:
    """The file; for configs/NAME.yaml the package's own, where the user has none there."""
    homes = (Path(__file__).parents[1], Path(__file__).parents[2])  # a wheel's place, a clone's
    found = [home / path for home in homes if (home / path).is_file()]
    return found[0] if found and path.parent == Path("configs") and not path.exists() else path


def build_config(
    tree: dict[str, Any], overrides: Sequence[str] = (), source: str = "config"
) -> Config:
    """Validate a tree of plain values with overrides laid over it.

    Keys that were removed are left out of the tree, as runs of older versions name them; a warning
    says so where the value differs from the one that is fixed now.
    """
    tree = json.loads(_to_json(tree, source))
    _drop_removed(tree, source)
    for override in overrides:
        _apply_override(tree, override)
    try:
        return Config.model_validate_json(_to_json(tree, source))
    except ValidationError as error:
        lines = [f"{_blamed(line, overrides, source)}: {line}" for line in _explain(error)]
        raise ConfigError("\n".join(lines).replace(f"\n{source}: ", "\n")) from error


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


def _drop_removed(tree: dict[str, Any], source: str) -> None:
    from action_gru.core.progress import Reporter

    for path, (fixed, why) in REMOVED.items():
        name, _, key = path.partition(".")
        section = tree.get(name)
        if isinstance(section, dict) and section.pop(key, fixed) != fixed:
            Reporter().warn(f"{source}: {path} was removed, {why}; leave it out")


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
    kind = kind_at(Config, parts)
    if not is_text(kind):
        tree[parts[-1]] = _parse_yaml(text, f"override '{override}'", kind)
    else:  # a path or a name is taken as it stands, `#` and all
        is_none = text in NULLS and (bare(kind)[1] or not text)
        tree[parts[-1]] = None if is_none else text


def _blamed(problem: str, overrides: Sequence[str], source: str) -> str:
    """The override that gave the key of a problem; else the source."""
    for override in reversed(overrides):
        key = override.partition("=")[0].strip()
        if problem.startswith((f"{key}: ", f"{key}.", f"unknown key '{key}'")):
            return f"override '{override}'"
    return source


def _explain(error: ValidationError) -> list[str]:
    """One line a key: its path, what is allowed, what was given."""
    problems: dict[str, list[str]] = {}
    given: dict[str, str] = {}
    details = error.errors()
    for detail in details:
        if detail["type"] == "too_short" and len(details) > 1:
            continue  # pydantic counts a wrong item as missing
        *above, last = detail["loc"] or ("",)
        is_unknown = detail["type"] == "extra_forbidden"
        # An unknown key may look like the branch of a union: it stays.
        parts = [part for part in above if not _is_union_branch(part)]
        parts += [last] if is_unknown or not _is_union_branch(last) else []
        if parts[:2] == ["events", "sinks"]:  # [events, sinks, 0, mqtt, url]: the kind is no key
            del parts[3:4]
        path = ".".join(map(str, parts))
        if is_unknown:
            problems[_unknown_key([str(part) for part in parts], detail["input"])] = []
            continue
        pattern = str(detail.get("ctx", {}).get("pattern"))
        message = IN_WORDS.get(pattern) or detail["msg"].removeprefix("Value error, ")
        message = message.replace("Input should be", "should be")
        message += _how_to_write(detail["type"], detail["input"])
        problems.setdefault(path, []).append(message[0].lower() + message[1:])
        if not isinstance(detail["input"], dict):
            given[path] = f", got {detail['input']!r}{_meant_value(detail)}"
    return [
        f"{path}: {' or '.join(messages)}{given.get(path, '')}".removeprefix(": ")
        if messages
        else path
        for path, messages in problems.items()
    ]


def _how_to_write(problem: str, value: Any) -> str:
    if problem == "string_type":
        return " (in quotes, where YAML reads something else)"
    return f" (write [{value}])" if problem == "tuple_type" and isinstance(value, str) else ""


def _meant_value(detail: Any) -> str:
    """Of a value that is none of a few names: the one that it is nearly."""
    names = re.findall(r"'([^']+)'", str(detail.get("ctx", {}).get("expected")))
    close = get_close_matches(str(detail["input"]).lower(), names, n=1)
    return f"; did you mean '{close[0]}'?" if close and detail["type"] == "literal_error" else ""


def _is_union_branch(part: Any) -> bool:
    """pydantic puts the tried type of a union, such as 'literal['auto']', into the path."""
    return isinstance(part, str) and bool(
        re.search(r"[\[\]()]|^constrained-|^(int|float|bool)$", part)
    )


def _unknown_key(location: Sequence[str], value: Any) -> str:
    """The error for a key that the tree does not know; value: what was given for it.

    Of a section that does not exist the keys in it are looked for, too.
    """
    path = ".".join(location)
    if path in REMOVED:
        return f"{path} was removed, {REMOVED[path][1]}; leave it out"
    return f"unknown key '{path}'{_did_you_mean(location, value)}"


def _did_you_mean(location: Sequence[str], value: Any) -> str:
    *above, name = location
    dotted = [*above, *name.split(".")]
    if "." in name and ".".join(dotted) in set(paths()):
        section = ": {".join(dotted) + ": ..." + "}" * (len(dotted) - 1)
        return f"; in a file it stands in its section, as {section}"
    names = [dotted[-1], *(map(str, value) if isinstance(value, Mapping) else ())]
    for key in names:
        if found := [f"'{path}'" for path in _meant(key, ".".join(above))[:MOST_NAMED]]:
            listed = " or ".join(part for part in (", ".join(found[:-1]), found[-1]) if part)
            return f"; did you mean {listed}?"
    sections = sections_of(bare(kind_at(Config, above))[0])
    siblings = list(dict.fromkeys(key for one in sections for key in keys_of(one)))
    if len(sections) > 1 and (close := get_close_matches(name, siblings, n=1)):
        return f"; did you mean '{close[0]}'?"
    return f"; known here: {', '.join(siblings)}" if siblings else ""


def _meant(name: str, here: str) -> list[str]:
    """Paths whose last key is the same but for case, `_` and `-`; else similar; else a part.

    Of several that are as good, those of the key's own section.
    """

    def likeness(path: str) -> float:
        section, _, key = path.rpartition(".")
        is_here = section == here
        alike = SequenceMatcher(None, _letters(name), _letters(key)).ratio()
        if alike >= (ALIKE_HERE if is_here else ALIKE_ELSEWHERE):
            return 1 + alike + 1e-6 * is_here
        words = key.split("_")
        initials = "".join(word[0] for word in words) if len(words) > 1 else ""
        return 0.5 + 0.1 * is_here if name.lower() in (words[0], initials) else 0.0

    scores = {path: likeness(path) for path in paths()}
    best = max(scores.values())
    return [path for path, score in scores.items() if score == best > 0]


def _letters(name: str) -> str:
    return re.sub(r"[\W_]", "", name.lower())


def _as_typed(node: yaml.Node, kind: Any) -> yaml.Node:
    """The node with its plain scalars as they were typed wherever `kind` wants text.

    YAML makes a number of 01 and a date of 2024-05-01, and a class may be called so. A copy: an
    alias may also be used where a number is wanted.
    """
    inner, allows_none = bare(kind)
    item = get_args(inner)[0] if get_origin(inner) is tuple else None
    if isinstance(node, yaml.ScalarNode):
        # One value in place of several: the error then shows what was typed.
        wants_text = is_text(kind) or is_text(item)
        if node.tag == NULL and (allows_none or is_text(item) or not node.value):
            return node
        same = (node.value, node.start_mark, node.end_mark, node.style)
        return yaml.ScalarNode(TEXT, *same) if wants_text else node
    if isinstance(node, yaml.SequenceNode):
        items = [_as_typed(child, item) for child in node.value]
        return yaml.SequenceNode(node.tag, items, node.start_mark, node.end_mark)
    pairs = []
    for key, value in node.value:
        name = _as_typed(key, str)
        pairs.append((name, _as_typed(value, kind_of_key(kind, str(name.value)))))
    return yaml.MappingNode(node.tag, pairs, node.start_mark, node.end_mark)
