"""What callers of the Python API give, checked at the edge: a wrong kind of value is told in words.

Knows no room above it: which error to raise is the caller's.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from action_gru.core.errors import ActionGruError, ConfigError, DataError

Kind = type[ActionGruError]


def path_given(value: Any, what: str, kind: Kind) -> Path:
    """A path as text or a path object. what: 'a run is a folder or a name', for the error."""
    text = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(text, str):
        raise kind(f"{what}; got {brief(value)}")
    if not text.strip() or "\0" in text:
        raise kind(f"{what}; got {text!r}, which names nothing")
    return Path(text)


def number_given(value: Any, name: str, unit: str, kind: Kind, least: float = 0.0) -> float | None:
    """A finite number, at least `least`; None stays None."""
    if value is None:
        return None
    is_number = isinstance(value, int | float) or hasattr(value, "__float__")
    try:
        number = float(value) if is_number and not isinstance(value, bool | str) else math.nan
    except (TypeError, ValueError):  # an array of several numbers has __float__ too
        number = math.nan
    if not (math.isfinite(number) and number >= least):
        raise kind(f"{name}: a number of {unit} from {least:g} on; got {brief(value)}")
    return number


def numbers_given(values: Any, name: str, kind: type[np.floating[Any]]) -> NDArray[Any]:
    """An array of numbers of this kind. Raises DataError."""
    try:
        return np.asarray(values, dtype=kind)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name}: an array of numbers; got {brief(values)}") from error


def whole_given(value: Any, name: str, kind: Kind, most: int) -> int:
    """A whole number from 0 to most."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise kind(f"{name}: a whole number from 0 to {most}; got {brief(value)}")
    return value


def overrides_given(values: Any) -> list[str]:
    """A list of 'a.b=value'. Raises ConfigError, for one text alone, too."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise ConfigError(f"overrides: a list of texts such as ['a.b=value']; got {brief(values)}")
    found = list(values)
    for value in found:
        if not isinstance(value, str):
            raise ConfigError(
                f"overrides: texts such as 'a.b=value'; got {brief(value)} among them"
            )
    return found


def brief(value: Any) -> str:
    """A value in an error: its kind, and itself where that is short."""
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if shape is not None and dtype is not None:
        return f"an array {tuple(shape)} of {dtype}"
    text = repr(value)
    return f"{type(value).__name__} {text}" if len(text) <= 60 else type(value).__name__
