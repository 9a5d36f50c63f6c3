"""The pictures of the report."""

from collections.abc import Iterator, Sequence
from datetime import date
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from headrace.core.charts import BLUE, GREY, ORANGE, RED, bars, canvas
from headrace.core.days import DAY, Days, local_day
from headrace.evaluation.plots import evaluation_plots
from headrace.models.plots import importance_plot
from headrace.monitoring.declaration import Quality
from headrace.monitoring.drift import PSI
from headrace.monitoring.facts import SCORE_BINS, Arrived, ProductFacts, Spread, newest_drift

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HEATMAP_ROWS, BARS = 18, 12
SHARES = ("auc", "average_precision", "accuracy", "precision", "recall")
"""Metrics that are never above 1, whatever a band says."""
PURPLE = "#7a4fb5"
WIDE, HALF = 11.4, 5.4
"""Inches; the page shows all pictures at one scale, so that their texts are equally large."""
PALE_TO_DARK = ["#f1f4f7", "#d5e2ef", "#fbd9a0", "#f2a65a", "#d9632e", "#8f1f1f"]
Mark = tuple[date, str, str]
"""Day, text and colour of a vertical line."""


def report_charts(facts: ProductFacts) -> "dict[str, Figure]":
    """Return every picture for which there are facts, by name, without titles: the page has its own."""
    charts = dict(_charts(facts))
    for figure in charts.values():
        for axes in figure.axes:
            axes.set_title("", loc="left")
    return charts


def quality_over_time(
    rows: Sequence[dict[str, Any]],
    policy: Quality,
    marks: Sequence[Mark],
    estimated: Sequence[dict[str, Any]] = (),
) -> "Figure":
    """Return the realized metric of the trailing window, a line for each model, with decisions marked.

    Behind it lies the band of what was estimated without labels; each realized value has its interval.
    """
    figure, axes = canvas(f"{policy.metric.upper()} of the scores as they came true", width=WIDE, height=2.9)
    expected = [row for row in estimated if row["value"] is not None]
    for own in _by_model(expected):
        _band(axes, own)
    known = [row for row in rows if row["value"] is not None]
    for own in _by_model(known):
        days, values = [row["day"] for row in own], [row["value"] for row in own]
        axes.plot(days, values, color=BLUE, linewidth=1.8, marker=_marker(own), markersize=4)
    sure = [row for row in known if row.get("low") is not None]
    axes.vlines(
        [row["day"] for row in sure],
        [row["low"] for row in sure],
        [row["high"] for row in sure],
        color=BLUE,
        alpha=0.25,
        linewidth=1,
    )
    for day, text, colour in marks:
        axes.axvline(day, color=colour, linewidth=1.2, linestyle="-" if colour == ORANGE else ":")  # type: ignore[arg-type]
        _note(axes, text, (day, 1), ("data", "axes fraction"), colour)
    for name, limit in (("floor", policy.floor), ("ceiling", policy.ceiling)):
        if limit is not None:
            axes.axhline(limit, color=RED, linewidth=1, linestyle="--")
            _note(axes, f"{name} {limit:g}", (0, limit), ("axes fraction", "data"), RED)
    axes.set_ylabel(policy.metric.upper())
    axes.margins(y=0.25)
    if policy.metric in SHARES:
        axes.set_ylim(top=min(axes.get_ylim()[1], 1.0))
    if known or expected or marks:
        _dates(axes)
    return figure


