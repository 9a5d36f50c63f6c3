"""The report's drill-down: each column's drift over time and its bins, drawn by hand, small, and readable without a script."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from markupsafe import Markup

from headrace.monitoring.columns import ColumnShares
from headrace.monitoring.drift import MISSING, PSI
from headrace.monitoring.facts import ProductFacts, newest_drift
from headrace.monitoring.lines import MOST_POINTS, limited_line

MOST_DAYS, MOST_BINS = 7, 16
REST = "all others"
TINT = 0.25
"""A share that lies this far from the reference's, or farther, has the strongest tint."""
STRONGEST = 30
"""Percent of colour: on more the text could not be read."""


@dataclass(frozen=True)
class Measure:
    """How one measure of a column stands in the newest window, and how it went: a picture, said in its title."""

    name: str
    value: float
    limit: float
    is_alarm: bool
    picture: Markup
    first: date
    last: date
    windows: int


@dataclass(frozen=True)
class Drilled:
    """One column as the page shows it."""

    column: str
    is_ignored: bool
    measures: list[Measure]
    shares: ColumnShares

    @property
    def is_alarm(self) -> bool:
        """Whether a measure is beyond its limit and counts."""
        return not self.is_ignored and any(measure.is_alarm for measure in self.measures)


def drilled(facts: ProductFacts, shares: Sequence[ColumnShares]) -> list[Drilled]:
    """Return each column of the newest window, the farthest beyond its limits first."""
    by_column = {one.column: _few(one) for one in shares}
    newest = newest_drift(facts)
    order = list(dict.fromkeys([*(row["column"] for row in newest), *by_column]))
    ignored = facts.monitors.drift.ignore
    return [
        Drilled(column, column in ignored, list(_measures(column, newest, facts)), by_column[column])
        for column in order
        if column in by_column
    ]


def tint(share: float, reference: float) -> Markup:
    """Return the style of a cell: orange where it holds more of the rows than the training set, blue where less."""
    percent = round(min(abs(share - reference) / TINT, 1) * STRONGEST)
    colour = "--more" if share > reference else "--mark"
    return (
        Markup(' style="background:color-mix(in srgb,var({}) {}%,var(--card))"').format(colour, percent)
        if percent
        else Markup("")
    )


def _measures(column: str, newest: Sequence[dict[str, Any]], facts: ProductFacts) -> Iterator[Measure]:
    for measure, name in ((PSI, "PSI"), (MISSING, "Rise of missing values")):
        now = next((row for row in newest if (row["column"], row["measure"]) == (column, measure)), None)
        if now is None:
            continue
        # The table holds what each model was found on a day, the newest behind: a day counts once, by the last of them.
        same = {row["day"]: row for row in facts.drift if (row["column"], row["measure"]) == (column, measure)}
        history = [same[day] for day in sorted(same)][-MOST_POINTS:]
        first, last = history[0]["day"], history[-1]["day"]
        is_alarm = now["value"] > now["limit"]
        picture = limited_line(f"{name} of {column}", history)
        yield Measure(name, now["value"], now["limit"], is_alarm, picture, first, last, len(history))


def _few(shares: ColumnShares) -> ColumnShares:
    """Return the shares over few bins and days: bins that nobody is in go, of many those that differ least become one."""
    used = [i for i, pair in enumerate(zip(shares.reference, shares.window, strict=True)) if any(pair)]
    differ = sorted(used, key=lambda i: -abs(shares.window[i] - shares.reference[i]))
    kept = sorted(differ[: MOST_BINS - 1]) if len(used) > MOST_BINS else used
    rest = [i for i in used if i not in kept]

    def of(values: list[float]) -> list[float]:
        return [values[i] for i in kept] + ([sum(values[i] for i in rest)] if rest else [])

    return ColumnShares(
        column=shares.column,
        bins=[shares.bins[i] for i in kept] + ([f"{REST} ({len(rest)})"] if rest else []),
        reference=of(shares.reference),
        window=of(shares.window),
        days={day: of(values) for day, values in list(shares.days.items())[-MOST_DAYS:]},
        rows=shares.rows,
    )
