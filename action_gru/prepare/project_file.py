"""What project.yaml says: the actions of a project, their names, colours and which is background.

A name may be of any script. Knows nothing of clips and folders.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from action_gru.core.errors import ConfigError
from action_gru.core.files import write_or_raise
from action_gru.core.paths import composed, is_hidden
from action_gru.core.safe_yaml import BoundedLoader, parse_yaml
from action_gru.dataset.cells import name_of

FILE, FORMAT = "project.yaml", "action-gru 1"
MOST_NAME_BYTES = 120
GREY = "#8C8C8C"
# `class_colour` of the first 60 classes without its grey, so that charts and pages look alike.
# They are written out because a colour is for good, and to spare the server the search.
PALETTE = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#F0E442", "#9F00FF",
    "#FF10EF", "#BF0070", "#706000", "#4040FF", "#8F80FF", "#8F50AF", "#FF2060", "#9F5050",
    "#9F8F00", "#008000", "#007060", "#BF00BF", "#0080FF", "#CF0010", "#CF60DF", "#FF40AF",
    "#7080BF", "#309F00", "#CF20FF", "#708050", "#BF509F", "#308F9F", "#6060CF", "#CF5060",
    "#60608F", "#FF6040", "#8050FF", "#BF8060", "#DF009F", "#9F6010", "#9F709F", "#9F60DF",
    "#0060DF", "#9F4080", "#EF3010", "#8F30CF", "#EF6080", "#209FCF", "#9F80CF", "#9F7060",
    "#7020FF", "#709F50", "#805070", "#608FEF", "#DF30CF", "#DF0060", "#609F8F", "#CF8000",
    "#407030", "#AF4000", "#608000", "#5060FF",
)  # fmt: skip
COLOUR = re.compile(r"^#[0-9A-Fa-f]{6}$")
NO_LETTERS = frozenset('/\\<>:"|?*')  # Windows takes none of them in a file's name
DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE)
_JOINERS = "\u200c\u200d"  # unseen, but words of Persian and of India need them
_HEAD = "# A project of action-gru; 'action-gru studio' opens its folder.\n"


@dataclass(frozen=True)
class Action:
    """colour: #RRGGBB, for good. background: it means nothing in particular."""

    name: str
    colour: str
    background: bool = False


def check_name(text: str, others: Iterable[str] = ()) -> str:
    """An action's name as it is kept: NFC, without spaces around it. others: the names taken.

    Raises ConfigError for what cannot be a folder's name on every system, or looks like another.
    """
    name = name_of(text)
    shown = name.encode("unicode_escape").decode() if not name.isprintable() else name
    named = f"the name '{shown[:60]}'"
    if not any(unicodedata.category(letter)[0] in "LNPS" for letter in name):
        raise ConfigError("an action needs a name; got nothing that can be seen")
    if bad := next((letter for letter in name if letter in NO_LETTERS), None):
        raise ConfigError(f"{named} holds {bad}, which no folder's name can have; leave it out")
    if bad := next((letter for letter in name if not is_shown(letter)), None):
        raise ConfigError(f"{named} holds the unseen character U+{ord(bad):04X}; leave it out")
    if is_hidden(name) or name.endswith("."):
        raise ConfigError(f"{named} cannot be a folder: it must not begin or end with a dot")
    if DEVICES.fullmatch(name) or name.casefold() == "manifest.csv":
        raise ConfigError(f"{named} is reserved by the computer; choose another")
    if (size := len(name.encode())) > MOST_NAME_BYTES:
        raise ConfigError(f"{named}... takes {size} bytes of at most {MOST_NAME_BYTES}; shorten it")
    if twin := next((other for other in others if folded(other) == folded(name)), None):
        raise ConfigError(f"there is an action '{twin}' already; choose another name than '{name}'")
    return name


def check_colour(text: str) -> str:
    """#RRGGBB in capitals. Raises ConfigError."""
    if not COLOUR.fullmatch(text):
        raise ConfigError(f"the colour '{text[:20]}' is none; write it as #0072B2")
    return text.upper()


