"""File names among the arguments: with a dash in front, called like overrides, divided by spaces.

Knows no command.
"""

from __future__ import annotations

from pathlib import Path

from action_gru.core.errors import ConfigError
from action_gru.core.paths import is_override

_MOST_WORDS = 8


def files_are_no_options(arguments: list[str]) -> list[str]:
    """`-3abc.mp4`, which `*.mp4` may bring along, -> `./-3abc.mp4` where such a file is there."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    return [f"./{text}" if _is_file_with_dash(text) else text for text in arguments[:end]] + (
        arguments[end:]
    )


def _is_file_with_dash(text: str) -> bool:
    return text.startswith("-") and bool(Path(text).suffix) and _exists(text)


def names_and_overrides(words: list[str]) -> tuple[list[str], list[str]]:
    """The words apart; a file that is called like an override, `a.b=c.mp4`, is a name."""
    overrides = [text for text in words if is_override(text)]
    return [text for text in words if text not in overrides], overrides


def refuse_unquoted(arguments: list[str]) -> None:
    """Raise ConfigError where words together name a path that is there and the first does not."""
    for first, text in enumerate(arguments[1:], start=1):
        start = text.partition("=")[2] or text  # data.manifest=my clips/manifest.csv
        if text.startswith("-") or _exists(start):
            continue
        for last in range(first + 2, min(first + _MOST_WORDS, len(arguments)) + 1):
            whole = " ".join([start, *arguments[first + 1 : last]])
            if _exists(whole):
                raise ConfigError(
                    f"'{whole}' is one path, and its spaces divided it into {last - first} words; "
                    "write it in quotes"
                )


def _exists(text: str) -> bool:
    try:
        return Path(text).exists()
    except (OSError, ValueError):  # too long for a name, or no text
        return False
