"""What a published version consists of: all that a reader needs to serve it, without the project that made it."""

import base64
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any

import pyarrow as pa
from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer


def _schema(given: Any) -> Any:
    return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(given))) if isinstance(given, str) else given


Schema = Annotated[
    Any,
    BeforeValidator(_schema),
    PlainSerializer(lambda schema: schema and base64.b64encode(schema.serialize().to_pybytes()).decode()),
]
"""Arrow columns; in JSON as the bytes of an Arrow schema."""


FORM = 2
"""How values lie in the store: the packed ones of all tables under one key."""


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class ServedTable(_Closed):
    """A feature table as it is served."""

    name: str
    table: str
    version: int
    """The version of the Delta table."""
    snapshot: str
    """The digest of that version's files: a table that was removed and made again counts its versions from 0."""
    entities: list[str]
    kinds: list[str]
    """What the entity columns are in requests."""
    columns: Schema
    """What is stored of a step, in the types that the join gives."""
    timed: bool
    ttl: timedelta | None
    age: bool
    since: dict[str, str]
    zeros: list[str]

    @property
    def features(self) -> pa.Schema:
        """The columns that it adds to a request, as the join adds them."""
        return pa.schema(list(self._features()))

    def _features(self) -> Iterator[pa.Field]:
        for column in self.columns:
            if column.name in self.since:
                yield pa.field(self.since[column.name], pa.float64())
            else:
                yield column
        if self.age and self.timed:
            yield pa.field(f"{self.name}_age_minutes", pa.float64())

    def is_laid_out_as(self, other: "ServedTable") -> bool:
        """Return whether payloads of both look the same."""
        mine = (self.entities, self.kinds, self.timed, self.columns)
        return mine == (other.entities, other.kinds, other.timed, other.columns)


class OnRequest(_Closed):
    """SQL on the request itself, as it was when the version was published."""

    name: str
    sql: str
    origin: str


class Manifest(_Closed):
    """One published version."""

    form: int = 1
    product: str
    instant: datetime
    """The instant of the publication, by the product's clock."""
    tables: list[ServedTable]
    on_request: list[OnRequest] = []
    requests: Schema = None
    """The columns of a request, in their types; none for a product without a label."""
    hidden: str | None = None
    """The label's column, which no request has."""
    entity: str | None = None
    """The column that names a row, which a request need not have."""
    time: str | None = None
    """The request's column that says as of when."""

    log: float = 0.0
    """Which share of the requests is logged."""

    @property
    def versions(self) -> dict[str, int]:
        """The version of each table."""
        return {table.table: table.version for table in self.tables}


class Contents(_Closed):
    """What each day of each published table held: table → day → digest."""

    tables: Mapping[str, Mapping[str, str]]
