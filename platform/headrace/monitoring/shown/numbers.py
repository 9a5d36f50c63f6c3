"""The numbers that matter as the report shows them: the newest value of each, its unit, and how it went."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from markupsafe import Markup

from headrace.monitoring.facts import ProductFacts
from headrace.monitoring.lines import Point, trend

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
SPANS = ((DAY, 2 * DAY, "d"), (HOUR, HOUR, "h"), (MINUTE, MINUTE, "min"))
"""A unit's seconds, from how many seconds on it is used, and its name."""
SIZES = ((1e9, 1e9, "GB"), (1e6, 1e6, "MB"), (1e3, 1e3, "KB"))
SCALES = {"hours": (HOUR, "s", SPANS), "s": (1.0, "s", SPANS), "bytes": (1.0, "bytes", SIZES)}
WORDS = {"incidents": "", "per 30d": "in 30 days"}
COST, CPU, BYTES = "cost", "cpu_seconds", "bytes"
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Figure:
    """One number: its newest value, and how it went."""

    name: str
    """Its name in the table, and behind that of what it is where there are several."""
    label: str
    value: str
    unit: str
    note: str
    picture: Markup | None
    """None where only one day is known."""
    first: date


@dataclass(frozen=True)
class Spent:
    """What making one asset took."""

    asset: str
    times: int
    cpu: str
    bytes: str
    cost: str


@dataclass(frozen=True)
class Group:
    """Numbers that one looks at together; where one is not known, what makes it known."""

    title: str
    figures: list[Figure]
    otherwise: list[str]


@dataclass(frozen=True)
class _Kind:
    """How a number is shown: all of the same name and day are folded into one, or each stands alone under its `of`."""

    name: str
    label: str
    note: Callable[[Sequence[Row]], str]
    fold: Callable[[Sequence[float]], float] | None = None


def _counted(what: str) -> Callable[[Sequence[Row]], str]:
    return lambda rows: f"{what}: {sum(row['count'] for row in rows):,}"


def _most(rows: Sequence[Row]) -> str:
    return f"of {max(rows, key=lambda row: row['value'])['of']}, the farthest of {len(rows)} columns"


GROUPS: Sequence[tuple[str, Sequence[_Kind], str]] = (
    (
        "Model, data and answers",
        [
            _Kind("realized_quality", "Realized {of}", _counted("labels")),
            _Kind("estimated_quality", "Estimated {of}", _counted("scores without labels")),
            _Kind("drift_score", "Greatest PSI", _most, max),
            _Kind("freshness", "Age of {of}", lambda _: "newest row of that source"),
            _Kind("prediction_latency", "Latency {of}", _counted("requests")),
        ],
        "No request was served and kept lately: `serve: {online: {}, predictions: {share: 1.0}}` and `headrace serve` make "
        "latencies known.",
    ),
    (
        "Cost",
        [
            _Kind("cost_per_model", "A training", _counted("trainings")),
            _Kind("cost_per_1000_predictions", "1,000 predictions", _counted("new scores")),
            _Kind(CPU, "Processor time", _counted("steps"), sum),
            _Kind(COST, "Spent on all assets", _counted("steps"), sum),
        ],
        "What things cost is known with a price: `serve: {price: {cpu_hour: 0.04, gigabyte: 0.01, currency: EUR}}`.",
    ),
    (
        "Releases and incidents",
        [
            _Kind("retraining_frequency", "Trainings", _counted("trainings")),
            _Kind("deployment_frequency", "Releases", _counted("releases")),
            _Kind("deployment_failure_rate", "Taken back", _counted("releases")),
            _Kind("lead_time_hours", "Lead time", _counted("releases")),
            _Kind("deployment_recovery_hours", "Until taken back", _counted("releases")),
            _Kind("time_to_detect_hours", "Time to detect", _counted("incidents")),
            _Kind("time_to_restore_hours", "Time to restore", _counted("incidents")),
            _Kind("open_incidents", "Open incidents", _counted("known in all")),
        ],
        "",
    ),
)
"""Title, numbers, and what makes the last of them known where it is not."""


