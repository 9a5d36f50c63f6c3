"""What a user may say about the rows of a source."""

import re
from typing import Literal

from pydantic import Field, field_validator, model_validator

from headrace.core.declaration import Declaration

ColumnType = Literal["string", "integer", "double", "boolean", "timestamp", "date"]
OnFail = Literal["quarantine", "fail", "warn"]
_LOOK_AROUND = re.compile(r"\(\?<?[=!]|\\[1-9]")


class Column(Declaration):
    """One column: its type and its limits."""

    type: ColumnType
    """string, integer (64 bit), double, boolean, timestamp (UTC) or date."""
    nullable: bool = False
    """Whether a value may be missing."""
    unique: bool = False
    """Whether no two rows may share a value. Of those that do the first stays: by day, file and row."""
    one_of: list[str | int | float] | None = None
    """The values that are allowed."""
    min: float | None = None
    """The least value that is allowed."""
    max: float | None = None
    """The greatest value that is allowed."""
    matches: str | None = None
    """A regular expression (RE2: no look-around) that the whole text must match."""

    @model_validator(mode="after")
    def _rules_fit_the_type(self) -> "Column":
        if self.type not in ("integer", "double") and (self.min is not None or self.max is not None):
            raise ValueError(f"`min` and `max` go with integer and double, not with {self.type}")
        if self.min is not None and self.max is not None and self.max < self.min:
            raise ValueError(f"no value is at least {self.min} and at most {self.max}")
        if self.type != "string" and self.matches is not None:
            raise ValueError(f"`matches` goes with string, not with {self.type}")
        if self.one_of is not None:
            _refuse_strangers(self.one_of, self.type)
        return self

    @field_validator("matches")
    @classmethod
    def _pattern_compiles(cls, pattern: str | None) -> str | None:
        try:
            re.compile(pattern or "")
        except re.error as error:
            raise ValueError(f"'{pattern}' is not a regular expression: {error}") from None
        if pattern and _LOOK_AROUND.search(pattern):
            raise ValueError(f"'{pattern}' looks around: that is not possible here. Say what the whole text is.")
        return pattern


class Contract(Declaration):
    """What every row of a source must be."""

    columns: dict[str, Column] = Field(min_length=1)
    """The columns that go on, each with its rules. A column that is not named here does not go on."""
    on_fail: OnFail = "quarantine"
    """quarantine: bad rows go aside with a reason, the rest goes on; fail: nothing goes on; warn: all goes on."""
    max_bad: float = Field(default=0.05, ge=0, le=1)
    """The share of bad rows above which the contract counts as broken, and no model is trained."""


def _refuse_strangers(values: list[str | int | float], kind: ColumnType) -> None:
    allowed: dict[ColumnType, tuple[type, ...]] = {"string": (str,), "integer": (int,), "double": (int, float)}
    if kind not in allowed:
        raise ValueError(f"`one_of` goes with string, integer and double, not with {kind}")
    strangers = [value for value in values if not isinstance(value, allowed[kind])]
    if strangers:
        raise ValueError(f"`one_of` of a {kind} cannot hold {strangers[0]!r}; quote it in the YAML if it is a text")
