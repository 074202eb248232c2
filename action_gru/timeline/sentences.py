"""Events in words: who does what next to what, from when to when. Knows no model and no picture.

The words of a language are read from a template file, checked, and put together.
"""

from __future__ import annotations

import string
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from action_gru.core.errors import ConfigError
from action_gru.core.safe_yaml import parse_yaml
from action_gru.timeline.events import Event

LANGUAGES = Path(__file__).parent / "languages"

# What each template may name.
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
CLAUSE = ("who", "near", "things", "label", "count", "start", "end", "duration")
THING = ("name", "count")
THING_FORMS = ("one", "many", "before_vowel", "near_one", "near_many", "name")
SECTIONS = {"numbers": list, "actions": dict, "thing": dict, "things": dict}
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
        shown, own = name.replace("_", " "), self.things.get(name, {})
        forms = {**self.thing, **own}
        usual = forms["one" if count == 1 else "many"]
        if count == 1 and not own and shown[:1].lower() in "aeiou":
            usual = forms.get("before_vowel", usual)
        template = forms.get("near_one" if count == 1 else "near_many", usual) if near else usual
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


@dataclass(frozen=True)
class Sighting:
    """How many of each class were detected at an instant."""

    time_s: float
    counts: Mapping[str, int]


@dataclass(frozen=True)
class Sentence:
    """One event in words. counts: of each class, what was typically seen during it."""

    text: str
    event: Event
    counts: dict[str, int]

    def to_json(self) -> dict[str, object]:
        return {"text": self.text, **self.event.to_json(), "seen": self.counts}


def describe(
    events: Sequence[Event],
    sightings: Sequence[Sighting],
    words: Words,
    subjects: Sequence[str] = ("person",),
) -> list[Sentence]:
    """A sentence an event, in order of start.

    sightings: in order of time; none: nothing was looked for. A class counts as often as in the
    middle one of an event's sightings, so that a flicker is left out. subjects: the classes that
    act; the first of them that is seen is who does it, the others are things beside.
    """
    sentences = []
    for event in sorted(events, key=lambda event: (event.start_s, event.person or 0)):
        counts = typical_counts(_during(event, sightings))
        sentences.append(Sentence(_sentence(event, counts, words, subjects), event, counts))
    return sentences


def _during(event: Event, sightings: Sequence[Sighting]) -> Sequence[Sighting]:
    """The sightings of an event; the nearest one where it is shorter than the time between two."""
    times_s = [sighting.time_s for sighting in sightings]
    found = sightings[bisect_left(times_s, event.start_s) : bisect_right(times_s, event.end_s)]
    middle_s = (event.start_s + event.end_s) / 2
    return found or sorted(sightings, key=lambda one: abs(one.time_s - middle_s))[:1]


def typical_counts(sightings: Sequence[Sighting]) -> dict[str, int]:
    """The median count of each class, those that are not 0, most first."""
    names = sorted({name for sighting in sightings for name in sighting.counts})
    middle = {name: int(median(one.counts.get(name, 0) for one in sightings)) for name in names}
    seen = [(name, count) for name, count in middle.items() if count > 0]
    return dict(sorted(seen, key=lambda pair: -pair[1]))


def _sentence(
    event: Event, counts: Mapping[str, int], words: Words, subjects: Sequence[str]
) -> str:
    actor = next((name for name in subjects if counts.get(name)), None)
    count, hidden = 1, [actor]
    if event.person is not None:
        who, hidden = words.numbered((*subjects, "person")[0], event.person), list(subjects)
    elif actor:
        count = counts[actor]
        who = words.phrase(actor, count)
    else:
        who = words.texts["someone"]
    seen = [(name, number) for name, number in counts.items() if name not in hidden]
    things = words.join([words.phrase(name, number, near=True) for name, number in seen])
    times = {
        "start": clock(event.start_s),
        "end": clock(event.end_s),
        "duration": clock(event.duration_s),
    }
    clause = words.actions.get(event.label, words.default)["many" if count > 1 else "one"].format(
        who=who,
        near=words.texts["near"].format(things=things) if things else "",
        things=things,
        label=event.label.replace("_", " "),
        count=words.number(count),
        **times,
    )
    template = "moment" if times["start"] == times["end"] else "span"
    return words.texts[template].format(clause=clause, **times)


