"""What a user may say about a source."""

import codecs
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from headrace.core.declaration import Declaration
from headrace.core.names import Duration, Size

Format = Literal["csv", "jsonl", "parquet"]


def known_encoding(name: str) -> str:
    """Return the name of a text encoding, as it was written; raises ValueError for one that nobody knows."""
    try:
        codecs.lookup(name)
    except LookupError:
        raise ValueError(f"'{name}' is no encoding; write utf-8, latin-1, cp1252 or utf-16") from None
    return name


class Limits(Declaration):
    """How much one file may hold: what is beyond is refused, before memory is used."""

    unpacked: Size = Field(default=1_000_000_000, ge=1, le=2_000_000_000)
    """The bytes of a file, such as 500MB; those of a packed one when it is unpacked. 2GB at most."""
    ratio: float = Field(default=200.0, ge=1)
    """How many times larger than the file its unpacked content may be. Counts from 16MB on: little files pack oddly."""
    line: Size = Field(default=16_000_000, ge=1)
    """The bytes of one line, such as 1MB. A longer one goes aside as malformed."""


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
    format: Format | None = None
    """What the files are: `csv`, `jsonl` (a JSON object a line) or `parquet`; by default told by the name, CSV where it says nothing. Each may be packed by gzip."""
    encoding: Annotated[str, AfterValidator(known_encoding)] = "utf-8"
    """The encoding of text files, such as latin-1. A line that is not in it goes aside as malformed."""
    nulls: list[str] = Field(default=[""])
    """Texts that mean a missing value in CSV."""
    delimiter: str = Field(default=",", pattern=r"^[\x20-\x7e\t]$", min_length=1, max_length=1)
    """What separates the columns of CSV."""
    limits: Limits = Limits()
    """How much one file may hold."""
    fresh_within: Duration | None = None
    """How old the newest row may be before the source counts as late."""

    @model_validator(mode="after")
    def _days_need_a_time(self) -> "Source":
        if self.partition and not self.time:
            raise ValueError("a source that is partitioned by day needs `time`: the column whose day it is")
        if self.fresh_within and not self.time:
            raise ValueError("`fresh_within` needs `time`: the column that says how new a row is")
        if self.delimiter == '"':
            raise ValueError("`delimiter` cannot be the quote")
        return self

    def known_columns(self) -> dict[str, str]:
        """Return, for each column that is known later than its row, the time column that says when."""
        return dict(self.known_at) if isinstance(self.known_at, dict) else {}
