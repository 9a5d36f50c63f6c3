"""What a user may say about features and labels."""

from datetime import timedelta
from typing import Literal

from pydantic import Field, field_validator, model_validator

from headrace.core.declaration import Declaration
from headrace.core.names import Duration, Name

Aggregation = Literal["count", "since", "sum", "mean", "std", "min", "max", "last", "first", "distinct"]


class Windows(Declaration):
    """Aggregates over trailing windows, evaluated as of each prediction time."""

    source: Name = Field(alias="from")
    """The source whose rows are counted."""
    entity: str | list[str]
    """The columns that say whose window it is."""
    time: str
    """The column that says when the event happened; rows without it are no events."""
    of: dict[Name, str] = Field(min_length=1)
    """What is aggregated: a name for each SQL expression over the source's columns."""
    agg: list[Aggregation] = Field(min_length=1)
    """How. Of the events, one column a window: count; since (minutes from the newest one to the prediction). Of each value,
    over the events that have it: sum and mean (of a boolean: the share of true); std (of a sample; null below two); min and
    max; last and first (by when they happened; of ties the greatest and the least; any type); distinct (how many; any type)."""
    over: list[Duration] = Field(min_length=1)
    """How far back: an event counts at t if it happened in (t - over, t] and was known at t."""
    where: str | None = None
    """An SQL condition that an event must meet."""

    @property
    def entities(self) -> list[str]:
        """The entity columns, always as a list."""
        return [self.entity] if isinstance(self.entity, str) else list(self.entity)

    @property
    def expressions(self) -> list[str]:
        """Every SQL expression that is evaluated on the source's rows."""
        return [*self.of.values(), *([self.where] if self.where else [])]


class Feature(Declaration):
    """A feature table: declared windows, or SQL, or SQL on the request itself."""

    windows: Windows | None = None
    """Trailing windows over one source."""
    sql: str | None = None
    """An SQL file (DuckDB's dialect) over validated sources, one row an entity and instant."""
    on_request: str | None = None
    """An SQL file over `request`: the label row and the features joined to it. One row in, one row out."""
    entity: str | list[str] | None = None
    """With `sql`: the columns that say whom a row is about."""
    time: str | None = None
    """With `sql`: the column that says from when on a row may be used. Without it rows hold for all time."""
    ttl: Duration | None = None
    """With `sql`: how long a row may be used; older ones count as missing."""
    age: bool = False
    """With `sql`: add the row's age at the prediction time, in minutes, as a feature."""

    @model_validator(mode="after")
    def _one_form(self) -> "Feature":
        forms = [form for form in ("windows", "sql", "on_request") if getattr(self, form) is not None]
        if len(forms) != 1:
            raise ValueError("a feature table is exactly one of `windows`, `sql` or `on_request`")
        if self.sql and not self.entity:
            raise ValueError("a feature table in SQL needs `entity`: the columns that say whom a row is about")
        if not self.sql and (self.entity or self.time or self.ttl or self.age):
            raise ValueError("`entity`, `time`, `ttl` and `age` go with `sql` only")
        if (self.ttl or self.age) and not self.time:
            raise ValueError("`ttl` and `age` need `time`")
        return self

    @property
    def entities(self) -> list[str]:
        """The entity columns, always as a list; none for a feature of the request."""
        if self.windows:
            return self.windows.entities
        return [self.entity] if isinstance(self.entity, str) else list(self.entity or [])

    @property
    def timed(self) -> bool:
        """Whether its rows hold from an instant on, and so lie in days."""
        return self.windows is not None or self.time is not None

    @property
    def reach(self) -> timedelta | None:
        """How far before a prediction a usable row may lie; None for any distance."""
        return max(self.windows.over) if self.windows else self.ttl


class Label(Declaration):
    """The rows to predict, and what came true."""

    sql: str
    """An SQL file over validated sources: entity, prediction time, label, and what a request knows. No label: NULL."""
    entity: str
    """The column that names a row, unique."""
    time: str
    """The column that says when the prediction is made."""
    column: str = "label"
    """The column that is predicted: 0/1 or boolean."""
    known_after: Duration
    """How long after the prediction time the label is surely known."""

    @field_validator("column")
    @classmethod
    def _not_reserved(cls, column: str) -> str:
        if column in ("time", "entity"):
            raise ValueError(f"the label column cannot be called '{column}'")
        return column
