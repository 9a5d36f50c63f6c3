"""Contracts compiled to pandera, and rows split into those that keep them and those that do not, with reasons."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandera.polars as pap
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from pandera.errors import SchemaErrors

from headrace.contracts.declaration import Column, ColumnType, Contract

_DTYPES: Mapping[ColumnType, Any] = {
    "string": pl.String,
    "integer": pl.Int64,
    "double": pl.Float64,
    "boolean": pl.Boolean,
    "timestamp": pl.Datetime("us", "UTC"),
    "date": pl.Date,
}
_RULES = {
    "not_nullable": "nullable",
    "field_uniqueness": "unique",
    "isin": "one_of",
    "greater_than_or_equal_to": "min",
    "less_than_or_equal_to": "max",
    "str_matches": "matches",
}
"""What pandera calls a broken rule, and what the declaration calls it."""
EXAMPLES = 3


@dataclass(frozen=True)
class Failure:
    """One rule that some rows break."""

    column: str
    rule: str
    rows: int
    examples: tuple[str, ...]


@dataclass(frozen=True)
class Rows:
    """Rows to be judged, and what is known about them beforehand."""

    landed: pa.Table
    """As they stand in the files."""
    typed: pa.Table
    """The contract's columns of `landed`, row by row; null where a value does not fit."""
    malformed: list[str | None]
    """For each row: the line, if it was no row at all."""
    timeless: Mapping[int, str] = field(default_factory=dict)
    """Row → why it has no day of its own."""
    earlier: Mapping[str, pa.Array] = field(default_factory=dict)
    """Unique column → values that stand in earlier days."""


@dataclass(frozen=True)
class Checked:
    """The verdict on rows: which are bad and why, in row order."""

    reasons: dict[int, str]
    """Row → why it is bad; rows that are not named are good."""
    failures: tuple[Failure, ...]
    rows: int

    @property
    def bad_share(self) -> float:
        """The share of rows that are bad; 0 where there are none."""
        return len(self.reasons) / self.rows if self.rows else 0.0


def compile_contract(contract: Contract) -> pap.DataFrameSchema:
    """Return the contract as a pandera schema for polars frames: usable on its own, from Python."""
    return pap.DataFrameSchema({name: _column(column) for name, column in contract.columns.items()}, strict=True)


def check_rows(rows: Rows, contract: Contract) -> Checked:
    """Return which rows break the contract, and how. Of rows that share a unique value the first stays."""
    miscast = list(_miscast(rows, contract))
    named = {(row, column) for row, column, _, _ in miscast}
    broken = [case for case in (*_broken(rows.typed, contract), *_seen_before(rows)) if case[:2] not in named]
    timeless = [(row, "", "time", text) for row, text in rows.timeless.items()]
    found = [*_malformed(rows), *(case for case in (*miscast, *broken, *timeless) if not rows.malformed[case[0]])]
    reasons: dict[int, list[str]] = {}
    for row, _, _, text in found:
        reasons.setdefault(row, []).append(text)
    return Checked(
        reasons={row: "; ".join(dict.fromkeys(texts)) for row, texts in sorted(reasons.items())},
        failures=tuple(_summed(found)),
        rows=rows.landed.num_rows,
    )


def rows_where(mask: pa.ChunkedArray) -> pa.Array:
    """Return the numbers of the rows where the mask is true.

    pyarrow 25's own `indices_nonzero` takes the whole process down when there are no rows.
    """
    return pl.Series(mask.to_numpy(zero_copy_only=False)).cast(pl.Boolean).arg_true().to_arrow()


_Found = tuple[int, str, str, str]
"""Row, column, rule, reason in words."""


def _column(column: Column) -> pap.Column:
    rules: Mapping[str, Callable[..., pap.Check]] = {
        "one_of": pap.Check.isin,
        "min": pap.Check.ge,
        "max": pap.Check.le,
        "matches": lambda pattern: pap.Check.str_matches(f"^(?:{pattern})$"),
    }
    checks = [make(value) for rule, make in rules.items() if (value := getattr(column, rule)) is not None]
    return pap.Column(_DTYPES[column.type], checks, nullable=column.nullable, unique=column.unique)


def _malformed(rows: Rows) -> Iterator[_Found]:
    for row, text in enumerate(rows.malformed):
        if text:
            yield row, "", "row", f"not a row: {text}"


def _miscast(rows: Rows, contract: Contract) -> Iterator[_Found]:
    """Yield the values that landed and are gone as typed."""
    for name, column in contract.columns.items():
        there, typed = pc.is_valid(rows.landed[name]), pc.is_null(rows.typed[name])
        lost = rows_where(pc.and_(there, typed))
        for row, value in zip(lost.to_pylist(), rows.landed[name].take(lost).to_pylist(), strict=True):
            yield row, name, "type", f"{name}: '{value}' is no {column.type}"


def _seen_before(rows: Rows) -> Iterator[_Found]:
    for name, values in rows.earlier.items():
        twice = rows_where(pc.is_in(rows.typed[name], values, skip_nulls=True))
        for row, value in zip(twice.to_pylist(), rows.typed[name].take(twice).to_pylist(), strict=True):
            yield row, name, "unique", _twice(name, value)


def _broken(typed: pa.Table, contract: Contract) -> Iterator[_Found]:
    frame = pl.DataFrame(typed)
    try:
        compile_contract(contract).validate(frame, lazy=True)
    except SchemaErrors as errors:
        first = {name: frame[name].is_first_distinct() for name, c in contract.columns.items() if c.unique}
        for case in errors.failure_cases.iter_rows(named=True):
            rule, row, column = _RULES[case["check"].partition("(")[0]], case["index"], case["column"]
            if rule != "unique" or not (first[column][row] or case["failure_case"] is None):
                yield row, column, rule, _words(column, rule, case["failure_case"], contract)


def _words(column: str, rule: str, value: Any, contract: Contract) -> str:
    if rule == "nullable":
        return f"{column} is missing"
    if rule == "unique":
        return _twice(column, value)
    return f"{column}: {value} breaks {rule} {getattr(contract.columns[column], rule)}"


def _twice(column: str, value: Any) -> str:
    return f"{column}: {value} stands in an earlier row, too"


def _summed(found: list[_Found]) -> Iterator[Failure]:
    by_rule: dict[tuple[str, str], list[str]] = {}
    for _, column, rule, text in found:
        by_rule.setdefault((column, rule), []).append(text)
    for (column, rule), texts in sorted(by_rule.items()):
        yield Failure(column, rule, len(texts), tuple(texts[:EXAMPLES]))
