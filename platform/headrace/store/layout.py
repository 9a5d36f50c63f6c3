"""How rows lie in a Delta table: days in month partitions, columns in the types that the table has."""

from collections.abc import Sequence
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.arrow import NO_CAST
from headrace.core.days import Days
from headrace.core.errors import StoreError
from headrace.core.names import quoted_text

DAY, MONTH = "_day", "_month"


def in_days(days: Days | None) -> pc.Expression | None:
    """Return the filter that reads some days; None for all."""
    if days is None:
        return None
    return (pc.field(DAY) >= pa.scalar(days.first)) & (pc.field(DAY) <= pa.scalar(days.last))


def may_hold(file: str, days: Days | None) -> bool:
    """Return whether a file may hold rows of some days (None: of any), by the month in its path."""
    month = file.rpartition(f"/{MONTH}=")[2].partition("/")[0] if f"/{MONTH}=" in file else ""
    return not (days and month) or f"{days.first:%Y-%m}" <= month <= f"{days.last:%Y-%m}"


def days_in(rows: pa.Table) -> set[date] | None:
    """Return the days that rows lie in; None where they lie in none."""
    return set(pc.unique(rows[DAY].drop_null()).to_pylist()) if DAY in rows.column_names else None


def days_predicate(days: Days | None) -> str | None:
    """Return the predicate of the rows that a write of some days replaces; None for all."""
    return f"{DAY} >= date '{days.first}' and {DAY} <= date '{days.last}'" if days else None


def files_predicate(files: Sequence[str] | None) -> str | None:
    """Return the predicate of the rows that came from some files; None for all rows, "" for none."""
    if files is None:
        return None
    return f"_file in ({', '.join(quoted_text(file) for file in files)})" if files else ""


def with_month(rows: pa.Table) -> pa.Table:
    """Return the rows with the month that they are partitioned by, if they lie in days."""
    if DAY not in rows.column_names:
        return rows
    return rows.append_column(MONTH, pc.strftime(rows[DAY], format="%Y-%m"))


def month_of(rows: pa.Table) -> list[str] | None:
    """Return the physical partitioning of rows."""
    return [MONTH] if MONTH in rows.column_names else None


def without_month(schema: pa.Schema) -> pa.Schema:
    """Return the columns that a user knows."""
    return pa.schema([column for column in schema if column.name != MONTH])


def same_types(one: pa.Schema, other: pa.Schema) -> bool:
    """Return whether two schemas have the same columns of the same types, in any order."""
    return {c.name: _kind(c.type) for c in one} == {c.name: _kind(c.type) for c in other}


def fitted(rows: pa.Table, types: pa.Schema, name: str) -> pa.Table:
    """Return the rows in the types that the table has; raises StoreError where a value would be lost.

    Delta itself casts without a word: 1.5 written into a bigint column reads as 1.
    """
    there = set(types.names)
    columns = [types.field(column.name) if column.name in there else column for column in rows.schema]
    try:
        return rows.cast(pa.schema(columns))
    except NO_CAST as error:
        mine = {c.name: c.type for c in rows.schema}
        changed = ", ".join(
            f"{c.name} (was {c.type}, is {mine[c.name]})" for c in columns if _kind(c.type) != _kind(mine[c.name])
        )
        raise StoreError(
            f"The columns of '{name}' changed their types: {changed}; {error}. Make all its days again in one run."
        ) from error


def _kind(of: pa.DataType) -> str:
    text = pa.types.is_string(of) or pa.types.is_large_string(of) or pa.types.is_string_view(of)
    return "string" if text else str(of)
