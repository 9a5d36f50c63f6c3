"""A published version, ready to be read: its tables, and the SQL on the request itself."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.core.errors import DataError, Refused
from headrace.core.fingerprint import sql_version
from headrace.core.names import did_you_mean
from headrace.core.sql import Statement
from headrace.features.join import MINUTE
from headrace.features.training import numbered_requests, request_sql, with_computed
from headrace.online.keys import key_maker
from headrace.online.log import Line
from headrace.online.manifest import Manifest, OnRequest, ServedTable
from headrace.online.payload import Found, Layout, TooEarly
from headrace.store.engine import Prepared

_ABSENT = object()
_MICROSECOND = timedelta(microseconds=1)


class Table:
    """A served table, ready to be read."""

    def __init__(self, served: ServedTable) -> None:
        self.served = served
        self.layout = Layout(served.columns, timed=served.timed)
        self.key = key_maker(served.name, served.entities, served.kinds)
        self._ttl = served.ttl // _MICROSECOND if served.ttl is not None and served.timed else None
        self._names = served.features.names
        self._zeros = [(i, c.name) for i, c in enumerate(served.columns) if c.name in served.zeros]
        self._since = [i for i, c in enumerate(served.columns) if c.name in served.since]
        self._age = served.age and served.timed
        self._missing = dict.fromkeys(self._names, None) | {name: _zero(served, name) for _, name in self._zeros}

    def find(self, payload: bytes | None, instant: int) -> Found | None:
        """Return the step that holds at an instant, unless it is older than the table's ttl."""
        return self.find_all([payload], [instant])[0] if payload is not None else None

    def find_all(self, payloads: Sequence[bytes | None], instants: Sequence[int]) -> list[Found | None]:
        """Return the steps that hold at many instants, unless they are older than the table's ttl."""
        try:
            found = self.layout.find_all(payloads, instants)
        except TooEarly as error:
            raise TooEarly(f"Feature table '{self.served.name}': {error}") from None
        if self._ttl is None:
            return found
        return [f if f is None or at - f[3] <= self._ttl else None for f, at in zip(found, instants, strict=True)]

    def row(self, found: Found | None, instant: int, at: datetime) -> Iterable[tuple[str, Any]]:
        """Return a step's features as of an instant."""
        if found is None:
            return self._missing.items()
        values = self.layout.values(found)
        for place, name in self._zeros:
            if values[place] is None:
                values[place] = self._missing[name]
        for place in self._since:
            if values[place] is not None:
                values[place] = (at - values[place]) // _MICROSECOND / MINUTE
        if self._age:
            values.append((instant - found[3]) // 1_000_000 / 60)
        return zip(self._names, values, strict=True)

    def columns(self, found: Sequence[Found | None], instants: Any) -> Iterator[pa.Array]:
        """Yield the columns of many requests; `instants` are theirs, in microseconds since 1970."""
        for column, values in zip(self.served.columns, self.layout.columns(found), strict=True):
            if column.name in self.served.since:
                stored = values.cast(pa.timestamp("us", column.type.tz)).cast(pa.int64())
                yield _nullable((instants - stored.fill_null(0).to_numpy()) / MINUTE, values.is_null())
            elif column.name in self.served.zeros:
                yield values.fill_null(pa.scalar(0, pa.int8()).cast(values.type))
            else:
                yield values
        if self._age:
            since = np.array([0 if f is None else f[3] for f in found], np.int64)
            ages = (instants - since) // 1_000_000 / 60
            yield _nullable(ages, pa.array([f is None for f in found], pa.bool_()))


class Computed:
    """Features of the request itself: the SQL that training used, prepared."""

    def __init__(self, published: OnRequest, hidden: str | None) -> None:
        self._name, self._hidden = published.name, hidden
        self._statement = Statement(published.sql, published.origin)
        self._prepared = Prepared(request_sql(self._statement), "request", origin=published.origin)

    def added_to(self, requests: pa.Table) -> pa.Table:
        """Return requests with the columns that the SQL computes of each."""
        numbered = numbered_requests(requests, self._hidden)
        made = self._prepared.rows(numbered)
        return with_computed(self._name, self._statement, requests, numbered, made)


@dataclass(frozen=True)
class View:
    """One published version, ready to be read."""

    version: int
    manifest: Manifest
    tables: Sequence[Table]
    computed: Sequence[Computed]

    @classmethod
    def of(cls, version: int, manifest: Manifest) -> "View":
        """Return a version by its manifest."""
        computed = [Computed(sql, manifest.hidden) for sql in manifest.on_request]
        return cls(version, manifest, [Table(table) for table in manifest.tables], computed)

    def table_of(self, requests: Sequence[Mapping[str, Any]], at: datetime) -> pa.Table:
        """Return requests as rows, all as of one instant; what they do not say of a row's own name is null."""
        columns = {}
        for column in self._columns:
            told = [at if column.name == self.manifest.time else r.get(column.name, _ABSENT) for r in requests]
            if _ABSENT in told:
                if column.name != self.manifest.entity:
                    raise self._lacks(column.name, requests[0])
                told = [None if value is _ABSENT else value for value in told]
            try:
                columns[column.name] = pa.array(told, column.type)
            except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
                raise DataError(
                    f"The request's '{column.name}' is no {column.type}, as it is in training: {error}"
                ) from None
        return pa.table(columns)

    def requests_of(self, rows: pa.Table) -> pa.Table:
        """Return rows with the columns of a request, in the types that they have in training."""
        for column in self._columns:
            if column.name not in rows.column_names:
                raise self._lacks(column.name, rows.column_names)
        chosen = rows.select(self._columns.names)
        try:
            return chosen.cast(self._columns)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            types = ", ".join(f"{c.name}: {c.type}" for c in chosen.schema)
            raise DataError(f"The requests are not as they are in training: {error}. They have {types}.") from None

    def line(self, request: Mapping[str, Any], at: datetime, values: Mapping[str, Any], types: pa.Schema) -> Line:
        """Return a request as it was served."""
        kinds = {} if self.manifest.requests is None else {c.name: str(c.type) for c in self.manifest.requests}
        return Line(
            instant=at,
            request=request,
            kinds=kinds,
            features=values,
            types={column.name: str(column.type) for column in types},
            version=self.version,
            tables=self.manifest.versions,
            sql=self.digests,
        )

    @cached_property
    def digests(self) -> dict[str, str]:
        """A digest of each SQL on the request."""
        return {computed.name: sql_version(computed.sql) for computed in self.manifest.on_request}

    @cached_property
    def stored(self) -> pa.Schema:
        """The features that stand in tables."""
        return pa.schema([column for table in self.tables for column in table.served.features])

    @property
    def _columns(self) -> pa.Schema:
        if self.manifest.requests is None:
            raise Refused(
                f"{self.manifest.product} has no label: nobody knows what a request has. Look at single tables."
            )
        return self.manifest.requests

    def _lacks(self, column: str, there: Iterable[str]) -> DataError:
        return DataError(
            f"The request lacks '{column}', which the label's SQL gives; it has {', '.join(there)}.{did_you_mean(column, there)}"
        )


def _zero(served: ServedTable, name: str) -> Any:
    kind = served.columns.field(name).type
    return pa.scalar(0, pa.int8()).cast(kind).as_py()


def _nullable(values: Any, nulls: pa.Array) -> pa.Array:
    return pa.array(np.asarray(values, np.float64), mask=nulls.to_numpy(zero_copy_only=False))
