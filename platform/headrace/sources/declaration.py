"""What a user may say about a source."""

from typing import Literal

from pydantic import Field, model_validator

from headrace.core.declaration import Declaration
from headrace.core.names import Duration


class Source(Declaration):
    """Files that land in a folder, and what their times mean."""

    files: str
    """Where the files land: a path or a pattern below the project's folder, such as landing/flights/*.csv."""
    sql: str | None = None
    """An SQL file that adds converted columns to the landed text: one row in, one row out, `select *, ... from landed`."""
    time: str | None = None
    """The column that says when the row's event happens; a text column is read as ISO 8601, naive stamps in the product's zone."""
    partition: Literal["day"] | None = None
    """`day`: rows lie in the local day of `time`. Without it the newest file is the whole table."""
    known_at: str | dict[str, str] | None = None
    """When values become known: a time column for the whole row, or one for each column that is known later than `time`."""
    nulls: list[str] = Field(default=[""])
    """Texts that mean a missing value."""
    delimiter: str = Field(default=",", min_length=1, max_length=1)
    """What separates the columns."""
    fresh_within: Duration | None = None
    """How old the newest row may be before the source counts as late."""

    @model_validator(mode="after")
    def _days_need_a_time(self) -> "Source":
        if self.partition and not self.time:
            raise ValueError("a source that is partitioned by day needs `time`: the column whose day it is")
        if self.fresh_within and not self.time:
            raise ValueError("`fresh_within` needs `time`: the column that says how new a row is")
        return self

    def known_columns(self) -> dict[str, str]:
        """Return, for each column that is known later than its row, the time column that says when.

        None where `known_at` is one time column: then nothing of a row is known before that.
        """
        return dict(self.known_at) if isinstance(self.known_at, dict) else {}
