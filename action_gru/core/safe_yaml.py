"""YAML bounded in size and aliases, as plain values; a repeated key is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import yaml

MOST_CHARACTERS = 1 << 18  # the largest config that is shipped has under 3,000
MOST_ALIASES = 16  # nine lines of ten aliases each can stand for a billion values


class BoundedLoader(yaml.SafeLoader):
    """A SafeLoader that counts aliases before it builds anything."""

    aliases = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self.aliases += self.check_event(yaml.AliasEvent)
        if self.aliases > MOST_ALIASES:
            problem = f"uses more than {MOST_ALIASES} aliases"
            raise _refusal(self.peek_event(), problem)  # type: ignore[no-untyped-call]
        node: yaml.Node | None = super().compose_node(parent, index)
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if isinstance(key_node, yaml.ScalarNode) and key_node.value in seen:
                raise _refusal(key_node, f"the key '{key_node.value}' appears twice")
            seen.add(key_node.value if isinstance(key_node, yaml.ScalarNode) else None)
        return super().construct_mapping(node, deep)


def parse_yaml(text: str, loader: Callable[[str], BoundedLoader] = BoundedLoader) -> Any:
    """Plain values of one document. Raises yaml.YAMLError for every fault."""
    if len(text) > MOST_CHARACTERS:
        raise yaml.YAMLError(f"longer than {MOST_CHARACTERS} characters")
    try:
        return loader(text).get_single_data()
    except RecursionError as error:
        raise yaml.YAMLError("nested too deeply, or in itself") from error
    except yaml.YAMLError:
        raise
    # PyYAML lets through what int(), datetime() and the like say of a value: 2001-99-99.
    except (ValueError, TypeError, AttributeError, LookupError, OverflowError) as error:
        raise yaml.YAMLError(f"holds a value that cannot be read ({error})") from error


def _refusal(place: Any, problem: str) -> yaml.YAMLError:
    return yaml.constructor.ConstructorError(None, None, problem, place.start_mark)
