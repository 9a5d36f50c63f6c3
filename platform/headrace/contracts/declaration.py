"""What a user may say about the rows of a source."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

import polars as pl
from pydantic import BeforeValidator, Field, field_validator, model_validator

from headrace.core.declaration import Declaration
from headrace.core.names import Duration, Memory, Name, memory_bytes, parse_duration

ColumnType = Literal["string", "integer", "double", "boolean", "timestamp", "date"]
OnFail = Literal["quarantine", "fail", "warn"]
Severity = Literal["warn", "share", "error"]
ColumnRule = Literal[
    "type", "nullable", "unique", "one_of", "min", "max", "matches", "references", "max_ahead",
    "max_missing", "min_mean", "max_mean", "fresh_within",
]  # fmt: skip
"""The words that one column can break; `on_fail` and `severity` may be said for each."""
_LOOK_AROUND = re.compile(r"\(\?<?[=!]|\\[1-9]")
_GOES_WITH: Mapping[str, tuple[ColumnType, ...]] = {
    "min": ("integer", "double"),
    "max": ("integer", "double"),
    "matches": ("string",),
    "allow_nan": ("double",),
    "max_ahead": ("timestamp",),
    "fresh_within": ("timestamp",),
    "min_mean": ("integer", "double", "boolean"),
    "max_mean": ("integer", "double", "boolean"),
}


def _combinations(given: Any) -> Any:
    """Let one combination stand without its second pair of brackets."""
    flat = isinstance(given, list) and given and all(isinstance(column, str) for column in given)
    return [given] if flat else given


class Learned(Declaration):
    """Limits that are read from the first days of a source and then stand still, in a file beside the declaration."""

    span: Duration = Field(alias="from")
    """How many of the source's first days are looked at, such as 28d."""

    @field_validator("span")
    @classmethod
    def _at_least_a_day(cls, span: Any) -> Any:
        if span < parse_duration("1d"):
            raise ValueError("limits are learned from whole days: say 1d or more")
        return span


class Column(Declaration):
    """One column: its type and its limits."""

    type: ColumnType
    """string, integer (64 bit), double, boolean, timestamp (UTC) or date."""
    nullable: bool = False
    """Whether a value may be missing."""
    allow_nan: bool = False
    """Whether NaN may stand for a missing value. An infinite number is never one."""
    unique: bool = False
    """Whether no two rows may share a value. Of those that do the first stays: by day, file and row."""
    one_of: list[str | int | float] | None = None
    """The values that are allowed."""
    min: float | None = Field(default=None, allow_inf_nan=False)
    """The least value that is allowed."""
    max: float | None = Field(default=None, allow_inf_nan=False)
    """The greatest value that is allowed."""
    matches: str | None = None
    """A regular expression (RE2: no look-around) that the whole text must match."""
    references: str | None = None
    """A column of another source's contract in which the value must stand, such as planes.tailnum."""
    max_ahead: Duration | None = None
    """How far ahead of now a time may lie. Without it the source's own `time` may by 5 minutes (if the clock is that on the wall), other columns by any time."""
    max_missing: float | None = Field(default=None, ge=0, le=1)
    """The greatest share of missing values in a day (or in the whole table, where there are no days); makes the column nullable."""
    min_mean: float | None = Field(default=None, allow_inf_nan=False)
    """The least mean of a day's values; of a boolean column the least share of true ones, such as a label rate."""
    max_mean: float | None = Field(default=None, allow_inf_nan=False)
    """The greatest mean of a day's values, or share of true ones."""
    fresh_within: Duration | None = None
    """How old the newest landed value may be, by the product's clock."""
    learned: Learned | None = None
    """Learn the limits that are not said here from the first days."""
    on_fail: OnFail | dict[ColumnRule, OnFail] | None = None
    """What happens to rows that break this column's rules, for all or for each by its word; the contract's own by default."""
    severity: Severity | dict[ColumnRule, Severity] | None = None
    """How grave that is, for all rules or for each by its word; the contract's own by default."""

    @property
    def may_miss(self) -> bool:
        """Whether a value may be missing."""
        return self.nullable or self.max_missing is not None

    def limits(self) -> dict[str, Any]:
        """Return what is said about the values, by its word."""
        words = get_args(ColumnRule)
        return {word: getattr(self, word) for word in words[words.index("one_of") :] if getattr(self, word) is not None}

    @model_validator(mode="after")
    def _rules_fit_the_type(self) -> "Column":
        for word, kinds in _GOES_WITH.items():
            if getattr(self, word) not in (None, False) and self.type not in kinds:
                words = "`min` and `max` go" if word in ("min", "max") else f"`{word}` goes"
                raise ValueError(f"{words} with {' and '.join(kinds)}, not with {self.type}")
        _refuse_empty("value", self.min, self.max)
        _refuse_empty("mean", self.min_mean, self.max_mean)
        if self.one_of is not None:
            _refuse_strangers(self.one_of, self.type)
        return self

    @field_validator("matches")
    @classmethod
    def _pattern_compiles(cls, pattern: str | None) -> str | None:
        if pattern and _LOOK_AROUND.search(pattern):
            raise ValueError(f"'{pattern}' looks around: that is not possible here. Say what the whole text is.")
        try:
            pl.Series([""]).str.contains(f"^(?:{pattern or ''})$")
        except pl.exceptions.ComputeError as error:
            raise ValueError(f"'{pattern}' is not a regular expression: {' '.join(str(error).split())}") from None
        return pattern

    @field_validator("references")
    @classmethod
    def _source_and_column(cls, named: str | None) -> str | None:
        source, dot, column = (named or "source.column").partition(".")
        if not (source and dot and column):
            raise ValueError(f"'{named}' names no column of a source: write <source>.<column>, such as planes.tailnum")
        return named


