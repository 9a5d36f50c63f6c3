"""Contracts compiled to pandera: a schema that judges a polars frame on its own, from Python."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pandera.polars as pap
import polars as pl

from headrace.contracts.declaration import Column, Contract
from headrace.contracts.judge import repeats
from headrace.contracts.rules import DTYPES, condition_sql
from headrace.store.engine import query_rows


def compile_contract(contract: Contract) -> pap.DataFrameSchema:
    """Return the contract as a pandera schema for polars frames, usable on its own; the frame counts as one day.

    It holds what a frame can say by itself: types, limits, uniqueness, rules of the row, missing values and means.
    `references`, `volume`, `max_ahead` and `fresh_within` ask other tables, days or the clock, and are left to the asset.
    """
    columns = {name: _column(column) for name, column in contract.columns.items()}
    return pap.DataFrameSchema(columns, checks=list(_checks(contract)), strict=True)


def _column(column: Column) -> pap.Column:
    rules: Mapping[str, Callable[..., pap.Check]] = {
        "one_of": pap.Check.isin,
        "min": pap.Check.ge,
        "max": pap.Check.le,
        "matches": lambda pattern: pap.Check.str_matches(f"^(?:{pattern})$"),
    }
    checks = [make(value) for rule, make in rules.items() if (value := getattr(column, rule)) is not None]
    return pap.Column(
        DTYPES[column.type], checks, nullable=column.may_miss, unique=column.unique and not column.may_miss
    )


def _checks(contract: Contract) -> Iterator[pap.Check]:
    """Yield what concerns more than single values."""
    keys = [[name] for name, column in contract.columns.items() if column.unique and column.may_miss]
    for names in [*keys, *contract.unique]:
        yield _frame_check(f"unique {', '.join(names)}", _has_no_repeats(names))
    for name, rule in contract.rules.items():
        yield _frame_check(f"{name}: {rule.sql}", _keeps(rule.sql))
    for name, column in contract.columns.items():
        if column.max_missing is not None:
            yield _frame_check(f"{name} max_missing {column.max_missing}", _misses_at_most(name, column.max_missing))
        if column.min_mean is not None or column.max_mean is not None:
            least = -float("inf") if column.min_mean is None else column.min_mean
            most = float("inf") if column.max_mean is None else column.max_mean
            yield _frame_check(f"{name} mean {least}...{most}", _has_mean(name, least, most))


def _frame_check(name: str, holds: Callable[[pl.DataFrame], pl.Series]) -> pap.Check:
    """Return a check that says of each row whether it holds: pandera cannot report one verdict beside those of columns."""

    def check(data: Any) -> pl.LazyFrame:
        return holds(data.lazyframe.collect()).alias("holds").to_frame().lazy()

    return pap.Check(check, name=name, error=name)


def _has_no_repeats(names: list[str]) -> Callable[[pl.DataFrame], pl.Series]:
    return lambda frame: _throughout(frame, holds=True).scatter(repeats(frame[names]), values=False)


def _keeps(sql: str) -> Callable[[pl.DataFrame], pl.Series]:
    asked = f"select coalesce({condition_sql(sql)}, true) as holds from frame"
    return lambda frame: pl.Series(query_rows(asked, {"frame": frame.to_arrow()})["holds"])


def _misses_at_most(name: str, share: float) -> Callable[[pl.DataFrame], pl.Series]:
    return lambda frame: _throughout(frame, holds=frame[name].null_count() <= share * frame.height)


def _has_mean(name: str, least: float, most: float) -> Callable[[pl.DataFrame], pl.Series]:
    def holds(frame: pl.DataFrame) -> pl.Series:
        mean = frame[name].cast(pl.Float64).mean()
        return _throughout(frame, holds=mean is None or least <= float(str(mean)) <= most)

    return holds


def _throughout(frame: pl.DataFrame, *, holds: bool) -> pl.Series:
    return pl.Series([holds], dtype=pl.Boolean).new_from_index(0, frame.height)
