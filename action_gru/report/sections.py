"""The report's sections on order, time and trust, in Markdown. Takes no decision."""

from __future__ import annotations

from action_gru.channels import ROWS, SECONDS
from action_gru.report.anytime import AnytimeReport
from action_gru.report.confidence import ConfidenceReport
from action_gru.report.markdown import NONE, escape, percent, table
from action_gru.report.metrics import expected_calibration_error
from action_gru.report.order import CHANGES, ClassOrder, Cost, OrderReport


def order_markdown(report: OrderReport) -> str:
    """What losing the order of the frames, or some frames, costs."""
    changes = [change for change in CHANGES if change in report.overall.costs]
    rows = [_order_row(row, changes) for row in (report.overall, *report.classes)]
    header = ["", "verdict", "clips", "accuracy", *(CHANGES[change] for change in changes)]
    return (
        f"## Does it use the order of the frames?\n\n**{escape(report.sentence)}**\n\n"
        + (f"{escape(report.overall_sentence)}\n\n" if report.overall_sentence else "")
        + table(header, rows, align="llrr" + "r" * len(changes))
        + "\n\nPoints of accuracy lost, with 95% intervals over groups; each clip is compared with "
        "itself. A class needs order if shuffling or reversing costs it at least 10 points and the "
        "interval of that loss lies above 0; appearance suffices if both intervals end below 10 "
        "points; nothing is said where guessing might be as good. The features of a frame are kept "
        "whole: motion inside one frame, as the motion, accel and focus views see it, survives any "
        "order.\n\n![order](order.png)"
    )


def anytime_markdown(report: AnytimeReport) -> str:
    """When the answer could have been given."""
    rows = [
        [label, NONE if settled is None else report.amount(settled)]
        for label, settled in report.settled_s.items()
    ]
    by = "" if report.unit in (SECONDS, ROWS) else f", by {escape(report.unit)}"
    return (
        f"## When could the answer have been given?\n\n**{escape(report.sentence)}**\n\n"
        "Shares and times are read each from its own curve: where clips differ in length, the one "
        "is no translation of the other.\n\n"
        + table(["class", f"right to the end from (median{by})"], rows, align="lr")
        + "\n\n![anytime](anytime.png)"
    )


def confidence_markdown(report: ConfidenceReport) -> str:
    """How far the scores can be trusted, and what the unsure rule gives."""
    before, after = (expected_calibration_error(bins) for bins in (report.before, report.after))
    lines = [
        f"Not calibrated: {escape(report.note)}. Expected calibration error {after:.3f}."
        if report.temperature is None
        else f"Temperature {report.temperature:.2f}, from {escape(report.source)}. Expected "
        f"calibration error {before:.3f} before, {after:.3f} after.",
        f"Perfectly calibrated scores would show about {report.floor:.3f} on so few clips (15 "
        f"equal bins). Area under the risk-coverage curve {report.area:.3f}.",
    ]
    rejection = report.rejection
    if report.note and report.temperature is not None:
        lines.append(f"Unsure rule: {escape(report.note)}.")
    if rejection is not None:
        lines.append(
            f"Unsure below a score of {rejection.threshold:.3f}, chosen for a precision of "
            f"{percent(rejection.applied_precision)}: here {rejection.kept} answers stay "
            f"({percent(rejection.coverage)}), of which {percent(rejection.precision)} are right."
        )
    return (
        "## Can the scores be trusted?\n\n"
        + "\n\n".join(lines)
        + "\n\n![risk_coverage](risk_coverage.png)"
    )


def _order_row(row: ClassOrder, changes: list[str]) -> list[str]:
    costs = [_cost_text(row.costs[change]) for change in changes]
    # The verdict first: a page that is too narrow for the table hides its last columns.
    return [row.label, row.verdict, str(row.clips), percent(row.accuracy), *costs]


def _cost_text(cost: Cost) -> str:
    text = f"{100 * cost.loss:.1f}"
    if cost.interval is None:
        return text
    return f"{text} ({100 * cost.interval[0]:.1f} to {100 * cost.interval[1]:.1f})"
