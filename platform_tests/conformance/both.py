"""One question to both engines, and in which cells the answers differ."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from headrace.core.names import quoted
from headrace.store.engine import Engine
from headrace.store.spark import Spark


@dataclass(frozen=True)
class Both:
    """DuckDB and Spark over the same tables."""

    local: Engine
    spark: Spark

    def ask(self, sql: str, views: Mapping[str, pa.Table]) -> tuple[pa.Table, pa.Table]:
        """Return the answers, each in the order of all its columns."""
        answers = self.local.query(sql, views, origin="asked.sql"), self.spark.query(sql, views, origin="asked.sql")
        return in_order(answers[0]), in_order(answers[1])


def in_order(rows: pa.Table) -> pa.Table:
    """Return rows in the order of all their columns, nulls and NaN wherever they come."""
    told = [tuple(_key(value) for value in row.values()) for row in rows.to_pylist()]
    return rows.take(pa.array(sorted(range(len(told)), key=told.__getitem__), pa.int64()))


def _key(value: Any) -> tuple[int, Any]:
    if value is None:
        return (2, 0)
    if isinstance(value, float) and math.isnan(value):
        return (1, 0)
    return (0, value)


def same(one: Any, other: Any, rel: float = 0.0) -> bool:
    """Return whether two values are one: NaN is NaN, 0.0 is -0.0, and no type stands for another."""
    if isinstance(one, float) and isinstance(other, float):
        if math.isnan(one) or math.isnan(other):
            return math.isnan(one) and math.isnan(other)
        return one == other or math.isclose(one, other, rel_tol=rel, abs_tol=0)
    return type(one) is type(other) and bool(one == other)


def differing(one: pa.Table, other: pa.Table, rel: float = 0.0) -> Sequence[str]:
    """Return the cells in which two tables differ, in words; columns and their types are compared, too."""
    if one.schema.names != other.schema.names or one.schema.types != other.schema.types:
        return [f"{one.schema} is not {other.schema}"]
    if one.num_rows != other.num_rows:
        return [f"{one.num_rows} rows are not {other.num_rows}"]
    found = []
    for name in one.column_names:
        pairs = zip(one[name].to_pylist(), other[name].to_pylist(), strict=True)
        found += [f"{quoted(name)} of row {n}: {a!r}, {b!r}" for n, (a, b) in enumerate(pairs) if not same(a, b, rel)]
    return found
