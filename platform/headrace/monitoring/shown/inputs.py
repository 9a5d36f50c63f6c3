"""The rows that were scored, as the report shows them: each measure of them over the days, and what is beyond its limit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from markupsafe import Markup

from headrace.monitoring.facts import ProductFacts
from headrace.monitoring.inputs.look import CONSTANT, DEGRADED, MISSING, OUT_OF_RANGE, OUTLIERS, UNSEEN
from headrace.monitoring.lines import MOST_POINTS, limited_line

NAMES: Mapping[str, str] = {
    OUTLIERS: "Outliers",
    OUT_OF_RANGE: "Out of range",
    UNSEEN: "Unseen categories",
    MISSING: "Rise of missing values",
    CONSTANT: "One and the same score",
    DEGRADED: "Degraded answers",
}
MOST_ALARMS = 12
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Looked:
    """One measure of a table of scores over the days, by the column that is farthest beyond its limit on each."""

    name: str
    table: str
    column: str
    """Of the newest day; empty where the measure is about whole rows."""
    value: float
    limit: float
    picture: Markup
    first: date
    last: date

    @property
    def is_beyond(self) -> bool:
        """Whether the newest day is beyond its limit."""
        return self.value > self.limit


@dataclass(frozen=True)
class Inputs:
    """What the report shows of the rows that were scored."""

    looked: list[Looked]
    alarms: Sequence[Row]
    """Of the newest day of each table, the farthest beyond its limit first."""
    more: int
    """How many alarms are not shown."""
    rows: dict[str, tuple[date, int]]
    """Table → its newest day, and how many rows that has."""


def scored_inputs(facts: ProductFacts) -> Inputs | None:
    """Return how the scored rows looked over the days; None where no day was looked at."""
    if not facts.inputs:
        return None
    tables = sorted({row["table"] for row in facts.inputs})
    looked = [one for table in tables for measure in NAMES for one in _looked(table, measure, facts.inputs)]
    newest = {table: max(row["day"] for row in facts.inputs if row["table"] == table) for table in tables}
    today = [row for row in facts.inputs if row["day"] == newest[row["table"]]]
    alarms = sorted((row for row in today if row["value"] > row["limit"]), key=_farness, reverse=True)
    rows = {table: (newest[table], next(row["rows"] for row in today if row["table"] == table)) for table in tables}
    return Inputs(looked, alarms[:MOST_ALARMS], max(len(alarms) - MOST_ALARMS, 0), rows)


def _looked(table: str, measure: str, rows: Sequence[Row]) -> list[Looked]:
    by_day: dict[date, Row] = {}
    for row in rows:
        if (row["table"], row["measure"]) == (table, measure):
            by_day[row["day"]] = max(by_day.get(row["day"], row), row, key=_farness)
    days = [by_day[day] for day in sorted(by_day)][-MOST_POINTS:]
    if not days:
        return []
    last = days[-1]
    name = NAMES[measure]
    picture = limited_line(f"{name}, share of rows of {table},", days, "days")
    return [Looked(name, table, _column(last), last["value"], last["limit"], picture, days[0]["day"], last["day"])]


def _column(row: Row) -> str:
    return row["column"] if row["measure"] in (OUT_OF_RANGE, UNSEEN, MISSING) else ""


def _farness(row: Row) -> float:
    return float(row["value"] / row["limit"])
