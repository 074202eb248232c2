"""The words of one language: read from a template file, checked, and put together.

Knows nothing of events or detectors.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from action_gru.errors import ConfigError
from action_gru.safe_yaml import parse_yaml

LANGUAGES = Path(__file__).parent / "languages"
KEY = "describe.language"

# What each template may name.
CLAUSE_NAMES = ("who", "near", "things", "label", "count", "start", "end", "duration")
THING_NAMES = ("name", "count")
TEXTS: dict[str, tuple[str, ...]] = {
    "span": ("start", "end", "duration", "clause"),
    "moment": ("start", "end", "duration", "clause"),
    "nothing": ("duration",),
    "someone": (),
    "numbered": ("thing", "number"),
    "near": ("things",),
    "comma": (),
    "and": ("first", "last"),
}
CLAUSE_FORMS = ("one", "many")
THING_FORMS = ("one", "many", "before_vowel", "near_one", "near_many", "name")
OTHERS = ("numbers", "default", "actions", "thing", "things", "extends")
Forms = dict[str, str]


@dataclass(frozen=True)
class Words:
    """One language. texts: the templates of TEXTS; forms by action label and by class of thing."""

    texts: dict[str, str]
    numbers: tuple[str, ...]
    default: Forms
    actions: dict[str, Forms]
    thing: Forms
    things: dict[str, Forms]

    def number(self, count: int) -> str:
        """two, or 27 where there is no word."""
        return self.numbers[count] if count < len(self.numbers) else str(count)

    def phrase(self, name: str, count: int, *, near: bool = False) -> str:
        """A class of things with its count: a chair, two chairs. near: as after `near`."""
        shown = name.replace("_", " ")
        forms = {**self.thing, **self.things.get(name, {})}
        if name in self.things:
            forms.pop("before_vowel", None)
        if count == 1:
            vowel = shown[:1].lower() in "aeiou" and "before_vowel" in forms
            usual = forms["before_vowel"] if vowel else forms["one"]
            template = forms.get("near_one", usual) if near else usual
        else:
            template = forms.get("near_many", forms["many"]) if near else forms["many"]
        return template.format(name=shown, count=self.number(count))

    def numbered(self, name: str, number: int) -> str:
        """person 3."""
        shown = self.things.get(name, {}).get("name", name.replace("_", " "))
        return self.texts["numbered"].format(thing=shown, number=number)

    def join(self, parts: Sequence[str]) -> str:
        """a chair, two cups and a table."""
        if len(parts) < 2:
            return "".join(parts)
        first = self.texts["comma"].join(parts[:-1])
        return self.texts["and"].format(first=first, last=parts[-1])

    def clause(self, label: str, many: bool) -> str:
        """The template of an action."""
        return self.actions.get(label, self.default)["many" if many else "one"]


def load_words(language: str, templates: dict[str, str] | None = None) -> Words:
    """The words of a language that is shipped, or of a YAML file. Raises ConfigError.

    templates: more actions, label -> template, laid over the file's.
    """
    tree = _read(language)
    actions = {**tree.pop("actions"), **(templates or {})}
    source = _path(language).name
    _check_keys(tree, source)
    texts = {name: _text(tree[name], names, f"{source}: {name}") for name, names in TEXTS.items()}
    return Words(
        texts,
        tuple(map(str, tree["numbers"])),
        _forms(tree["default"], CLAUSE_NAMES, f"{source}: default", CLAUSE_FORMS),
        {
            label: _forms(value, CLAUSE_NAMES, _where(label, templates, source), CLAUSE_FORMS)
            for label, value in actions.items()
        },
        _forms(tree["thing"], THING_NAMES, f"{source}: thing", THING_FORMS),
        {
            name: _forms(value, THING_NAMES, f"{source}: things.{name}", THING_FORMS)
            for name, value in tree["things"].items()
        },
    )


def _where(label: str, templates: dict[str, str] | None, source: str) -> str:
    own = label in (templates or {})
    return f"describe.templates.{label}" if own else f"{source}: actions.{label}"


def _path(language: str) -> Path:
    shipped = LANGUAGES / f"{language}.yaml"
    own = Path(language)
    if own.suffix in (".yaml", ".yml") and own.is_file():
        return own
    if own.name == language and shipped.is_file():
        return shipped
    there = ", ".join(sorted(path.stem for path in LANGUAGES.glob("*.yaml")))
    looked = f" (looked up as {own.absolute()})" if own.suffix in (".yaml", ".yml") else ""
    raise ConfigError(
        f"{KEY}: no templates for '{language}'{looked}; there are {there}, or name a .yaml of "
        "your own"
    )


def _read(language: str) -> dict[str, Any]:
    """The tree of a file, laid over the one that it extends, section by section."""
    path = _path(language)
    try:
        tree = parse_yaml(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not YAML in UTF-8: {' '.join(str(error).split())}") from error
    if not isinstance(tree, dict):
        raise ConfigError(f"{path}: holds no templates; copy one of {LANGUAGES} and change it")
    known = (*TEXTS, *OTHERS)
    for name in tree:
        if name not in known:
            raise ConfigError(f"{path}: unknown key '{name}'{_hint(str(name), known)}")
    _check_kinds(tree, path)
    base = tree.pop("extends", None)
    if base is None:
        return {"actions": {}, "things": {}, **tree}
    if str(base) == language or _path(str(base)).parent != LANGUAGES:
        raise ConfigError(f"{path}: extends names a shipped language, such as en; got '{base}'")
    below = _read(str(base))
    merged = {
        name: {**below[name], **(tree.get(name) or {})} for name in ("actions", "thing", "things")
    }
    return {**below, **tree, **merged}


def _check_kinds(tree: dict[str, Any], path: Path) -> None:
    kinds = {"numbers": list, "actions": dict, "thing": dict, "things": dict}
    for name, kind in kinds.items():
        value = tree.get(name)
        if value is not None and not isinstance(value, kind):
            expected = "a list" if kind is list else "keys with templates"
            raise ConfigError(f"{path}: {name}: expected {expected}, got {value!r}")


def _check_keys(tree: dict[str, Any], source: str) -> None:
    lacking = [name for name in (*TEXTS, "numbers", "default", "thing") if name not in tree]
    if lacking:
        raise ConfigError(
            f"{source}: lacks the key '{lacking[0]}'; add it, or begin the file with 'extends: en'"
        )


def _forms(value: Any, names: Sequence[str], where: str, known: Sequence[str]) -> Forms:
    """A template for each form; a plain text stands for one and many."""
    if isinstance(value, str):
        value = {"one": value, "many": value}
    if not isinstance(value, dict):
        raise ConfigError(f"{where}: expected a text, or the keys one and many; got {value!r}")
    for form in value:
        if form not in known:
            raise ConfigError(f"{where}: unknown form '{form}'{_hint(str(form), known)}")
    for form in CLAUSE_FORMS:
        if form not in value:
            raise ConfigError(f"{where}: lacks the form '{form}'")
    return {form: _text(text, names, f"{where}.{form}") for form, text in value.items()}


def _text(template: Any, names: Sequence[str], where: str) -> str:
    """A template that names nothing but what it may."""
    if not isinstance(template, str):
        raise ConfigError(f"{where}: expected a text, got {template!r}; put it in quotes")
    try:
        parsed = list(string.Formatter().parse(template))
    except ValueError as error:
        raise ConfigError(f"{where}: '{template}' is no template ({error})") from error
    for _, name, spec, conversion in parsed:
        if name is None:
            continue
        if name not in names or spec or conversion:
            allowed = ", ".join(f"{{{one}}}" for one in names) or "nothing in braces"
            raise ConfigError(
                f"{where}: the template names {{{name}}}{_hint(name, names)}; it may name {allowed}"
            )
    return template


def _hint(name: str, known: Sequence[str]) -> str:
    close = get_close_matches(name, known, n=1)
    return f"; did you mean '{close[0]}'?" if close else ""
