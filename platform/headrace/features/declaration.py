"""What a user may say about features and labels."""

from datetime import timedelta
from typing import Literal

from pydantic import Field, field_validator, model_validator

from headrace.core.declaration import Declaration
from headrace.core.names import Duration, Name
from headrace.core.user_code import PLACE

FORMS = ("shared", "windows", "sql", "python", "on_request")
"""What a feature table may be: exactly one of these."""
Aggregation = Literal["count", "since", "sum", "mean", "share", "std", "min", "max", "last", "first", "distinct"]


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
    over the events that have it: sum and mean; share (of a condition: how often it was true); std (of a sample; null below two); min and
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
    """A feature table: declared windows, SQL, a function in Python, SQL on the request itself, or another product's table."""

    windows: Windows | None = None
    """Trailing windows over one source."""
    sql: str | None = None
    """An SQL file (DuckDB's dialect) over validated sources and other feature tables, one row an entity and instant."""
    on_request: str | None = None
    """An SQL file over `request`: the label row and the features joined to it. One row in, one row out."""
    python: str | None = Field(default=None, pattern=PLACE)
    """`file.py:function` beside the declaration: gets validated rows as Arrow tables by source name, returns one Arrow table."""
    reads: list[Name] | None = Field(default=None, alias="from", min_length=1)
    """With `python`: the sources that the function gets."""
    entity: str | list[str] | None = None
    """With `sql` or `python`: the columns that say whom a row is about."""
    time: str | None = None
    """With `sql` or `python`: the column that says from when on a row may be used. Without it rows hold for all time."""
    ttl: Duration | None = None
    """With `sql` or `python`: how long a row may be used; older ones count as missing."""
    age: bool = False
    """With `sql` or `python`: add the row's age at the prediction time, in minutes, as a feature."""
    shared: Name | None = None
    """The product of the same project whose feature table of this name it is. It is made there alone."""
    owner: str | None = None
    """Who answers for it; by default the product's owner."""
    description: str = Field(default="", max_length=2000)
    """What it says, for whoever looks for features: `headrace features`."""

    @model_validator(mode="after")
    def _one_form(self) -> "Feature":
        forms = [form for form in FORMS if getattr(self, form) is not None]
        if len(forms) != 1:
            raise ValueError("a feature table is exactly one of `windows`, `sql`, `python`, `on_request` or `shared`")
        if self.shared and len(self.model_fields_set) > 1:
            raise ValueError("a shared table is as its owner declares it: `shared` stands alone")
        if self.written and not self.entity:
            raise ValueError(
                "a feature table in SQL or Python needs `entity`: the columns that say whom a row is about"
            )
        if not self.written and (self.entity or self.time or self.ttl or self.age):
            raise ValueError("`entity`, `time`, `ttl` and `age` go with `sql` or `python` only")
        if bool(self.python) != bool(self.reads):
            raise ValueError("`from` says which sources `python` gets: neither goes without the other")
        if (self.ttl or self.age) and not self.time:
            raise ValueError("`ttl` and `age` need `time`")
        return self

    @property
    def form(self) -> str:
        """Which of its forms a feature table has."""
        return next(form for form in FORMS if getattr(self, form) is not None)

    @property
    def making(self) -> str:
        """How its rows are made: its form; of a shared table the one that its owner gave it."""
        return next(form for form in FORMS[1:] if getattr(self, form) is not None)

    @property
    def as_made(self) -> "Feature":
        """The declaration without what changes no value: who answers for it, and what it says."""
        return self.model_copy(update={"owner": None, "description": ""})

    @property
    def written(self) -> bool:
        """Whether its rows are made by a user's own SQL or Python."""
        return bool(self.sql or self.python)

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


class Suspect(Declaration):
    """When a column of the training set says too much about the label: a warning, nothing stops."""

    auc: float = Field(default=0.95, gt=0.5, le=1)
    """The greatest AUC of a column alone. Texts count by their mean label in other rows, so that an id is not accused."""
    ignore: list[str] = Field(default=[])
    """Columns that may say so much; `<source>.<column>` for those whose values may become others later."""


class Label(Declaration):
    """The rows to predict, and what came true."""

    sql: str
    """An SQL file over validated sources: entity, prediction time, label, and what a request knows. No label: NULL."""
    entity: str
    """The column that names a row, unique."""
    time: str
    """The column that says when the prediction is made."""
    column: str = "label"
    """The column that is predicted: 0/1 or boolean, or the number that the model's `task` is about."""
    known_after: Duration
    """How long after the prediction time the label is surely known."""

    @field_validator("column")
    @classmethod
    def _not_reserved(cls, column: str) -> str:
        if column in ("time", "entity"):
            raise ValueError(f"the label column cannot be called '{column}'")
        return column
