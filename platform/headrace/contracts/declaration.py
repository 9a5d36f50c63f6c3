"""What a user may say about the rows of a source."""

from typing import Literal

from pydantic import Field

from headrace.core.declaration import Declaration

ColumnType = Literal["string", "integer", "double", "boolean", "timestamp", "date"]
OnFail = Literal["quarantine", "fail", "warn"]


class Column(Declaration):
    """One column: its type and its limits."""

    type: ColumnType
    """string, integer (64 bit), double, boolean, timestamp (UTC) or date."""
    nullable: bool = False
    """Whether a value may be missing."""
    unique: bool = False
    """Whether no two rows may share a value."""
    one_of: list[str | int | float] | None = None
    """The values that are allowed."""
    min: float | None = None
    """The least value that is allowed."""
    max: float | None = None
    """The greatest value that is allowed."""
    matches: str | None = None
    """A regular expression that the whole text must match."""


class Contract(Declaration):
    """What every row of a source must be."""

    columns: dict[str, Column] = Field(min_length=1)
    """The columns that go on, each with its rules. A column that is not named here does not go on."""
    on_fail: OnFail = "quarantine"
    """quarantine: bad rows go aside with a reason, the rest goes on; fail: nothing goes on; warn: all goes on."""
    max_bad: float = Field(default=0.05, ge=0, le=1)
    """The share of bad rows above which the contract counts as broken, and no model is trained."""
