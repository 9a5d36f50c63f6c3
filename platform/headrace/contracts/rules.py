"""The rules of single rows as polars expressions: what is broken, and how that reads."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl
from polars.selectors import by_name

from headrace.contracts.declaration import Column, ColumnType, Contract, OnFail, Severity
from headrace.core.sql import DIALECT, parse

DTYPES: Mapping[ColumnType, Any] = {
    "string": pl.String,
    "integer": pl.Int64,
    "double": pl.Float64,
    "boolean": pl.Boolean,
    "timestamp": pl.Datetime("us", "UTC"),
    "date": pl.Date,
}
LIMITS = ("one_of", "min", "max", "matches")
"""The rules that look at one value alone."""
Word = str
_BROKEN: Mapping[str, Callable[[pl.Expr, Any], pl.Expr]] = {
    "one_of": lambda value, allowed: ~value.is_in(allowed),
    "min": lambda value, least: value < least,
    "max": lambda value, most: value > most,
    "matches": lambda text, pattern: ~text.str.contains(f"^(?:{pattern})$"),
}


@dataclass(frozen=True)
class Rule:
    """A rule of one column (or of the row: column ""), and what follows if it is broken."""

    column: str
    word: Word
    on_fail: OnFail
    severity: Severity

    @property
    def key(self) -> str:
        """A name that no two rules share."""
        return f"{self.column} {self.word}"


@dataclass(frozen=True)
class Limit:
    """A rule that looks at one value alone."""

    rule: Rule
    limit: Any
    broken: pl.Expr
    """True where a value is there and breaks the rule; null or false elsewhere."""

    @property
    def says(self) -> str:
        """What is broken, in words that stand behind the value."""
        return f"breaks {self.rule.word} {self.limit}"


def rule_of(contract: Contract, column: str, word: Word) -> Rule:
    """Return a rule of a column with what the contract says about it."""
    return Rule(column, word, contract.on_fail_of(column, word), contract.severity_of(column, word))


def row_rule(contract: Contract, name: str) -> Rule:
    """Return a declared rule of the whole row."""
    said = contract.rules[name]
    return Rule("", name, said.on_fail or contract.on_fail, said.severity or contract.severity)


def own_rule(contract: Contract, word: Literal["row", "time", "unique"]) -> Rule:
    """Return a rule of the whole row that needs no declaration. What is no row never goes on, whatever is said."""
    on_fail: OnFail = "quarantine" if word == "row" and contract.on_fail == "warn" else contract.on_fail
    return Rule("", word, on_fail, contract.severity)


def limits_of(contract: Contract) -> Iterator[Limit]:
    """Yield the rules that look at one value alone."""
    for name, column in contract.columns.items():
        yield from limits_of_column(contract, name, column)


def limits_of_column(contract: Contract, name: str, column: Column) -> Iterator[Limit]:
    """Yield the rules of one column that look at one value alone."""
    for word in LIMITS:
        limit = getattr(column, word)
        if limit is not None:
            yield Limit(
                rule_of(contract, name, word), limit, _BROKEN[word](by_name(name).as_expr(), _typed(limit, column.type))
            )


def _typed(limit: Any, kind: ColumnType) -> Any:
    """Return the limit in the column's own type, where that keeps comparisons exact and quick."""
    if isinstance(limit, list):
        return [float(value) for value in limit] if kind == "double" else limit
    return int(limit) if kind == "integer" and isinstance(limit, float) and limit.is_integer() else limit


def condition_sql(sql: str) -> str:
    """Return a declared condition in the engine's SQL, its columns quoted: they may be called as SQL's own words are."""
    tree = parse(f"select ({sql})", sql)
    return str(tree.selects[0].sql(dialect=DIALECT, identify=True))
