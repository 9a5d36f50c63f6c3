"""Text becomes typed columns; a value that does not fit, or would lose something, becomes null and is named."""

from collections.abc import Mapping

import pyarrow as pa

from headrace.contracts.declaration import Column, ColumnType
from headrace.core.names import quoted
from headrace.core.sql import instant_sql
from headrace.store.site import Site

_ARROW: Mapping[ColumnType, pa.DataType] = {
    "string": pa.string(),
    "integer": pa.int64(),
    "double": pa.float64(),
    "boolean": pa.bool_(),
    "timestamp": pa.timestamp("us", "UTC"),
    "date": pa.date32(),
}
_GUESSES: tuple[ColumnType, ...] = ("integer", "double", "boolean", "timestamp")
_IS_DOUBLE = """regexp_full_match({text}, '[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?')
  and isfinite(try_cast({text} as double))
  and not coalesce(regexp_full_match({text}, '[+-]?[0-9]{{16,}}')
    and try_cast(try_cast({text} as double) as hugeint) is distinct from try_cast({text} as hugeint), false)"""
"""A number that a double holds: finite, and if it is a long whole one, every digit of it."""
_CODE = "'[+-]?0[0-9]+'"
"""Digits with a leading zero are a code (a postcode, say), not a number, where nobody has declared the type."""


def cast_rows(site: Site, rows: pa.Table, columns: Mapping[str, Column]) -> pa.Table:
    """Return the declared columns, typed and in order, one row a row. A value that does not fit is null."""
    casts = casts_sql(site, rows.schema, columns)
    typed = site.engine.query(f"select {casts} from landed", {"landed": rows}, origin="contract")
    return typed.cast(typed_schema(columns))


def typed_schema(columns: Mapping[str, Column]) -> pa.Schema:
    """Return the Arrow types of declared columns."""
    return pa.schema([(name, _ARROW[column.type]) for name, column in columns.items()])


def casts_sql(site: Site, landed: pa.Schema, columns: Mapping[str, Column]) -> str:
    """Return the projection that makes the declared columns of landed ones."""
    return ", ".join(f"{_cast(site, landed, name, c.type)} as {quoted(name)}" for name, c in columns.items())


def guess_columns(site: Site, rows: pa.Table, own: tuple[str, ...]) -> dict[str, Column]:
    """Return for each landed column the narrowest type that all its values fit; any may be missing."""
    names = [name for name in rows.column_names if name not in own]
    tests = ", ".join(
        f"{_fits(site, rows.schema, name, kind)} as {quoted(f'{name} {kind}')}" for name in names for kind in _GUESSES
    )
    fits = site.engine.query(f"select {tests} from landed", {"landed": rows}, origin="contract").to_pylist()[0]
    return {
        name: Column(type=next((kind for kind in _GUESSES if fits[f"{name} {kind}"]), "string"), nullable=True)
        for name in names
    }


def columns_of_schema(schema: pa.Schema, own: tuple[str, ...]) -> dict[str, Column]:
    """Return the columns that a table's schema stands for."""
    kinds = {arrow: kind for kind, arrow in _ARROW.items()}
    return {f.name: Column(type=kinds.get(f.type, "string"), nullable=True) for f in schema if f.name not in own}


def _fits(site: Site, landed: pa.Schema, name: str, kind: ColumnType) -> str:
    column = quoted(name)
    codes = f"count(*) filter (regexp_full_match(trim(cast({column} as varchar)), {_CODE}))"
    all_fit = f"count({_cast(site, landed, name, kind)}) = count({column}) and count({column}) > 0"
    return f"{all_fit} and {codes} = 0" if kind in ("integer", "double") else all_fit


def _cast(site: Site, landed: pa.Schema, name: str, kind: ColumnType) -> str:
    """Return SQL for one column in one type; a column that the source's own SQL has typed already stays as it is."""
    there = landed.field(name).type
    if there == _ARROW[kind] and kind != "double":
        return quoted(name)
    if pa.types.is_timestamp(there) and there.tz and kind == "timestamp":
        return quoted(name)
    if pa.types.is_string(there) or pa.types.is_string_view(there) or pa.types.is_large_string(there):
        return _read(site, f"trim({quoted(name)})" if kind != "string" else quoted(name), name, kind)
    return _read(site, f"cast({quoted(name)} as varchar)", name, kind)


def _read(site: Site, text: str, name: str, kind: ColumnType) -> str:
    """Return SQL that reads a text as a type, strictly: DuckDB's own casts take 'epoch', '1_000' and 'infinity', too."""
    if kind == "timestamp":
        return instant_sql(name, site.product.timezone)
    casts: Mapping[ColumnType, tuple[str, str]] = {
        "string": ("true", "{text}"),
        "integer": ("regexp_full_match({text}, '[+-]?[0-9]+')", "try_cast({text} as bigint)"),
        "double": (_IS_DOUBLE, "try_cast({text} as double) + 0.0"),  # -0 is 0
        "boolean": ("regexp_full_match(lower({text}), 'true|false|t|f|1|0|yes|no')", "try_cast({text} as boolean)"),
        "date": ("regexp_full_match({text}, '[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}')", "try_cast({text} as date)"),
    }
    condition, value = (part.format(text=text) for part in casts[kind])
    return f"case when {condition} then {value} end"
