"""Lists and times in sentences. Knows nothing of what they tell of."""

from __future__ import annotations

from collections.abc import Sequence

MOST_NAMED = 5


def name_some(names: Sequence[str], most: int = MOST_NAMED) -> str:
    """'a, b and c', or the first few: 'a, b and 298 more'; '' for none.

    Of one name too many there is no more to say than that name.
    """
    if not names:
        return ""
    shown = list(names) if len(names) <= most + 1 else [*names[:most], f"{len(names) - most} more"]
    return " and ".join(part for part in (", ".join(shown[:-1]), shown[-1]) if part)


def name_or_count(labels: Sequence[str], of: int) -> str:
    """The labels where they are few, else how many of all classes they are."""
    if len(labels) <= MOST_NAMED:
        return name_some(labels)
    return f"{len(labels)} of {of} classes"


def clock_text(time_s: float) -> str:
    """3.21 -> 0:03.2, 3723.0 -> 1:02:03.0."""
    minutes, tenths = divmod(round(abs(time_s) * 10), 600)
    hours, minutes = divmod(minutes, 60)
    head = f"{hours}:{minutes:02d}" if hours else f"{minutes}"
    sign = "-" if time_s < 0 and (hours or minutes or tenths) else ""
    return f"{sign}{head}:{tenths // 10:02d}.{tenths % 10}"