def number_groups(facts: ProductFacts) -> list[Group]:
    """Return the groups of numbers as they are on the newest day that has any; no group before that."""
    if not facts.numbers:
        return []
    return [Group(title, _figures(kinds, facts), _otherwise(kinds, words, facts)) for title, kinds, words in GROUPS]


def newest_numbers(facts: ProductFacts) -> list[Row]:
    """Return the rows of the newest day that has numbers."""
    newest = max((row["day"] for row in facts.numbers), default=None)
    return [row for row in facts.numbers if row["day"] == newest]


def spent_on(facts: ProductFacts) -> list[Spent]:
    """Return what making each asset took, the dearest in processor time first."""
    by_asset: dict[str, dict[str, Row]] = {}
    for row in newest_numbers(facts):
        if row["name"] in (COST, CPU, BYTES):
            by_asset.setdefault(row["of"], {})[row["name"]] = row
    known = {asset: told for asset, told in by_asset.items() if CPU in told}
    ordered = sorted(known.items(), key=lambda item: -item[1][CPU]["value"])
    return [Spent(asset, told[CPU]["count"], *(_said(told.get(name)) for name in (CPU, BYTES, COST))) for asset, told in ordered]  # fmt: skip


def value_text(value: float, unit: str) -> tuple[str, str]:
    """Return a number and its unit as people read them: spans and sizes in a unit that fits, shares in percent."""
    if unit in SCALES:
        times, least, units = SCALES[unit]
        return _scaled(value * times, least, units)
    if unit in WORDS:
        return f"{value:.3g}", WORDS[unit]
    if unit == "ms" or re.fullmatch("[A-Z]{3}", unit):
        return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}", unit
    return (f"{100 * value:.0f}", "%") if unit == "share" else (f"{value:.3f}", "")


def _scaled(value: float, least: str, units: Sequence[tuple[float, float, str]]) -> tuple[str, str]:
    for size, start, name in units:
        if value >= start:
            return f"{value / size:,.3g}", name
    return f"{value:.3g}", least


def _figures(kinds: Sequence[_Kind], facts: ProductFacts) -> list[Figure]:
    newest = newest_numbers(facts)
    found = []
    for kind in kinds:
        own = [row for row in newest if row["name"] == kind.name and _is_watched(row, facts)]
        parts = [own] if kind.fold and own else [[row] for row in own]
        found += [_figure(kind, rows, facts) for rows in parts]
    return found


def _figure(kind: _Kind, rows: Sequence[Row], facts: ProductFacts) -> Figure:
    of = rows[0]["of"]
    alike = [row for row in facts.numbers if row["name"] == kind.name and (kind.fold or row["of"] == of)]
    by_day: dict[date, list[float]] = {}
    for row in sorted(alike, key=lambda row: row["day"]):
        by_day.setdefault(row["day"], []).append(row["value"])
    points = [Point(day, kind.fold(values) if kind.fold else values[-1]) for day, values in by_day.items()]
    label = kind.label.format(of=of.upper() if "quality" in kind.name else of)
    value, unit = value_text(points[-1].value, rows[0]["unit"])
    picture = trend(f"{label}, {rows[0]['unit']},", points) if len(points) > 1 else None
    name = kind.name if kind.fold or not of else f"{kind.name} {of}"
    return Figure(name, label, value, unit, kind.note(rows), picture, points[0].day)


def _is_watched(row: Row, facts: ProductFacts) -> bool:
    """Return whether a number is shown: of quality that of the metric which is watched, for others always."""
    policy = facts.monitors.quality
    watched = {"realized_quality": policy.metric, "estimated_quality": policy.estimated_metric}
    return row["name"] not in watched or row["of"] == watched[row["name"]]


def _otherwise(kinds: Sequence[_Kind], words: str, facts: ProductFacts) -> list[str]:
    known = {row["name"] for row in newest_numbers(facts)}
    lacking = kinds[-1].name not in known
    return words.split("`") if words and lacking else []


def _said(row: Row | None) -> str:
    return " ".join(value_text(row["value"], row["unit"])) if row else "-"
