"""Contracts compiled to pandera, and rows split into those that keep them and those that do not, with reasons."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandera.polars as pap
import polars as pl
import pyarrow as pa
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


def check_rows(landed: pa.Table, typed: pa.Table, contract: Contract, malformed: list[str | None]) -> Checked:
    """Return which rows break the contract, and how.

    `typed` are the contract's columns of `landed`, row by row; `malformed` says which lines were no rows at all.
    Of rows that share a unique value the first stays.
    """
    miscast = list(_miscast(landed, typed, contract, malformed))
    named = {(row, column) for row, column, _, _ in miscast}
    broken = [case for case in _broken(typed, contract) if not malformed[case[0]] and case[:2] not in named]
    found = [*_malformed(malformed), *miscast, *broken]
    reasons: dict[int, list[str]] = {}
    for row, _, _, text in found:
        reasons.setdefault(row, []).append(text)
    return Checked(
        reasons={row: "; ".join(dict.fromkeys(texts)) for row, texts in sorted(reasons.items())},
        failures=tuple(_summed(found)),
        rows=landed.num_rows,
    )


_Found = tuple[int, str, str, str]
"""Row, column, rule, reason in words."""


def _column(column: Column) -> pap.Column:
    rules = {
        "one_of": pap.Check.isin,
        "min": pap.Check.ge,
        "max": pap.Check.le,
        "matches": lambda pattern: pap.Check.str_matches(f"^(?:{pattern})$"),
    }
    checks = [make(value) for rule, make in rules.items() if (value := getattr(column, rule)) is not None]
    return pap.Column(
        _DTYPES[column.type], checks, nullable=column.nullable, unique=column.unique
    )


def _malformed(malformed: list[str | None]) -> Iterator[_Found]:
    for row, text in enumerate(malformed):
        if text:
            yield row, "", "row", f"not a row: {text}"


def _miscast(
    landed: pa.Table, typed: pa.Table, contract: Contract, malformed: list[str | None]
) -> Iterator[_Found]:
    """Yield the values that were there as text and are gone as typed."""
    for name in typed.column_names:
        if not pa.types.is_string(landed.schema.field(name).type):
            continue
        text, value = pl.Series(landed[name].to_pylist(), dtype=pl.String), pl.from_arrow(typed[name])
        assert isinstance(value, pl.Series)
        kind = contract.columns[name].type
        for row in (text.is_not_null() & value.is_null()).arg_true().to_list():
            if not malformed[row]:
                yield row, name, "type", f"{name}: '{text[row]}' is no {kind}"


def _broken(typed: pa.Table, contract: Contract) -> Iterator[_Found]:
    frame = pl.from_arrow(typed)
    assert isinstance(frame, pl.DataFrame)
    try:
        compile_contract(contract).validate(frame, lazy=True)
    except SchemaErrors as errors:
        first = {name: frame[name].is_first_distinct() for name, c in contract.columns.items() if c.unique}
        for case in errors.failure_cases.iter_rows(named=True):
            rule, row, column = _RULES[case["check"].partition("(")[0]], case["index"], case["column"]
            if rule != "unique" or not first[column][row]:
                yield row, column, rule, _words(column, rule, case["failure_case"], contract)


def _words(column: str, rule: str, value: Any, contract: Contract) -> str:
    if rule == "nullable":
        return f"{column} is missing"
    if rule == "unique":
        return f"{column}: {value} stands in an earlier row, too"
    return f"{column}: {value} breaks {rule} {getattr(contract.columns[column], rule)}"


def _summed(found: list[_Found]) -> Iterator[Failure]:
    by_rule: dict[tuple[str, str], list[str]] = {}
    for _, column, rule, text in found:
        by_rule.setdefault((column, rule), []).append(text)
    for (column, rule), texts in sorted(by_rule.items()):
        yield Failure(column, rule, len(texts), tuple(texts[:EXAMPLES]))
