"""A published version, ready to be read: its tables, and the SQL on the request itself."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from headrace.core.arrow import NO_CAST
from headrace.core.clock import MINUTE
from headrace.core.errors import DataError, Refused, StoreError
from headrace.core.names import did_you_mean
from headrace.online.keys import key_maker
from headrace.online.log import Line
from headrace.online.manifest import FORM, Manifest, ServedTable
from headrace.online.many import ManySteps, Spots, Steps
from headrace.online.packed import Alone, Group, groups_of, spots_in, starts_in
from headrace.online.payload import Found, Layout, TooEarly

if TYPE_CHECKING:
    from headrace.online.computed import Computed

_ABSENT = object()
_MICROSECOND = timedelta(microseconds=1)


class Table:
    """A served table, ready to be read."""

    def __init__(self, served: ServedTable) -> None:
        self.served = served
        self.layout = Layout(served.columns, timed=served.timed)
        self._many = ManySteps(self.layout)
        self._ttl = served.ttl // _MICROSECOND if served.ttl is not None and served.timed else None
        self._names = served.features.names
        self._stored, self._types = served.columns.names, served.columns.types
        self._zeros = [(i, c.name) for i, c in enumerate(served.columns) if c.name in served.zeros]
        self._since = [i for i, c in enumerate(served.columns) if c.name in served.since]
        self._age = served.age and served.timed
        self.is_plain = self.layout.is_plain and self._ttl is None and not self._since and not self._age
        self._missing = dict.fromkeys(self._names, None) | {name: _zero(served, name) for _, name in self._zeros}

    @property
    def missing(self) -> Iterable[Any]:
        """The features of an entity that has no payload."""
        return self._missing.values()

    def values(self, data: bytes, start: int, instant: int, at: datetime) -> Iterable[Any]:
        """Return the features as of an instant of an entity whose payload begins at `start` of the data."""
        return self._values(self.find(data, start, instant), instant, at)

    def find(self, data: bytes, start: int, instant: int) -> Found | None:
        """Return the step that holds at an instant, unless it is older than the table's ttl; its payload begins at `start`."""
        try:
            found = self.layout.find(data, instant, start)
        except TooEarly as error:
            raise self._refused(error) from None
        return None if found and self._ttl is not None and instant - found[3] > self._ttl else found

    def find_all(self, spots: Spots, instants: Any) -> Steps:
        """Return the steps that hold at many instants, unless they are older than the table's ttl."""
        try:
            steps = self._many.find_all(spots, instants)
        except TooEarly as error:
            raise self._refused(error) from None
        return steps if self._ttl is None else steps.only(instants - steps.since <= self._ttl)

    def row(self, found: Found | None, instant: int, at: datetime) -> Iterable[tuple[str, Any]]:
        """Return a step's features as of an instant."""
        return zip(self._names, self._values(found, instant, at), strict=True)

    def _values(self, found: Found | None, instant: int, at: datetime) -> Iterable[Any]:
        if found is None:
            return self._missing.values()
        values = self.layout.values(found)
        for place, name in self._zeros:
            if values[place] is None:
                values[place] = self._missing[name]
        for place in self._since:
            if values[place] is not None:
                values[place] = (at - values[place]) // _MICROSECOND / MINUTE
        if self._age:
            values.append((instant - found[3]) // 1_000_000 / 60)
        return values

    def columns(self, steps: Steps, instants: Any) -> Iterator[pa.Array]:
        """Yield the columns of many requests; `instants` are theirs, in microseconds since 1970."""
        stored = self._many.columns(steps)
        if self.is_plain and not self._zeros:
            yield from stored
            return
        for name, kind, values in zip(self._stored, self._types, stored, strict=True):
            if name in self.served.since:
                moments = values.cast(pa.timestamp("us", kind.tz)).cast(pa.int64())
                yield _nullable((instants - moments.fill_null(0).to_numpy()) / MINUTE, values.is_null())
            elif name in self.served.zeros and values.null_count:
                yield values.fill_null(pa.scalar(0, pa.int8()).cast(values.type))
            else:
                yield values
        if self._age:
            yield pa.array(((instants - steps.since) // 1_000_000 / 60), pa.float64(), mask=steps.at < 0)

    def _refused(self, error: TooEarly) -> TooEarly:
        return TooEarly(f"Feature table '{self.served.name}': {error}")


class Shelf:
    """The tables of one group, ready to be read."""

    def __init__(self, group: Group, tables: Sequence[Table]) -> None:
        self.places = [[table.served for table in tables].index(served) for served in group.tables]
        """Which of the view's tables they are."""
        self._tables = [tables[place] for place in self.places]
        plain = all(table.is_plain for table in self._tables)
        self._alone = Alone([table.layout for table in self._tables]) if plain else None
        self.key = key_maker(group.tables[0].name, group.entities, group.kinds)
        self._group = group
        self._only_text = group.entities[0] if group.kinds == ["text"] else None
        self._room = max(table.layout.longest for table in self._tables)

    def keys(self, requests: pa.Table) -> list[bytes | None]:
        """Return the key of each request; None where a part of it is null. Raises DataError, as `key` does."""
        if self._only_text in requests.column_names and pa.types.is_string(requests[self._only_text].type):
            prefix = self._group.prefix
            texts = requests[self._only_text].to_pylist()
            return [None if text is None else prefix + text.encode() for text in texts]
        named = set(self._group.entities) <= set(requests.column_names)
        asked = requests.select(self._group.entities) if named else requests
        return [self.key(request) for request in asked.to_pylist()]

    def read(self, value: bytes, instant: int, at: datetime, found: list[Iterable[Any]]) -> None:
        """Put the features of an entity, by what its key holds, into their places among those of all tables of the view."""
        alone = self._alone.values(value, instant) if self._alone else None
        if alone:
            for place, cells in zip(self.places, alone, strict=True):
                found[place] = cells
            return
        starts = starts_in(value, len(self.places))
        for place, table, start in zip(self.places, self._tables, starts, strict=True):
            if start >= 0:
                found[place] = table.values(value, start, instant, at)

    def place(self, value: bytes, spots: list[tuple[bytes, int] | None]) -> None:
        """Say for each of the view's tables that are in a value where its payload begins."""
        for place, start in zip(self.places, starts_in(value, len(self.places)), strict=True):
            if start >= 0:
                spots[place] = value, start

    def spots(self, values: Sequence[bytes | None]) -> Iterator[tuple[int, Spots]]:
        """Yield where the payloads of each table lie in many values."""
        yield from zip(self.places, spots_in(values, len(self.places), self._room), strict=True)


@dataclass(frozen=True)
class View:
    """One published version, ready to be read."""

    version: int
    manifest: Manifest
    tables: Sequence[Table]
    shelves: Sequence[Shelf]
    computed: Sequence["Computed"]

    @classmethod
    def of(cls, version: int, manifest: Manifest) -> "View":
        """Return a version by its manifest; raises StoreError where its values lie in another way than this reads them."""
        if manifest.form != FORM:
            raise StoreError(
                f"{manifest.product}'s features were published by another release of headrace: materialize "
                f"{manifest.product}/online/features."
            )
        computed = _computed(manifest) if manifest.on_request else []
        tables = [Table(table) for table in manifest.tables]
        shelves = [Shelf(group, tables) for group in groups_of(manifest.tables)]
        return cls(version, manifest, tables, shelves, computed)

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
        except NO_CAST as error:
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
        return {computed.name: computed.digest for computed in self.computed}

    def keys(self, request: Mapping[str, Any]) -> list[bytes | None]:
        """Return the key that a request has in each shelf; None where a part of it is null. Raises DataError, as they do."""
        return [shelf.key(request) for shelf in self.shelves]

    def values(self, held: Sequence[bytes | None], instant: int, at: datetime) -> dict[str, Any]:
        """Return the stored features of one request as of an instant, by what the key of each shelf holds."""
        found = self._nothing.copy()
        for shelf, value in zip(self.shelves, held, strict=True):
            if value is not None:
                shelf.read(value, instant, at, found)
        return dict(zip(self.names, chain.from_iterable(found), strict=True))

    @cached_property
    def _nothing(self) -> list[Iterable[Any]]:
        return [table.missing for table in self.tables]

    @cached_property
    def names(self) -> list[str]:
        """Their names."""
        return list(self.stored.names)

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


def _computed(manifest: Manifest) -> list["Computed"]:
    """Return the SQL on the request; what reads SQL is loaded where there is some."""
    from headrace.online.computed import Computed

    return [Computed(sql, manifest.hidden) for sql in manifest.on_request]


def _zero(served: ServedTable, name: str) -> Any:
    kind = served.columns.field(name).type
    return pa.scalar(0, pa.int8()).cast(kind).as_py()


def _nullable(values: Any, nulls: pa.Array) -> pa.Array:
    return pa.array(np.asarray(values, np.float64), mask=nulls.to_numpy(zero_copy_only=False))
