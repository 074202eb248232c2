"""The types of the tree's keys: what stands at a path of keys. Knows no values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel

from action_gru.config.tree import Config


def keys_of(kind: Any) -> list[str]:
    """The keys of a section; none of anything else."""
    is_section = isinstance(kind, type) and issubclass(kind, BaseModel)
    return list(kind.model_fields) if is_section else []


def paths(kind: Any = Config, prefix: str = "") -> Iterator[str]:
    """Every key of the tree by its path, sections too."""
    for name in keys_of(kind):
        yield prefix + name
        yield from paths(kind.model_fields[name].annotation, f"{prefix}{name}.")


def kind_at(kind: Any, parts: Sequence[str]) -> Any:
    """The annotation below `kind` by that path of keys; None where the tree knows none."""
    for part in parts:
        kind = kind_of_key(kind, part)
    return kind


def kind_of_key(kind: Any, key: str) -> Any:
    """The annotation of a section's key, of a list's item or of a map's values."""
    inner = bare(kind)[0]
    if get_origin(inner) is tuple and key.isdecimal():
        return get_args(inner)[0]
    for option in sections_of(inner):
        if key in keys_of(option):
            return option.model_fields[key].annotation
    return get_args(inner)[1] if get_origin(inner) is dict else None


def sections_of(kind: Any) -> tuple[Any, ...]:
    """The sections that may stand there: one, or those of a union."""
    return get_args(kind) if get_origin(kind) is UnionType else (kind,)


def bare(kind: Any) -> tuple[Any, bool]:
    """The annotation without its constraints and without None; whether it had None."""
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    options = get_args(kind)
    rest = [option for option in options if option is not type(None)]
    if len(rest) == len(options):
        return kind, False
    return (bare(rest[0])[0] if len(rest) == 1 else kind), True


def is_text(kind: Any) -> bool:
    """Does it want text, or a path?"""
    return bare(kind)[0] in (str, Path)
