"""What becomes of the clips that could not be read: told, kept, and too many of them refused.

Knows nothing of how clips are read.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from action_gru.checkpoint import write_run_file
from action_gru.dataset import Clip
from action_gru.errors import DataError
from action_gru.extraction.clip import ExtractionReport, duplicates_across
from action_gru.progress import Reporter


@contextmanager
def telling_how_far(report: ExtractionReport, reporter: Reporter) -> Iterator[None]:
    """When the run ends in an error, its summary is told first."""
    try:
        yield
    except BaseException:
        reporter.say(f"summary: {report.sentence()}", summary=report.counts())
        raise


def keep_quarantine(report: ExtractionReport, reporter: Reporter, folder: Path | None) -> None:
    """Every clip that is left out, with its reason: in the folder, or told where there is none."""
    if folder is not None:
        write_quarantine(report, folder / "quarantine.csv")
        return
    for clip, reason in report.quarantined.items():
        reporter.warn(f"left out {clip}: {reason}", clip=clip, reason=reason)


def write_quarantine(report: ExtractionReport, path: Path) -> None:
    """The clips left out, with the reason of each, as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["clip", "reason"])
    writer.writerows(sorted(report.quarantined.items()))
    write_run_file(path, text.getvalue().encode())


def check_quarantine(report: ExtractionReport, allowed: float, folder: Path | None) -> None:
    """Raise DataError when more than the allowed share of the clips is bad."""
    bad = report.quarantined
    if len(bad) > allowed * report.clips:
        name, reason = sorted(bad.items())[0]
        listed = f"; all are listed in {folder / 'quarantine.csv'}" if folder else ""
        raise DataError(
            f"{len(bad)} of {report.clips} clips cannot be read, more than data.max_bad_share="
            f"{allowed:g} allows; the first is {name}: {reason}{listed}. Mend or drop them, or set "
            "a larger share"
        )


def check_copies(clips: Sequence[Clip], report: ExtractionReport) -> None:
    """Raise DataError when the same moment of the same video stands on two sides of the split."""
    copies = duplicates_across(clips, report.content)
    if copies:
        first, second = copies[0]
        raise DataError(
            f"{first.name} ({first.split}) and {second.name} ({second.split}) are the same video "
            f"on two sides of the split ({len(copies)} such pairs): the score would be too good. "
            "Keep one of them, or write data.allow_leakage: true"
        )