def is_shown(letter: str) -> bool:
    return letter in _JOINERS or letter == " " or unicodedata.category(letter)[0] in "LMNPS"


def folded(name: str) -> str:
    """A name as it is compared: small and capital letters are alike."""
    return unicodedata.normalize("NFC", composed(name).casefold())


def read_tree(path: Path) -> dict[str, Any]:
    """The tree of a project.yaml. Raises ConfigError, also for another program's."""
    tree = find_tree(path)
    if tree is None:
        raise ConfigError(
            f"{path} belongs to another program: it has no line 'format: {FORMAT}'; choose "
            "another folder, or move that file away"
        )
    return tree


def find_tree(path: Path) -> dict[str, Any] | None:
    """The tree of a project.yaml; None for one of another program. Raises ConfigError with the
    line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as text in UTF-8 ({error})") from error
    try:
        tree, node = parse_yaml(text), BoundedLoader(text).get_single_node()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error)
        raise _broken(path, mark, f"is no YAML: {problem}") from error
    if not isinstance(tree, dict) or not str(tree.get("format", "")).startswith("action-gru"):
        return None
    if tree["format"] != FORMAT:
        raise ConfigError(f"{path}: has the format '{tree['format']}'; a newer action-gru made it")
    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        if key.value == "actions" and tree["actions"]:
            if not isinstance(value, yaml.SequenceNode):
                raise _broken(path, value.start_mark, "actions is a list: '- name: wave' for each")
            tree["actions"] = [_checked(row, path) for row in value.value]
    return tree


def _checked(node: yaml.Node, path: Path) -> dict[str, Any]:
    """An entry of the list of actions, its name a text whatever it looks like: `no`, 2024."""
    if not isinstance(node, yaml.MappingNode):
        raise _broken(path, node.start_mark, "an action is written as '- name: wave'")
    row = {key.value: value for key, value in node.value}
    if unknown := row.keys() - {"name", "colour", "background"}:
        raise _broken(path, node.start_mark, f"'{min(unknown)}' is not name, colour or background")
    if any(not isinstance(value, yaml.ScalarNode) for value in row.values()):
        raise _broken(path, node.start_mark, "an action has one value for each key")
    name, colour = (row[key].value if key in row else "" for key in ("name", "colour"))
    background = row["background"].value.lower() if "background" in row else "false"
    if not name_of(name):
        raise _broken(path, node.start_mark, "an action needs a name")
    if not COLOUR.fullmatch(colour):
        raise _broken(path, node.start_mark, f"colour is '{colour}'; write it as '#0072B2'")
    if background not in ("true", "false"):
        raise _broken(path, node.start_mark, f"background is true or false, got '{background}'")
    return row_of(Action(name_of(name), colour.upper(), background == "true"))


def _broken(path: Path, mark: Any, problem: str) -> ConfigError:
    where = f", line {mark.line + 1}" if mark else ""
    return ConfigError(
        f"{path}{where}: {problem}; mend the file, or move it away to begin with the folders alone"
    )


def actions_in(tree: dict[str, Any]) -> tuple[Action, ...]:
    """The actions of a tree, those whose folder is gone among them."""
    return tuple(Action(**row) for row in tree.get("actions") or ())


def row_of(action: Action) -> dict[str, Any]:
    """An action as project.yaml has it."""
    row = {"name": action.name, "colour": action.colour}
    return row | ({"background": True} if action.background else {})


def next_colour(present: Iterable[Action], remembered: Iterable[Action]) -> str:
    """The first colour of the palette that nobody had, or that nobody has now."""
    used = [one.colour for one in present]
    known = {*used, *(one.colour for one in remembered)}
    free = [colour for colour in PALETTE if colour not in known]
    free = free or [colour for colour in PALETTE if colour not in used]
    return free[0] if free else PALETTE[len(used) % len(PALETTE)]


def write_tree(path: Path, tree: dict[str, Any]) -> None:
    """Write project.yaml whole or not at all. Raises ConfigError."""
    text = _HEAD + yaml.safe_dump(tree, allow_unicode=True, sort_keys=False, width=100)
    write_or_raise(path, text.encode(), ConfigError)
