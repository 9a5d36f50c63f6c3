"""A row that the contract accepts, made of the contract alone: listed values, the middle of limits, texts that match."""

import math
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from headrace.serving.contract import Column, Rule
from headrace.serving.door import Door
from headrace.serving.matching import text_matching
from headrace.serving.problem import Problem

STAND_IN = "example"


class Sample(NamedTuple):
    """An example of a request."""

    row: dict[str, Any] | None
    """The row, which the door accepts; None where no such row can be made up."""
    notes: dict[str, str]
    """Column → what must be said about its example."""


def sample_row(door: Door, free: Collection[str], known: Mapping[str, Sequence[str]], now: datetime) -> Sample:
    """Return a row that the door accepts, without the `free` columns: those that name it and say as of when.

    `known` are values that may be shown of columns whose contract lists none: the first of them is taken.
    """
    row: dict[str, Any] = {}
    notes: dict[str, str] = {}
    for column in door.columns:
        if column.name in free:
            continue
        value = _value(column, known.get(column.name, ()), now)
        if value == STAND_IN:
            notes[column.name] = f"Its values are not published: '{STAND_IN}' stands for one that nobody knows."
        elif value is None:
            notes[column.name] = "No example of it can be made up from the contract."
        if value is not None or not column.optional:
            row[column.name] = value
    try:
        door.read(msgspec.json.encode(row))
    except Problem:
        return Sample(None, notes)
    return Sample(row, notes)


def _value(column: Column, known: Sequence[str], now: datetime) -> Any:
    """Return a value of a column; None where none can be made up."""
    rule, kind = column.rule, column.type
    if rule.one_of:
        return rule.one_of[0]
    if kind.startswith(("int", "uint", "double", "float", "halffloat")):
        least, most = _within(kind, rule)
        return _number(least, most, whole="int" in kind)
    if "string" in kind:
        return text_matching(rule.matches) if rule.matches is not None else next(iter(known), STAND_IN)
    moment = now.replace(microsecond=0)
    plain = moment if "tz=" in kind else moment.replace(tzinfo=None)
    told = {"bool": False, "date32": moment.date(), "timestamp": plain, "time": moment.time(), "decimal": "1"}
    value = next((value for word, value in told.items() if kind.startswith(word)), None)
    return value.isoformat() if hasattr(value, "isoformat") else value


def _within(kind: str, rule: Rule) -> tuple[float | None, float | None]:
    """Return the limits of a number, no wider than its type."""
    if "int" not in kind:
        return rule.min, rule.max
    bits = int(kind.lstrip("uint"))
    least, most = (0, 2**bits - 1) if kind.startswith("u") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return None if rule.min is None else max(rule.min, least), None if rule.max is None else min(rule.max, most)


def _number(least: float | None, most: float | None, *, whole: bool) -> float | int:
    """Return the middle of two limits, or what is nearest to 1 where one is missing; in few digits if they allow it."""
    low, high = -math.inf if least is None else least, math.inf if most is None else most
    value = low + (high - low) / 2 if math.isfinite(high - low) else min(max(1.0, low), high)
    if whole:
        return math.ceil(value) if math.floor(value) < low else math.floor(value)
    short = float(f"{value:.4g}")
    return short if low <= short <= high else value
