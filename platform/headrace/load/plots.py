"""The picture of a load test: how long answers take, and how many requests go without, against the rate."""

from typing import TYPE_CHECKING

from headrace.core.charts import BLUE, GREY, ORANGE, RED, panels
from headrace.load.report import Report

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWN = {"p50_ms": ("p50", GREY), "p95_ms": ("p95", ORANGE), "p99_ms": ("p99", BLUE)}


def load_plot(report: Report) -> "Figure":
    """Return latency above, and below it what was answered and what was not, both against the rate that was asked."""
    figure, (latency, answers) = panels((f"{report.product}: latency of answers", "What became of the requests"))
    loaded = [report.overload.loaded] if report.overload else []
    steps = sorted([*report.steps, *loaded], key=lambda step: step.rate)
    for name, (label, colour) in SHOWN.items():
        known = [(step.rate, value) for step in steps if (value := getattr(step, name)) is not None]
        latency.plot(
            [r for r, _ in known], [ms for _, ms in known], color=colour, marker="o", markersize=3, label=label
        )
    latency.axhline(
        report.bounds.p99, color=RED, linewidth=1, linestyle="--", label=f"p99 within {report.bounds.p99:g} ms"
    )
    latency.set(yscale="log", ylabel="milliseconds")
    latency.legend(fontsize=8, frameon=False)
    rates = [step.rate for step in steps]
    answers.plot(rates, rates, color=GREY, linewidth=1, linestyle=":", label="asked")
    answers.plot(rates, [s.answered / s.seconds for s in steps], color=BLUE, marker="o", markersize=3, label="answered")
    answers.plot(
        rates, [s.failed / s.seconds for s in steps], color=RED, marker="o", markersize=3, label="refused or failed"
    )
    answers.set(xlabel="requests asked a second", ylabel="requests a second")
    for axes in (latency, answers):
        _mark_capacity(axes, report)
    answers.legend(fontsize=8, frameon=False)
    return figure


def _mark_capacity(axes: "Axes", report: Report) -> None:
    if report.capacity is not None:
        axes.axvline(
            report.capacity, color=GREY, linewidth=1, linestyle="--", label=f"capacity {report.capacity:,.0f}/s"
        )
