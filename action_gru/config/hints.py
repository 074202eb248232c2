"""What an unknown key may have meant: the same or a similar name anywhere in the tree."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any

from pydantic import BaseModel

from action_gru.config.kinds import kind_at
from action_gru.config.tree import Config

MOST_NAMED = 5
ALIKE_HERE, ALIKE_ELSEWHERE = 0.6, 0.75


def did_you_mean(location: Sequence[str], value: Any = None) -> str:
    """The end of an error for an unknown key; value: what was given for it.

    A name that is spelt alike is looked for in its own section first. Of a section that does not
    exist the keys in it are looked for, too.
    """
    *above, name = location
    here = ".".join(above)
    dotted = [*above, *name.split(".")]
    if "." in name and ".".join(dotted) in set(_paths()):
        return f"; in a file it stands in its section, as {_as_section(dotted)}"
    names = [dotted[-1], *(map(str, value) if isinstance(value, Mapping) else ())]
    found = next((paths for key in names if (paths := _meant(key, here))), [])
    if found:
        return f"; did you mean {_listed(found)}?"
    siblings = _names_in(kind_at(Config, above))
    return f"; known here: {', '.join(siblings)}" if siblings else ""


def _meant(name: str, here: str) -> list[str]:
    """Paths whose last key is the same but for case, `_` and `-`; else similar; else a part."""
    paths = [(path, path.rpartition(".")[2]) for path in _paths()]
    same = [path for path, key in paths if _letters(key) == _letters(name)]
    part = [path for path, key in paths if name.lower() in (*key.split("_")[:1], _initials(key))]
    return _own(same, here) or _similar(name, here, paths) or _own(part, here)


def _own(paths: list[str], here: str) -> list[str]:
    """Those of the key's own section, where there are some."""
    return [path for path in paths if path.rpartition(".")[0] == here] or paths


def _similar(name: str, here: str, paths: list[tuple[str, str]]) -> list[str]:
    alike = {
        path: SequenceMatcher(None, _letters(name), _letters(key)).ratio() for path, key in paths
    }
    enough = [
        path
        for path, ratio in alike.items()
        if ratio >= (ALIKE_HERE if path.rpartition(".")[0] == here else ALIKE_ELSEWHERE)
    ]
    best = max((alike[path] for path in enough), default=0.0)
    return _own([path for path in enough if alike[path] == best], here)


def _letters(name: str) -> str:
    return re.sub(r"[\W_]", "", name.lower())


def _initials(key: str) -> str:
    """learning_rate -> lr; nothing for a key of one word."""
    words = key.split("_")
    return "".join(word[0] for word in words) if len(words) > 1 else ""


def _listed(paths: Sequence[str]) -> str:
    named = [f"'{path}'" for path in paths[:MOST_NAMED]]
    return " or ".join([", ".join(named[:-1]), named[-1]]) if len(named) > 1 else named[0]


def _as_section(parts: Sequence[str]) -> str:
    """[a, b] -> a: {b: ...}"""
    return ": {".join(parts) + ": ..." + "}" * (len(parts) - 1)


def _names_in(kind: Any) -> list[str]:
    is_section = isinstance(kind, type) and issubclass(kind, BaseModel)
    return list(kind.model_fields) if is_section else []


def _paths(kind: Any = Config, prefix: str = "") -> Iterator[str]:
    """Every key of the tree by its path, sections too."""
    for name in _names_in(kind):
        yield prefix + name
        yield from _paths(kind.model_fields[name].annotation, f"{prefix}{name}.")
