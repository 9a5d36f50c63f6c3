"""The pictures of the report."""

from typing import Any

import numpy as np
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from headrace.core.charts import BLUE, GREY, ORANGE, RED, bars, canvas, histogram
from headrace.core.days import local_day
from headrace.models.plots import evaluation_plots, importance_plot
from headrace.monitoring.facts import Arrived, ProductFacts, newest_drift

HEATMAP_ROWS = 18


def report_charts(facts: ProductFacts) -> dict[str, Figure]:
    """Return every picture for which there are facts, by name."""
    charts: dict[str, Figure] = {}
    if facts.quality:
        charts["quality"] = quality_over_time(facts)
    if facts.drift:
        charts["drift_over_time"] = drift_over_time(facts)
        now = {column: row["value"] for column, row in newest_drift(facts).items()}
        charts["drift_now"] = bars("Drift on the newest day (PSI)", now, facts.monitors.drift.psi)
    if facts.judgement:
        charts |= evaluation_plots(facts.judgement.evaluation)
    if facts.importance:
        charts["importance"] = importance_plot(facts.importance)
    if facts.scores:
        charts["scores"] = histogram("Scores whose label is known", facts.scores, "probability")
    for arrived in facts.arrived:
        if arrived.by_day:
            charts[f"volume_{arrived.source}"] = volume(arrived)
    return charts


def quality_over_time(facts: ProductFacts) -> Figure:
    """Return the realized metric of the trailing window, with releases and refusals marked."""
    known = [row for row in facts.quality if row["value"] is not None]
    figure, axes = canvas(
        f"{known[0]['metric'].upper() if known else 'Quality'} of the scores as they came true", width=9.2
    )
    axes.plot([row["day"] for row in known], [row["value"] for row in known], color=BLUE, linewidth=1.8)
    _mark_decisions(axes, facts)
    quality = facts.monitors.quality
    if quality:
        axes.axhline(quality.floor, color=RED, linewidth=1, linestyle="--")
        axes.annotate(
            f"floor {quality.floor:g}",
            (0, quality.floor),
            xycoords=("axes fraction", "data"),
            xytext=(4, 4),
            textcoords="offset points",
            color=RED,
            fontsize=8,
        )
    _dates(axes)
    return figure


def drift_over_time(facts: ProductFacts) -> Figure:
    """Return a map of PSI by column and day, the columns that moved most on top."""
    rows = [row for row in facts.drift if row["measure"] == "psi"]
    days = sorted({row["day"] for row in rows})
    highest = {c: max(r["value"] for r in rows if r["column"] == c) for c in {r["column"] for r in rows}}
    columns = sorted(highest, key=lambda c: -highest[c])[:HEATMAP_ROWS]
    grid = np.full((len(columns), len(days)), np.nan)
    for row in rows:
        if row["column"] in columns:
            grid[columns.index(row["column"]), days.index(row["day"])] = row["value"]
    limit = facts.monitors.drift.psi
    figure, axes = canvas(
        f"Drift by feature over time (PSI; limit {limit:g})", width=9.2, height=1.0 + 0.2 * len(columns)
    )
    image = axes.imshow(grid, aspect="auto", cmap="YlOrRd", vmin=0, vmax=2 * limit, interpolation="nearest")
    axes.set_yticks(range(len(columns)), columns)
    step = max(1, len(days) // 10)
    axes.set_xticks(range(0, len(days), step), [f"{days[i]:%b %d}" for i in range(0, len(days), step)])
    axes.grid(visible=False)
    figure.colorbar(image, ax=axes, pad=0.01, label="PSI", extend="max")
    return figure


def volume(arrived: Arrived) -> Figure:
    """Return the rows of each day."""
    figure, axes = canvas(f"{arrived.source}: rows a day", width=4.6, height=1.9)
    days: list[Any] = list(arrived.by_day)
    axes.fill_between(days, list(arrived.by_day.values()), color=BLUE, alpha=0.25, linewidth=0)
    axes.plot(days, list(arrived.by_day.values()), color=BLUE, linewidth=1.2)
    axes.set_ylim(bottom=0)
    _dates(axes)
    return figure


def _mark_decisions(axes: Any, facts: ProductFacts) -> None:
    for decision in facts.decisions:
        day = local_day(decision.at, facts.product.timezone)
        released = decision.outcome == "released"
        axes.axvline(day, color=ORANGE if released else GREY, linewidth=1.2, linestyle="-" if released else ":")
        axes.annotate(
            f"{'release' if released else 'refused'} {decision.number}",
            (day, 1),
            xycoords=("data", "axes fraction"),
            xytext=(3, -10),
            textcoords="offset points",
            color=ORANGE if released else GREY,
            fontsize=8,
        )


def _dates(axes: Any) -> None:
    locator = AutoDateLocator(maxticks=8)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
