"""Text becomes typed columns; a value that does not fit becomes null and is named."""

from collections.abc import Mapping

import pyarrow as pa

from headrace.contracts.declaration import Column, ColumnType
from headrace.core.names import quoted
from headrace.core.sql import instant_sql
from headrace.store.site import Site

_CASTS: Mapping[ColumnType, str] = {
    "string": "{text}",
    "integer": "case when regexp_full_match(trim({text}), '[+-]?[0-9]+') then try_cast(trim({text}) as bigint) end",
    "double": "case when isfinite(try_cast({text} as double)) then try_cast({text} as double) end",
    "boolean": "try_cast(trim({text}) as boolean)",
    "date": "try_cast(trim({text}) as date)",
}
_ARROW: Mapping[ColumnType, pa.DataType] = {
    "string": pa.string(),
    "integer": pa.int64(),
    "double": pa.float64(),
    "boolean": pa.bool_(),
    "timestamp": pa.timestamp("us", "UTC"),
    "date": pa.date32(),
}
_GUESSES: tuple[ColumnType, ...] = ("integer", "double", "boolean", "timestamp")


def cast_rows(site: Site, rows: pa.Table, columns: Mapping[str, Column]) -> pa.Table:
    """Return the declared columns, typed and in order, one row a row. A value that does not fit is null."""
    casts = ", ".join(f"{_cast(site, rows, name, c.type)} as {quoted(name)}" for name, c in columns.items())
    typed = site.engine.query(f"select {casts} from landed", {"landed": rows}, origin="contract")
    return typed.cast(pa.schema([(name, _ARROW[c.type]) for name, c in columns.items()]))


def guess_columns(site: Site, rows: pa.Table, own: tuple[str, ...]) -> dict[str, Column]:
    """Return for each landed column the narrowest type that all its values fit; any may be missing."""
    names = [name for name in rows.column_names if name not in own]
    guesses = {(name, kind): f"count({_cast(site, rows, name, kind)}) = count({quoted(name)})" for name in names for kind in _GUESSES}
    tests = ", ".join(f"{sql} and count({quoted(name)}) > 0 as {quoted(f'{name} {kind}')}" for (name, kind), sql in guesses.items())
    fits = site.engine.query(f"select {tests} from landed", {"landed": rows}, origin="contract").to_pylist()[0]
    return {
        name: Column(type=next((kind for kind in _GUESSES if fits[f"{name} {kind}"]), "string"), nullable=True) for name in names
    }


def columns_of_schema(schema: pa.Schema, own: tuple[str, ...]) -> dict[str, Column]:
    """Return the columns that a table's schema stands for."""
    kinds = {arrow: kind for kind, arrow in _ARROW.items()}
    return {f.name: Column(type=kinds[f.type], nullable=True) for f in schema if f.name not in own}


def _cast(site: Site, rows: pa.Table, name: str, kind: ColumnType) -> str:
    column = quoted(name)
    if not pa.types.is_string(rows.schema.field(name).type):
        return column
    return instant_sql(name, site.product.timezone) if kind == "timestamp" else _CASTS[kind].format(text=column)
