"""Answers as tables: of pandas or polars, and for a notebook's page. Knows nothing of answers."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from action_gru.core.errors import ConfigError, MissingExtraError

LIBRARIES = ("pandas", "polars")


def data_frame(columns: Mapping[str, Sequence[Any]], library: str | None = None) -> Any:
    """The columns as a DataFrame. library: of LIBRARIES; by default the one in use, or installed.

    Raises MissingExtraError where there is none, ConfigError for another name.
    """
    if library is not None and library not in LIBRARIES:
        raise ConfigError(f"to_frame: knows {' and '.join(LIBRARIES)}; got {library!r}")
    # Who has imported one of the two works with that one.
    order = sorted(LIBRARIES, key=lambda name: name not in sys.modules)
    for name in [library] if library else order:
        if name in sys.modules or importlib.util.find_spec(name) is not None:
            return importlib.import_module(name).DataFrame(dict(columns))
    raise MissingExtraError(library or "polars", "parquet", "to_frame")


def html_table(header: Sequence[str], rows: Iterable[Sequence[object]], title: str = "") -> str:
    """A table for a notebook; every cell is text, whatever letters are in it."""
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows
    )
    above = f"<p>{escape(title)}</p>" if title else ""
    return f"{above}<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