def _by_model(rows: Sequence[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    for _, own in groupby(rows, key=lambda row: row["model"]):
        yield list(own)


def _marker(rows: Sequence[object]) -> str | None:
    return "o" if len(rows) == 1 else None


def _band(axes: Any, rows: Sequence[dict[str, Any]]) -> None:
    days, (values, low, high) = (
        [row["day"] for row in rows],
        ([row[k] for row in rows] for k in ("value", "low", "high")),
    )
    axes.plot(days, values, color=PURPLE, linewidth=1.2, linestyle="--", marker=_marker(rows), markersize=4)
    axes.fill_between(days, low, high, color=PURPLE, alpha=0.15, linewidth=0)


def drift_over_time(facts: ProductFacts) -> "Figure":
    """Return a map of PSI by column and day, the columns that moved most on top, dark what is beyond the limit."""
    from matplotlib.colors import BoundaryNorm, ListedColormap

    value = {(row["column"], row["day"]): row["value"] for row in facts.drift if row["measure"] == PSI}
    days = sorted({day for _, day in value})
    highest = {c: max(v for (column, _), v in value.items() if column == c) for c in {c for c, _ in value}}
    columns = sorted(highest, key=lambda c: (-highest[c], c))[:HEATMAP_ROWS]
    grid = np.array([[value.get((column, day), np.nan) for day in days] for column in columns])
    limit = facts.monitors.drift.psi
    bounds = [0, limit / 2, limit, 2 * limit, 4 * limit, 8 * limit]
    figure, axes = canvas("Drift by column over time", width=WIDE, height=max(2.2, 0.9 + 0.21 * len(columns)))
    colours = ListedColormap(PALE_TO_DARK)
    image = axes.imshow(
        grid,
        aspect="auto",
        cmap=colours,
        norm=BoundaryNorm(bounds, len(PALE_TO_DARK), extend="max"),
        interpolation="nearest",
    )
    axes.set_yticks(range(len(columns)), columns)
    step = max(1, -(-len(days) // 12))
    axes.set_xticks(range(0, len(days), step), [f"{day:%b} {day.day}" for day in days[::step]])
    axes.grid(visible=False)
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    bar = figure.colorbar(image, ax=axes, pad=0.01, aspect=30, format="%.3g")
    bar.set_label(f"PSI, limit {limit:g}")
    return figure


def drift_now(psi: dict[str, float], limit: float) -> "Figure":
    """Return the PSI of the columns that moved most, beside a table of them."""
    farthest = dict(sorted(psi.items(), key=lambda item: -item[1]))
    figure = bars("PSI now", farthest, limit, most=BARS)
    figure.set_size_inches(HALF, 0.8 + 0.24 * min(len(psi), BARS))
    for text in figure.axes[0].texts:
        text.remove()
    return figure


def score_spread(spread: Spread) -> "Figure":
    """Return how the scores of what came true and of what did not are spread."""
    figure, axes = canvas("Scores by what came true", width=HALF, height=2.5)
    edges = np.linspace(0, 1, SCORE_BINS + 1)
    for counts, name, colour in ((spread.negatives, "did not", BLUE), (spread.positives, "came true", ORANGE)):
        total = sum(counts)
        if total:
            shares = np.array(counts) / total
            axes.stairs(shares, edges, fill=True, alpha=0.3, color=colour)
            axes.stairs(shares, edges, color=colour, linewidth=1.4, label=f"{name} ({total:,})")
    axes.set(xlabel="score", ylabel="share of rows", xlim=(0, 1))
    axes.legend(frameon=False, fontsize=8)
    return figure


def volume(arrived: Arrived) -> "Figure":
    """Return the rows of each day."""
    figure, axes = canvas(f"{arrived.source}: rows a day", width=HALF, height=1.9)
    days = list(Days(min(arrived.by_day), max(arrived.by_day)))
    edges = np.array([*days, days[-1] + DAY], dtype="datetime64[D]")
    axes.stairs([arrived.by_day.get(day, 0) for day in days], edges, fill=True, color=BLUE, alpha=0.8)
    axes.set_ylim(bottom=0)
    axes.grid(visible=False, axis="x")
    _dates(axes)
    return figure


def decision_marks(facts: ProductFacts) -> list[Mark]:
    """Return a vertical line for each release, refusal and erasure."""
    zone = facts.product.timezone
    return [
        (local_day(d.at, zone), f"release {d.number}", ORANGE)
        if d.goes_live
        else (local_day(d.at, zone), f"{d.outcome} {d.number}", GREY)
        for d in facts.decisions
    ]


def _charts(facts: ProductFacts) -> Any:
    yield from _quality(facts)
    if any(row["measure"] == PSI for row in facts.drift):
        yield "drift_over_time", drift_over_time(facts)
    psi = {row["column"]: row["value"] for row in newest_drift(facts) if row["measure"] == PSI}
    if psi:
        yield "drift_now", drift_now(psi, facts.monitors.drift.psi)
    if facts.live and facts.live.judgement:
        yield from evaluation_plots(facts.live.judgement.evaluation).items()
    if facts.live and facts.live.importance:
        figure = importance_plot(dict(list(facts.live.importance.items())[:BARS]))
        figure.set_size_inches(WIDE, figure.get_size_inches()[1])
        yield "importance", figure
    if facts.spread:
        yield "spread", score_spread(facts.spread)
    for arrived in facts.arrived:
        if arrived.by_day:
            yield f"volume_{arrived.source}", volume(arrived)


def _quality(facts: ProductFacts) -> "Iterator[tuple[str, Figure]]":
    """Yield the metric that is watched with its estimates; those of another metric in a picture of their own."""
    policy, marks = facts.monitors.quality, decision_marks(facts)
    together = policy.estimated_metric == policy.metric
    estimated = facts.estimated if together else []
    if any(row["value"] is not None for row in [*facts.quality, *estimated]):
        yield "quality", quality_over_time(facts.quality, policy, marks, estimated)
    if not together and any(row["value"] is not None for row in facts.estimated):
        limits = {"floor": policy.estimated.floor, "ceiling": policy.estimated.ceiling}
        own = policy.model_copy(update={"metric": policy.estimated_metric, **limits})
        yield "estimated", quality_over_time(facts.came_true, own, marks, facts.estimated)


def _note(axes: Any, text: str, at: tuple[Any, float], coordinates: tuple[str, str], colour: str) -> None:
    below = coordinates[1] == "axes fraction"
    axes.annotate(
        text,
        at,
        xycoords=coordinates,
        xytext=(4, -9 if below else 3),
        textcoords="offset points",
        color=colour,
        fontsize=8,
        annotation_clip=False,
    )


def _dates(axes: Any) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    first, last = axes.get_xlim()
    shown = {day for line in axes.get_lines() for day in line.get_xdata(orig=False) if first < day < last}
    if shown and max(shown) - min(shown) < (last - first) / 2:
        axes.set_xlim(min(shown) - 1, max(shown) + 1)
    locator = AutoDateLocator(maxticks=8)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
