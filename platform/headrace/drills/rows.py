"""The next day's rows: those of an earlier day with its times moved, so that a healthy day is like those before it."""

import re
from collections.abc import Collection
from datetime import date, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.days import DAY, Days
from headrace.core.errors import DataError, Refused
from headrace.declaration import ProductDeclaration
from headrace.sources.declaration import Source
from headrace.sources.known import known_files
from headrace.sources.read import FILE, MALFORMED
from headrace.store.site import Site
from headrace.store.tables import DAY as TABLE_DAY

WEEK = 7
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_PARTS = ("year", "month", "day")


def daily_sources(declared: ProductDeclaration) -> dict[str, Source]:
    """Return the sources whose next day a drill can land: files by day, in a folder of the project."""
    return {
        name: source
        for name, source in declared.sources.items()
        if source.files and source.partition and not source.in_bucket
    }


def model_day(newest: date, day: date) -> date:
    """Return the day of the newest week that a later day is made like: the same weekday."""
    return day - DAY * WEEK * (-(-(day - newest).days // WEEK))


def newest_day(site: Site, name: str) -> date:
    """Return the newest day that has rows of a source; raises Refused where none has."""
    table = site.product.table("raw", name)
    newest: date | None = None
    if site.tables.exists(table):
        newest = pc.max(site.tables.read(table, columns=[TABLE_DAY])[TABLE_DAY]).as_py()
    if newest is None:
        raise Refused(f"Source '{name}' has no rows by day yet: a drill makes the next day of those before it.")
    return newest


def landed_rows(site: Site, name: str, source: Source, of: date) -> tuple[pa.Table, str]:
    """Return the rows of a day as they landed, and the file that holds most of them; raises DataError where there are none."""
    columns = list(known_files(site, name, source).columns)
    table = site.product.table("raw", name)
    rows = site.tables.read(table, days=Days(of, of), columns=[*columns, FILE, MALFORMED])
    rows = rows.filter(pc.is_null(rows[MALFORMED]))
    if not rows.num_rows:
        raise DataError(f"Source '{name}' has no rows of {of}: a drill makes the next week of the newest whole one.")
    counts = pc.value_counts(rows[FILE]).to_pylist()
    return rows.select(columns), max(counts, key=lambda counted: int(counted["counts"]))["values"]


def moved(rows: pa.Table, of: date, day: date, keys: Collection[str]) -> pa.Table:
    """Return the rows of one day as those of a later one, with other keys.

    Moved are columns of dates and times, typed or as ISO 8601 text, and columns `year`, `month` and `day` that say the day.
    """
    for place, name in enumerate(rows.column_names):
        column = rows[name].combine_chunks()
        made = _later(name, column, of, day)
        if made is None and name in keys:
            made = _renamed(column, of, day)
        if made is not None:
            rows = rows.set_column(place, name, made)
    return rows


def _later(name: str, column: pa.Array, of: date, day: date) -> pa.Array | None:
    """Return a column of times moved; None for any other."""
    span = day - of
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        return pa.array([value + span if value else None for value in column.to_pylist()], column.type)
    values = column.to_pylist()
    known = [value for value in values if value not in (None, "")]
    if known and all(isinstance(value, str) and _DATE.match(value) for value in known):
        return pa.array([_text_later(value, span) if value else value for value in values], column.type)
    if known and name.lower() in _PARTS and all(_is_number(v, getattr(of, name.lower())) for v in known):
        part = getattr(day, name.lower())
        return pa.array([value and type(value)(part) for value in values], column.type)
    return None


def _text_later(text: str, span: timedelta) -> str:
    return f"{date.fromisoformat(text[:10]) + span}{text[10:]}"


def _is_number(value: Any, number: int) -> bool:
    return str(value).isdigit() and int(value) == number


def _renamed(column: pa.Array, of: date, day: date) -> pa.Array:
    """Return keys that no row has had: with the new day in the place of the old one, else behind them."""
    values = column.to_pylist()
    if all(str(value).isdigit() for value in values if value is not None):
        digits = len(str(max((int(value) for value in values if value is not None), default=0)))
        beyond = int(f"{day:%y%m%d}") * 10**digits
        return pa.array([None if v is None else type(v)(int(v) + beyond) for v in values], column.type)
    return pa.array([None if value is None else _text_renamed(str(value), of, day) for value in values], column.type)


def _text_renamed(text: str, of: date, day: date) -> str:
    for form in ("%Y-%m-%d", "%Y%m%d"):
        if f"{of:{form}}" in text:
            return text.replace(f"{of:{form}}", f"{day:{form}}")
    return f"{text}-{day:%Y%m%d}"


def keys_of(declared: ProductDeclaration, name: str) -> set[str]:
    """Return the columns of a source that tell its rows apart, as far as that is declared."""
    contract = declared.contracts.get(name)
    unique = {column for column, rules in contract.columns.items() if rules.unique} if contract else set()
    combined = {column for columns in contract.unique for column in columns[:1]} if contract else set()
    return unique | combined | ({declared.label.entity} if declared.label else set())


def is_numeric(column: pa.ChunkedArray) -> bool:
    """Return whether a landed column holds numbers, more than two different ones."""
    known = [value for value in column.to_pylist() if value not in (None, "")]
    return len(set(known)) > len((True, False)) and all(number_of(value) is not None for value in known)


def number_of(value: Any) -> float | None:
    """Return the number that a landed value is; None where it is none."""
    if isinstance(value, bool):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def shifted(rows: pa.Table, column: str, by: float, within: tuple[float | None, float | None]) -> pa.Table:
    """Return rows with `by` added to a column of numbers, within bounds; whole numbers stay whole."""
    values = rows[column].to_pylist()
    whole = all(number_of(v) is None or float(v).is_integer() for v in values)
    made = [
        value if number_of(value) is None else _written(value, _bounded(float(value) + by, within), whole)
        for value in values
    ]
    return rows.set_column(rows.column_names.index(column), column, pa.array(made, rows.schema.field(column).type))


def _written(before: Any, value: float, whole: bool) -> Any:
    number = round(value) if whole else round(value, 6)
    return str(number) if isinstance(before, str) else type(before)(number)


def _bounded(value: float, within: tuple[float | None, float | None]) -> float:
    least, most = within
    value = value if most is None else min(value, most)
    return value if least is None else max(value, least)


def replaced(rows: pa.Table, column: str, value: Any, share: float) -> pa.Table:
    """Return rows of which the first share has another value in a column."""
    count = max(1, round(rows.num_rows * share))
    made = [value] * count + rows[column].to_pylist()[count:]
    return rows.set_column(rows.column_names.index(column), column, pa.array(made, rows.schema.field(column).type))


def spread_of(rows: pa.Table, column: str) -> float:
    """Return the standard deviation of a landed column's numbers."""
    numbers = [float(value) for value in rows[column].to_pylist() if number_of(value) is not None]
    return float(pc.stddev(pa.array(numbers)).as_py() or 0.0)
