"""What kind of value a key of the tree holds, and YAML's plain words as text where it wants text.

YAML makes a number of 01 and a date of 2024-05-01. A class may be called so: whoever types a name
means what stands there.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import yaml
from pydantic import BaseModel

TEXT = "tag:yaml.org,2002:str"
NULL = "tag:yaml.org,2002:null"
NULLS = ("null", "~", "")


def kind_at(kind: Any, parts: Sequence[str]) -> Any:
    """The annotation below `kind` by that path of keys; None where the tree knows none."""
    for part in parts:
        kind = _kind_of_key(kind, part)
    return kind


def is_text(kind: Any) -> bool:
    """Whether a value of this annotation is a text: str, Path, and these or None."""
    return _bare(kind)[0] in (str, Path)


def allows_none(kind: Any) -> bool:
    """Whether a value of this annotation may be absent."""
    return _bare(kind)[1]


def typed_as_text(node: yaml.Node, kind: Any) -> yaml.Node:
    """The node with its plain scalars as they were typed wherever `kind` wants text.

    A copy: an alias may stand where a number is wanted, too.
    """
    if isinstance(node, yaml.ScalarNode):
        is_one_of_several = is_text(_kind_of_item(kind))  # the error then shows what was typed
        if node.tag == NULL and (allows_none(kind) or is_one_of_several or not node.value):
            return node
        if not (is_text(kind) or is_one_of_several):
            return node
        return yaml.ScalarNode(TEXT, node.value, node.start_mark, node.end_mark, node.style)
    if isinstance(node, yaml.SequenceNode):
        items = [typed_as_text(child, _kind_of_item(kind)) for child in node.value]
        return yaml.SequenceNode(node.tag, items, node.start_mark, node.end_mark)
    if isinstance(node, yaml.MappingNode):
        pairs = [_typed_pair(key, value, kind) for key, value in node.value]
        return yaml.MappingNode(node.tag, pairs, node.start_mark, node.end_mark)
    return node


def _typed_pair(key: yaml.Node, value: yaml.Node, kind: Any) -> tuple[yaml.Node, yaml.Node]:
    name = typed_as_text(key, str)
    return name, typed_as_text(value, _kind_of_key(kind, str(name.value)))


def _bare(kind: Any) -> tuple[Any, bool]:
    """The annotation without its constraints and without None; whether it had None."""
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    options = get_args(kind)
    if type(None) not in options:
        return kind, False
    rest = [option for option in options if option is not type(None)]
    return (_bare(rest[0])[0] if len(rest) == 1 else kind), True


def _kind_of_key(kind: Any, key: str) -> Any:
    bare = _bare(kind)[0]
    if isinstance(bare, type) and issubclass(bare, BaseModel):
        return bare.model_fields[key].annotation if key in bare.model_fields else None
    return get_args(bare)[1] if get_origin(bare) is dict else None


def _kind_of_item(kind: Any) -> Any:
    bare = _bare(kind)[0]
    return get_args(bare)[0] if get_origin(bare) is tuple else None