def _row_rule(given: Any) -> Any:
    return {"sql": given} if isinstance(given, str) else given


class RowRule(Declaration):
    """A condition over several columns of a row."""

    sql: str = Field(min_length=1)
    """The condition in SQL (DuckDB's), such as arr_at > dep_at. A row for which it is unknown (a value is missing) keeps it."""
    on_fail: OnFail | None = None
    """What happens to rows that break it; the contract's own by default."""
    severity: Severity | None = None
    """How grave that is; the contract's own by default."""


class Volume(Declaration):
    """How many rows a whole day must bring, measured by the days before it."""

    over: Duration
    """How far back the days are looked at, such as 28d; days without rows do not count."""
    min_share: float | None = Field(default=None, gt=0)
    """The least number of rows, as a share of the median day."""
    max_share: float | None = Field(default=None, gt=0)
    """The greatest number of rows, as a share of the median day."""
    on_fail: Literal["fail", "warn"] | None = None
    """Whether the rows still go on; as the contract says by default (`quarantine` counts as `warn`: no single row is bad)."""
    severity: Severity | None = None
    """How grave it is: `share` counts as `error`. The contract's own by default."""

    @model_validator(mode="after")
    def _has_a_limit(self) -> "Volume":
        if self.min_share is None and self.max_share is None:
            raise ValueError("`volume` needs `min_share` or `max_share`: without them it would never fire")
        _refuse_empty("share", self.min_share, self.max_share)
        return self


class Contract(Declaration):
    """What every row of a source must be."""

    columns: dict[str, Column] = Field(min_length=1)
    """The columns that go on, each with its rules. A column that is not named here does not go on."""
    rules: dict[Name, Annotated[RowRule, BeforeValidator(_row_rule)]] = Field(default={})
    """Conditions over several columns, by name: SQL, or SQL with its own `on_fail` and `severity`."""
    unique: Annotated[list[list[str]], BeforeValidator(_combinations)] = Field(default=[])
    """Columns that no two rows may share all values of: a list of such lists. Rows that miss one of the values are not compared."""
    volume: Volume | None = None
    """How many rows a day must bring, against the source's own history."""
    learned: Learned | None = None
    """Learn limits from the first days for every column that does not say its own."""
    on_fail: OnFail = "quarantine"
    """quarantine: bad rows go aside with a reason, the rest goes on; fail: nothing goes on; warn: all goes on."""
    severity: Severity = "share"
    """warn: it is said, and no more; share: the contract is broken if more than `max_bad` of the rows are bad; error: by one row."""
    max_bad: float = Field(default=0.05, ge=0, le=1)
    """The share of bad rows above which the contract counts as broken, and no model is trained."""
    memory: Memory = "2GiB"
    """About how much memory validation may take: more days than fit are taken piece by piece, one day at least at a time."""

    @field_validator("rules")
    @classmethod
    def _names_are_free(cls, rules: dict[str, RowRule]) -> dict[str, RowRule]:
        taken = sorted({"row", "time", "unique", "volume"} & rules.keys())
        if taken:
            raise ValueError(
                f"no rule can be called '{taken[0]}': the word means something else. Say what it is about."
            )
        return rules

    def on_fail_of(self, column: str, rule: str) -> OnFail:
        """Return what happens to rows that break a rule of a column."""
        said = self.columns[column].on_fail
        own = said.get(rule) if isinstance(said, dict) else said  # type: ignore[call-overload]
        return own or self.on_fail

    def severity_of(self, column: str, rule: str) -> Severity:
        """Return how grave a broken rule of a column is."""
        said = self.columns[column].severity
        own = said.get(rule) if isinstance(said, dict) else said  # type: ignore[call-overload]
        return own or self.severity

    @property
    def may_stop(self) -> bool:
        """Whether there is a rule that lets nothing go on if it is broken."""
        columns = [c.on_fail.values() if isinstance(c.on_fail, dict) else [c.on_fail] for c in self.columns.values()]
        rules = [rule.on_fail for rule in self.rules.values()]
        volume = self.volume.on_fail if self.volume else None
        return "fail" in [self.on_fail, *rules, volume, *(said for part in columns for said in part)]

    @property
    def referenced(self) -> list[str]:
        """The sources that columns refer to."""
        named = [column.references.partition(".")[0] for column in self.columns.values() if column.references]
        return sorted(set(named))

    @property
    def memory_bytes(self) -> int:
        """The memory that validation may take, in bytes."""
        return memory_bytes(self.memory)


def _refuse_empty(what: str, least: float | None, most: float | None) -> None:
    if least is not None and most is not None and most < least:
        raise ValueError(f"no {what} is at least {least} and at most {most}")


def _refuse_strangers(values: list[str | int | float], kind: ColumnType) -> None:
    allowed: dict[ColumnType, tuple[type, ...]] = {"string": (str,), "integer": (int,), "double": (int, float)}
    if kind not in allowed:
        raise ValueError(f"`one_of` goes with string, integer and double, not with {kind}")
    strangers = [value for value in values if not isinstance(value, allowed[kind])]
    if strangers:
        raise ValueError(f"`one_of` of a {kind} cannot hold {strangers[0]!r}; quote it in the YAML if it is a text")
