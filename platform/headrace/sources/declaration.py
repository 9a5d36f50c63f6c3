"""What a user may say about a source."""

import codecs
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from headrace.core.declaration import Declaration
from headrace.core.names import Duration, Size
from headrace.core.secrets import EnvReference

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


class Bucket(Declaration):
    """How a bucket is reached, where the environment's AWS_* variables or the machine's role do not say it."""

    endpoint: str | None = None
    """The address of a store that speaks S3: a URL, or `env:NAME`."""
    region: str | None = None
    """The region, or `env:NAME`."""
    access_key_id: EnvReference | None = None
    """`env:NAME` of the variable that holds it."""
    secret_access_key: EnvReference | None = None
    """`env:NAME` of the variable that holds it."""
    session_token: EnvReference | None = None
    """`env:NAME` of the variable that holds it."""


class Database(Declaration):
    """A table of an SQL database, taken window by window along a column that only grows."""

    url: EnvReference
    """`env:NAME` of the variable that holds the address, such as postgresql://user:password@host/shop."""
    table: str = Field(min_length=1)
    """The table or view, with its schema if it needs one: sales.orders."""
    cursor: str = Field(min_length=1)
    """The column that grows with each row that is new or changed: a time of change, or a number."""
    lag: int | Duration | None = None
    """How far before the last window to look again: as long as a transaction may be open, so that what became visible late is found."""
    key: str | list[str] | None = None
    """The columns that tell rows apart. A row that changed takes the place of its earlier version; without it, it stands beside it."""

    @property
    def keys(self) -> list[str]:
        """The key's columns; none if no key is declared."""
        return [self.key] if isinstance(self.key, str) else list(self.key or [])


class Volume(Declaration):
    """How many rows a day has."""

    min: int | None = Field(default=None, ge=0)
    """The least."""
    max: int | None = Field(default=None, ge=0)
    """The most."""

    @model_validator(mode="after")
    def _leaves_room(self) -> "Volume":
        if self.min is None and self.max is None:
            raise ValueError("`volume` needs a `min`, a `max` or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"`min` {self.min} is more than `max` {self.max}: no day can have as many rows")
        return self


class Source(Declaration):
    """Where rows come from, files or a database, and what their times mean."""

    files: str | None = None
    """Where the files land: a path or a pattern below the project's folder, such as landing/flights/*.csv, or in a bucket: s3://name/flights/*.csv."""
    bucket: Bucket | None = None
    """How the bucket is reached."""
    database: Database | None = None
    """The table whose rows they are, in place of files."""
    dlt: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_/]*[.]py:[A-Za-z_][A-Za-z0-9_]*$")
    """`file.py:function` beside the declaration, in place of files: what it returns, a dlt resource or a source with one, yields the rows."""
    sql: str | None = None
    """An SQL file that adds converted columns to the landed text: one row in, one row out, `select *, ... from landed`."""
    time: str | None = None
    """The column that says when the row's event happens; a text column is read as ISO 8601, naive stamps in the product's zone."""
    partition: Literal["day"] | None = None
    """`day`: rows lie in the local day of `time`. Without it the newest file is the whole table, or all windows of a database or of dlt are."""
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
    every: Annotated[Duration, Field(ge=timedelta(seconds=5))] | None = None
    """How often a bucket (by default each minute) or a database or dlt (by default only when a run is asked for) is looked at for what is new. Files in a folder are, every few seconds."""
    fresh_within: Duration | None = None
    """How old the newest row may be before the source counts as late."""
    volume: Volume | None = None
    """How many rows a day has, with `partition: day`. Without it each day is held against the same weekday of eight weeks before."""

    @model_validator(mode="after")
    def _days_need_a_time(self) -> "Source":
        if self.partition and not self.time:
            raise ValueError("a source that is partitioned by day needs `time`: the column whose day it is")
        if self.fresh_within and not self.time:
            raise ValueError("`fresh_within` needs `time`: the column that says how new a row is")
        if self.volume and not self.partition:
            raise ValueError("`volume` is about the rows of a day, and needs `partition: day`")
        if self.delimiter == '"':
            raise ValueError("`delimiter` cannot be the quote")
        if sum(place is not None for place in (self.files, self.database, self.dlt)) != 1:
            raise ValueError("a source has `files`, a `database` or a `dlt` function: say one of them")
        if self.bucket and not self.in_bucket:
            raise ValueError(f"`bucket` says how an s3:// store is reached, and `files` is {self.files}")
        return self

    @field_validator("files")
    @classmethod
    def _place_is_known(cls, files: str | None) -> str | None:
        if files is None:
            return None
        scheme, there, rest = files.partition("://")
        if there and (scheme != "s3" or not rest.partition("/")[2]):
            raise ValueError(
                f"'{files}' is no place: write a path below the project's folder, or s3://bucket/path/*.csv"
            )
        if there and "@" in rest.partition("/")[0]:
            raise ValueError(
                "`files` holds a key: credentials come from the environment, or as `bucket: {... env:NAME}`"
            )
        return files

    @property
    def in_bucket(self) -> bool:
        """Whether the files lie in a bucket."""
        return bool(self.files and self.files.startswith("s3://"))

    @property
    def looked_at_every(self) -> timedelta | None:
        """How often a sensor looks for what is new; None if never."""
        if self.files is None:
            return self.every
        return self.every or timedelta(minutes=1) if self.in_bucket else timedelta(0)

    @property
    def newest_is_all(self) -> bool:
        """Whether the newest file is the whole table."""
        return self.files is not None and not self.partition

    @property
    def place(self) -> str:
        """Where the rows come from, in a few words; no secret is in it."""
        return self.files or (f"table {self.database.table}" if self.database else self.dlt or "")

    def known_columns(self) -> dict[str, str]:
        """Return, for each column that is known later than its row, the time column that says when.

        None where `known_at` is one time column: then nothing of a row is known before that.
        """
        return dict(self.known_at) if isinstance(self.known_at, dict) else {}
