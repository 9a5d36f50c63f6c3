"""The picture of a back-test."""

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from headrace.backtest.result import WEEK, Backtest
from headrace.core.charts import BLUE, GREY, ORANGE, RED, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = (GREY, BLUE, ORANGE, "#3f8f5f", "#7d5ba6", "#b0893b")
WIDE, HIGH = 11.4, 2.6


def picture_of(found: Backtest) -> "Figure":
    """Return the metric of each week, a line for each policy, and below it when each has trained."""
    figure, (lines, ticks) = panels(
        [f"{found.metric} of each week", "Trainings: released, and refused by a gate (hollow)"], WIDE, HIGH
    )
    names = [one.policy for one in found.policies]
    for place, (one, colour) in enumerate(zip(found.policies, _colours(len(names)), strict=True)):
        known = [(first + timedelta(days=WEEK // 2), value) for first, value in one.weeks if value is not None]
        days: Any = [day for day, _ in known]
        lines.plot(days, [value for _, value in known], color=colour, linewidth=1.6, label=one.policy)
        for released in (True, False):
            days = [training.day for training in one.trainings if training.released == released]
            face = colour if released else "none"
            ticks.plot(days, [place] * len(days), "o", markersize=5, markeredgecolor=colour, markerfacecolor=face)
    _limits(lines, found.limit)
    lines.legend(
        frameon=False, fontsize=8, ncols=len(names), loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0.2
    )
    ticks.set_yticks(range(len(names)), names)
    ticks.set_ylim(len(names) - 0.4, -0.6)
    return figure


def _colours(count: int) -> Iterator[str]:
    return (COLOURS[number % len(COLOURS)] for number in range(count))


def _limits(axes: Any, limit: str) -> None:
    for part in limit.split(" and "):
        name, _, value = part.partition(" ")
        if name in ("floor", "ceiling"):
            axes.axhline(float(value), color=RED, linewidth=1, linestyle="--")
            at: Any = {"xycoords": ("axes fraction", "data"), "xytext": (4, 3), "textcoords": "offset points"}
            axes.annotate(part, (0, float(value)), color=RED, fontsize=8, **at)
