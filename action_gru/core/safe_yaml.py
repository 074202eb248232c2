"""YAML bounded in size, depth and aliases; a key stands once.

Makes plain values alone, never objects. Knows nothing of what they mean.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import yaml

MOST_CHARACTERS = 1 << 18  # the largest config that is shipped has under 3,000
MOST_VALUES = 20_000  # aliases written out: nine lines of them can stand for a billion values
MOST_LEVELS = 40


class BoundedLoader(yaml.SafeLoader):
    """A SafeLoader that counts before it builds anything."""

    def get_single_node(self) -> yaml.Node | None:
        node: yaml.Node | None = super().get_single_node()
        if node is not None:
            _count(node, {}, 1)
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, str) and key in seen:
                raise _refusal(key_node, f"the key '{key}' stands twice")
            seen.add(str(key))
        return super().construct_mapping(node, deep)


def parse_yaml(text: str, loader: Callable[[str], BoundedLoader] = BoundedLoader) -> Any:
    """Plain values of one document. Raises yaml.YAMLError for whatever is wrong with it."""
    if len(text) > MOST_CHARACTERS:
        raise yaml.YAMLError(f"longer than {MOST_CHARACTERS} characters")
    try:
        return loader(text).get_single_data()
    except RecursionError as error:
        raise yaml.YAMLError(f"nested deeper than {MOST_LEVELS} levels") from error
    except yaml.YAMLError:
        raise
    # PyYAML lets through what int(), datetime() and the like say of a value: 2001-99-99.
    except (ValueError, TypeError, AttributeError, LookupError, OverflowError) as error:
        raise yaml.YAMLError(f"holds a value that cannot be read ({error})") from error


def _count(node: yaml.Node, known: dict[int, int], level: int) -> int:
    """How many values a node stands for, each alias counted again. Raises yaml.YAMLError."""
    if level > MOST_LEVELS:
        raise _refusal(node, f"nested deeper than {MOST_LEVELS} levels, or in itself")
    if id(node) not in known:
        children = [] if isinstance(node, yaml.ScalarNode) else node.value
        parts = [part for one in children for part in (one if isinstance(one, tuple) else (one,))]
        total = 1 + sum(_count(part, known, level + 1) for part in parts)
        if total > MOST_VALUES:
            raise _refusal(node, f"stands for more than {MOST_VALUES} values")
        known[id(node)] = total
    return known[id(node)]


def _refusal(node: yaml.Node, problem: str) -> yaml.YAMLError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
