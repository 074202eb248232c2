"""Draws what is gained by not answering. Knows nothing of models."""

from __future__ import annotations

from matplotlib.figure import Figure

from action_gru.report.confidence import ConfidenceReport
from action_gru.report.pictures import BLUE, GREY, ORANGE, new_figure, strip_frame


def risk_coverage_picture(report: ConfidenceReport) -> Figure:
    """The share of wrong answers as ever less sure ones are given."""
    figure = new_figure(5.0, 4.2)
    axes = figure.subplots()
    coverage, risk = zip(*report.risk_coverage, strict=True)
    axes.plot([100 * share for share in coverage], [100 * share for share in risk], color=BLUE)
    rejection = report.rejection
    if rejection is not None:
        is_stated = rejection.applied_precision == rejection.stated_precision
        allowed = 100 * (1 - rejection.applied_precision)
        label = f"{'stated' if is_stated else 'supported'}: {allowed:.0f}% wrong"
        axes.axhline(allowed, color=GREY, linestyle=":", label=label)
    if rejection is not None and rejection.precision is not None:
        axes.plot(
            [100 * rejection.coverage], [100 * (1 - rejection.precision)], color=ORANGE,
            marker="D", linestyle="none", clip_on=False,
            label=f"unsure below {rejection.threshold:.2f}",
        )  # fmt: skip
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        figure.legend(
            handles, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=9
        )
    axes.set(xlim=(0, 101), xlabel="answers given, % of the clips", ylabel="of these wrong, %")
    axes.set_ylim(bottom=0)
    axes.set_title(f"area under the curve {report.area:.3f}", fontsize=10)
    strip_frame(axes)
    return figure
