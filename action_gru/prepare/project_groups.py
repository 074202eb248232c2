"""Groups of a project's clips that a split can divide, where its own ones are too few.

A user who names one person, or records an action once, still gets a training and a score; what
makes the score too good is told.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from action_gru.core.text import name_some
from action_gru.prepare.project import take_of

Row = Mapping[str, str]


def divisible(rows: Sequence[Row]) -> tuple[list[dict[str, str]], str | None]:
    """The rows of a manifest, no action of one group alone, and what to tell, None if none was.

    An action of one person is divided by takes, one of a single take by clips.
    """
    alone: set[str] = set()  # actions of one group
    found = [dict(row) for row in rows]
    for by_take in (True, False):
        groups: dict[str, set[str]] = defaultdict(set)
        for row in found:
            groups[row["label"]].add(row.get("group") or row["path"])
        single = {name for name, kinds in groups.items() if len(kinds) == 1}
        for row in found:
            if row["label"] in single:
                row["group"] = (by_take and take_of(Path(row["path"]).name)) or ""
        alone |= single
    if not alone:
        return found, None
    return found, (
        f"all clips of {name_some(sorted(alone))} are of one person or take, so single takes or "
        "clips are held out, and the score is too good: record each action a second time"
    )
