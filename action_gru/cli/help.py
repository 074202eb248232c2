"""How help looks: plain lines that fit a small terminal, without frames."""

from __future__ import annotations

import textwrap
from typing import Any

from typer.core import TyperCommand, TyperGroup

WIDTH, MOST_NAMES = 80, 28  # columns; of an option with its value

KINDS = {"<int range>": "N", "<int>": "N", "<float range>": "X", "<float>": "X", "<str>": "TEXT"}


def page(command: Any, context: Any) -> str:
    """The help of one command: how it is called, what it does, its words and options, an example.

    80 columns wide whatever the terminal: longer lines are read badly.
    """
    words = [param for param in command.get_params(context) if not getattr(param, "hidden", False)]
    given = [(param, _record(param, context)) for param in words]
    names = [named for param, named in given if param.param_type_name == "argument"]
    options = [named for param, named in given if param.param_type_name != "argument"]
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    usage = usage.translate({ord("{"): None, ord("}"): None})  # typer's marks of what is required
    parts = [_wrapped("Usage: ", usage), _wrapped("", command.help or "")]
    parts += [_table(rows) for rows in (names, options) if rows]
    if commands := getattr(command, "commands", {}):
        shown = [(name, commands[name]) for name in command.list_commands(context)]
        parts.append(_table([(name, one.get_short_help_str(WIDTH)) for name, one in shown]))
    if command.epilog:
        parts.append(command.epilog)
    return "\n\n".join(parts)


def _record(param: Any, context: Any) -> tuple[str, str]:
    """('-m, --model MODEL', what it is). Of a range its limits, as '[x>=1]', stand at the end."""
    record = param.get_help_record(context)
    names, text = record if record is not None else (param.human_readable_name, "")
    for kind, short in KINDS.items():
        names = names.replace(kind, short)
    return names, " ".join(text.replace("[required]", "").split())


def _wrapped(start: str, text: str, indent: int | None = None) -> str:
    further = " " * (len(start) if indent is None else indent)
    text = " ".join(text.split())
    return textwrap.fill(text, WIDTH, initial_indent=start, subsequent_indent=further)


def _table(rows: list[tuple[str, str]]) -> str:
    """Names in a column, and what they are beside it; below where a name is long."""
    wide = min(MOST_NAMES, max(len(name) for name, _ in rows))
    lines = []
    for name, text in rows:
        start = f"  {name:<{wide}}  "
        if len(name) > wide:
            lines.append(f"  {name}")
            start = " " * (wide + 4)
        lines.append(_wrapped(start, text, wide + 4) if text else start.rstrip())
    return "\n".join(lines)


class Command(TyperCommand):
    """A command whose help is plain."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        formatter.write(page(self, ctx) + "\n")


class Group(TyperGroup):
    """Commands under one name, whose help is plain."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        formatter.write(page(self, ctx) + "\n")


def overview(group: TyperGroup, context: Any) -> str:
    """Each command in one line below its panel's name; of the last panel the names alone."""
    panels: dict[str, list[Any]] = {}
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is not None and not command.hidden:
            panel = getattr(command, "rich_help_panel", None) or ""
            panels.setdefault(panel, []).append(command)
    *shown, (last, rest) = panels.items()
    path = context.command_path
    lines = [f"Usage: {path} COMMAND ...   ({path} COMMAND --help)", ""]
    for panel, commands in shown:
        for command in commands:
            start = f"{panel if command is commands[0] else '':<12}{command.name:<15}"
            lines.append(start + command.get_short_help_str(WIDTH - len(start)))
        lines.append("")
    names = ", ".join(command.name for command in rest)
    lines += textwrap.wrap(f"{last:<12}{names}", WIDTH, subsequent_indent=" " * 12)
    return "\n".join([*lines, "", "--version   --log-json (progress and errors as JSON on stderr)"])
