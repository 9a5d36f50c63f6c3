"""Where a table is not what its inputs make: which cells, which rows that one side lacks, which columns."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import polars as pl
import pyarrow as pa

from headrace.store.digest import rows_digest

MOST_CELLS = 20
ROW, NOTHING = "the row", "nothing"
LONGEST = 200
"""How many characters are shown of a row that has no key."""
_NUMBER, _HERE, _MADE = "_number", "_here", " made"


@dataclass(frozen=True)
class Cell:
    """One value that is not what its inputs make it, or a row that only one side has."""

    table: str
    key: str
    column: str
    """Its name; `ROW` for a row as a whole."""
    stored: str
    made: str

    def __str__(self) -> str:
        return f"{self.table}, {self.key}, {self.column}: holds {self.stored}, and its inputs make {self.made}"


@dataclass(frozen=True)
class Unlike:
    """How a table differs from what its inputs make."""

    cells: Sequence[Cell]
    """At most 20."""
    whole: str = ""
    """What differs of the table as a whole, in words: the number of rows, columns, types; empty where nothing does."""


def unlike(table: str, stored: pa.Table, made: pa.Table, key: Sequence[str]) -> Unlike | None:
    """Return how stored rows differ from made ones; None where both are the same in any order.

    Rows are paired by key; of a table without one, those that both sides have are left out, and the others stand side by side.
    """
    if rows_digest(stored) == rows_digest(made):
        return None
    cells = list(islice(_cells(table, (stored, made), key), MOST_CELLS))
    whole = "; ".join(_of_the_whole(stored, made))
    return Unlike(cells, whole or ("" if cells else "the same values, written otherwise"))


def _of_the_whole(stored: pa.Table, made: pa.Table) -> Iterator[str]:
    if stored.num_rows != made.num_rows:
        yield f"it has {stored.num_rows:,} rows, and they make {made.num_rows:,}"
    here, there = ({field.name: field.type for field in rows.schema} for rows in (stored, made))
    if set(here) - set(there):
        yield f"columns that only it has: {', '.join(sorted(set(here) - set(there)))}"
    if set(there) - set(here):
        yield f"columns that it lacks: {', '.join(sorted(set(there) - set(here)))}"
    for name in (name for name in here if name in there and here[name] != there[name]):
        yield f"{name} is {here[name]}, and they make {there[name]}"


def _cells(table: str, sides: tuple[pa.Table, pa.Table], key: Sequence[str]) -> Iterator[Cell]:
    """Yield the cells that differ, by key, and the rows that only one side has."""
    stored, made = sides
    names = [name for name in stored.column_names if name in made.column_names]
    if not names:
        return
    known = list(key) if set(key) <= set(names) else []
    one, other = _paired((_as_text(stored, names), _as_text(made, names)), known)
    on = [*known, _NUMBER]
    both = one.join(
        other, on=on, how="full", suffix=_MADE, coalesce=True, nulls_equal=True, maintain_order="left_right"
    )
    for row in both.iter_rows(named=True):
        named = ", ".join(f"{name} {row[name]}" for name in known) or f"row {row[_NUMBER] + 1} of those that differ"
        values = [name for name in names if name not in known]
        if row[_HERE] and row[f"{_HERE}{_MADE}"]:
            for column in (name for name in values if row[name] != row[f"{name}{_MADE}"]):
                yield Cell(table, named, column, str(row[column]), str(row[f"{column}{_MADE}"]))
        elif row[_HERE]:
            yield Cell(table, named, ROW, _shown(row, values, ""), NOTHING)
        else:
            yield Cell(table, named, ROW, NOTHING, _shown(row, values, _MADE))


def _paired(sides: tuple[pl.DataFrame, pl.DataFrame], key: list[str]) -> Iterator[pl.DataFrame]:
    """Yield both sides, each row with the number by which it stands beside one of the other side."""
    names = sides[0].columns
    numbered = [frame.with_columns(pl.int_range(pl.len()).over(key or names).alias(_NUMBER)) for frame in sides]
    for frame, other in zip(numbered, reversed(numbered), strict=True):
        paired = frame
        if not key:
            alone = frame.join(other, on=[*names, _NUMBER], how="anti", nulls_equal=True)
            paired = alone.sort(names).with_columns(pl.int_range(pl.len()).alias(_NUMBER))
        yield paired.with_columns(pl.lit(value=True).alias(_HERE))


def _as_text(rows: pa.Table, names: Sequence[str]) -> pl.DataFrame:
    return pl.DataFrame(rows.select(names)).select(pl.all().cast(pl.String)).sort(pl.all())


def _shown(row: Mapping[str, Any], values: Sequence[str], suffix: str) -> str:
    return ", ".join(f"{name} {row[f'{name}{suffix}']}" for name in values)[:LONGEST] or "a row"