def clock(time_s: float) -> str:
    """3.2 -> 00:03, 3723 -> 01:02:03: the second that has begun."""
    minutes, seconds = divmod(int(max(time_s, 0.0) + 1e-6), 60)
    hours, minutes = divmod(minutes, 60)
    head = f"{hours:02d}:" if hours else ""
    return f"{head}{minutes:02d}:{seconds:02d}"


def story(sentences: Sequence[Sentence], words: Words, duration_s: float) -> str:
    """Plain text, a line a sentence; where nothing happened, that it did not."""
    if not sentences:
        return words.texts["nothing"].format(duration=clock(duration_s)) + "\n"
    return "".join(f"{sentence.text}\n" for sentence in sentences)


def load_words(language: str, templates: dict[str, str] | None = None) -> Words:
    """The words of a language that is shipped, or of a YAML file. Raises ConfigError.

    templates: label -> template of more actions; they replace the file's.
    """
    tree, source, own = _read(language), _path(language).name, templates or {}
    for name in (*TEXTS, "numbers", "default", "thing"):
        if name not in tree:
            raise ConfigError(
                f"{source}: lacks the key '{name}'; add it, or begin the file with 'extends: en'"
            )

    return Words(
        {name: _text(tree[name], names, f"{source}: {name}") for name, names in TEXTS.items()},
        tuple(map(str, tree["numbers"])),
        _forms(tree["default"], CLAUSE, f"{source}: default"),
        {
            label: _forms(value, CLAUSE, f"{source}: actions.{label}")
            for label, value in tree["actions"].items()
            if label not in own
        }
        | {
            label: _forms(text, CLAUSE, f"describe.templates.{label}")
            for label, text in own.items()
        },
        _forms(tree["thing"], THING, f"{source}: thing", THING_FORMS),
        {
            name: _forms(value, THING, f"{source}: things.{name}", THING_FORMS)
            for name, value in tree["things"].items()
        },
    )


def _path(language: str) -> Path:
    own, shipped = Path(language), LANGUAGES / f"{language}.yaml"
    is_file_name = own.suffix in (".yaml", ".yml")
    if is_file_name and own.is_file():
        return own
    if own.name == language and shipped.is_file():
        return shipped
    known = ", ".join(sorted(path.stem for path in LANGUAGES.glob("*.yaml")))
    looked = f" (looked up as {own.absolute()})" if is_file_name else ""
    raise ConfigError(
        f"describe.language: no templates for '{language}'{looked}; there are {known}, or name a "
        ".yaml of your own"
    )


def _read(language: str) -> dict[str, Any]:
    """The tree of a file; its keys replace those of the file it extends, section by section."""
    path = _path(language)
    try:
        tree = parse_yaml(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not YAML in UTF-8: {' '.join(str(error).split())}") from error
    if not isinstance(tree, dict):
        raise ConfigError(f"{path}: holds no templates; copy one of {LANGUAGES} and change it")
    known = (*TEXTS, *SECTIONS, "default", "extends")
    for name, value in tree.items():
        kind = SECTIONS.get(name)
        if name not in known:
            raise ConfigError(f"{path}: unknown key '{name}'{_hint(str(name), known)}")
        if kind is not None and value is not None and not isinstance(value, kind):
            expected = "a list" if kind is list else "keys with templates"
            raise ConfigError(f"{path}: {name}: expected {expected}, got {value!r}")
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


def _forms(
    value: Any, names: Sequence[str], where: str, known: Sequence[str] = ("one", "many")
) -> Forms:
    """A template for each form; a plain text is used for one and many."""
    if isinstance(value, str):
        value = {"one": value, "many": value}
    if not isinstance(value, dict):
        raise ConfigError(f"{where}: expected a text, or the keys one and many; got {value!r}")
    for form in (*value, "one", "many"):
        if form not in known:
            raise ConfigError(f"{where}: unknown form '{form}'{_hint(str(form), known)}")
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
        if name is not None and (name not in names or spec or conversion):
            allowed = ", ".join(f"{{{one}}}" for one in names) or "nothing in braces"
            raise ConfigError(
                f"{where}: the template names {{{name}}}{_hint(name, names)}; it may name {allowed}"
            )
    return template


def _hint(name: str, known: Sequence[str]) -> str:
    close = get_close_matches(name, known, n=1)
    return f"; did you mean '{close[0]}'?" if close else ""
