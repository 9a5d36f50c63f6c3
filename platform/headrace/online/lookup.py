"""Online features: what holds of a request's entities as of its own instant, as the point-in-time join would say."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.errors import DataError, Refused
from headrace.core.names import did_you_mean
from headrace.features.join import MINUTE
from headrace.online.keys import MANIFEST, key_maker, typed
from headrace.online.manifest import Manifest, ServedTable
from headrace.online.payload import Found, Layout, TooEarly, microseconds
from headrace.store.online import OnlineStore

_MICROSECOND = timedelta(microseconds=1)
_PER_MICROSECOND, _PER_SECOND = 1 / MINUTE, 1 / 60
"""In minutes. The join's polars divides by a number as it multiplies by one over it, which is another last digit."""


class Served(NamedTuple):
    """The features of one request."""

    values: dict[str, Any]
    """Feature → value, in the order of the training set."""
    version: int
    """The published version that they are of."""


class Instant(NamedTuple):
    """What one table says of one entity."""

    table: ServedTable
    since: datetime | None
    """From when on it holds; None where nothing does, or in a table without time."""
    values: dict[str, Any]


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
        try:
            found = self.layout.find(payload, instant)
        except TooEarly as error:
            raise TooEarly(f"Feature table '{self.served.name}': {error}") from None
        if found is not None and self._ttl is not None and instant - found.instant > self._ttl:
            return None
        return found

    def row(self, found: Found | None, instant: int, at: datetime) -> dict[str, Any]:
        """Return a step's features as of an instant."""
        if found is None:
            return self._missing
        values = self.layout.values(found)
        for place, name in self._zeros:
            if values[place] is None:
                values[place] = self._missing[name]
        for place in self._since:
            if values[place] is not None:
                values[place] = (at - values[place]) // _MICROSECOND * _PER_MICROSECOND
        if self._age:
            values.append((instant - found.instant) // 1_000_000 * _PER_SECOND)
        return dict(zip(self._names, values, strict=True))

    def columns(self, found: Sequence[Found | None], instants: Any) -> Iterator[pa.Array]:
        """Yield the columns of many requests; `instants` are theirs, in microseconds since 1970."""
        for column, values in zip(self.served.columns, self.layout.columns(found), strict=True):
            if column.name in self.served.since:
                stored = values.cast(pa.timestamp("us", column.type.tz)).cast(pa.int64())
                yield _nullable((instants - stored.fill_null(0).to_numpy()) * _PER_MICROSECOND, values.is_null())
            elif column.name in self.served.zeros:
                yield values.fill_null(pa.scalar(0, pa.int8()).cast(values.type))
            else:
                yield values
        if self._age:
            since = np.array([0 if f is None else f.instant for f in found], np.int64)
            ages = (instants - since) // 1_000_000 * _PER_SECOND
            yield _nullable(ages, pa.array([f is None for f in found], pa.bool_()))


@dataclass(frozen=True)
class View:
    """One published version, ready to be read."""

    version: int
    manifest: Manifest
    tables: Sequence[Table]


class OnlineFeatures:
    """The features of requests, by one round trip each. Opened once, for any number of threads.

    It follows new versions by itself: each request is answered from one version, whole.
    """

    def __init__(self, store: OnlineStore, product: str) -> None:
        self._store = store
        self._product = product
        self._view: View | None = None

    @property
    def view(self) -> View:
        """The version that was read last; raises Refused where nothing is published yet."""
        return self._view or self._follow()

    def one(self, request: Mapping[str, Any], at: datetime) -> Served:
        """Return the stored features of one request as of an instant.

        Raises DataError where the request lacks an entity of a table or holds another type of it, or where `at` lies
        before what is published; Refused where nothing is.
        """
        instant = microseconds(at)
        view, payloads = self._read([request])
        values: dict[str, Any] = {}
        for table, payload in zip(view.tables, payloads, strict=True):
            values.update(table.row(table.find(payload, instant), instant, at))
        return Served(values, view.version)

    def rows(self, requests: pa.Table, instants: pa.ChunkedArray) -> tuple[pa.Table, View]:
        """Return the stored features of many requests, each as of its own instant, in their order; and of which version."""
        moments = pc.cast(instants, pa.timestamp("us", "UTC")).cast(pa.int64())
        if moments.null_count:
            raise DataError("Every request needs an instant; some are null.")
        places = moments.to_pylist()
        needed = {entity for table in self.view.tables for entity in table.served.entities}
        listed = requests.select([name for name in requests.column_names if name in needed]).to_pylist()
        view, payloads = self._read(listed)
        columns: dict[str, pa.Array] = {}
        for number, table in enumerate(view.tables):
            mine = payloads[number :: len(view.tables)]
            found = [table.find(payload, at) for payload, at in zip(mine, places, strict=True)]
            arrays = table.columns(found, moments.to_numpy())
            columns |= dict(zip(table.served.features.names, arrays, strict=True))
        if not columns:
            return requests.select([]), view
        return pa.table(columns), view

    def request(self, given: Mapping[str, str]) -> dict[str, Any]:
        """Return what was given as texts in the types of the entities; raises DataError for a column that no table has."""
        served = [table.served for table in self.view.tables]
        kinds = {name: kind for table in served for name, kind in zip(table.entities, table.kinds, strict=True)}
        for column in given:
            if column not in kinds:
                raise DataError(
                    f"No feature table of {self._product} is looked up by '{column}'; there are "
                    f"{', '.join(sorted(kinds))}.{did_you_mean(column, kinds)}"
                )
        return {column: typed(text, kinds[column]) for column, text in given.items()}

    def tables_of(self, request: Mapping[str, Any], at: datetime) -> list[Instant]:
        """Return what each table says all of whose entity columns are given; raises DataError where there is none."""
        instant = microseconds(at)
        view, told = self.view, []
        given = [n for n, table in enumerate(view.tables) if all(e in request for e in table.served.entities)]
        if not given:
            needed = "; ".join(f"{t.served.name}: {', '.join(t.served.entities)}" for t in view.tables)
            raise DataError(f"No table is looked up by {', '.join(request)} alone. They need: {needed}")
        absent = {entity: None for table in view.tables for entity in table.served.entities}
        view, payloads = self._read([absent | dict(request)])
        for number in given:
            table = view.tables[number]
            found = table.find(payloads[number], instant)
            since = at - (instant - found.instant) * _MICROSECOND if found and table.served.timed else None
            told.append(Instant(table.served, since, table.row(found, instant, at)))
        return told

    def _read(self, requests: Sequence[Mapping[str, Any]]) -> tuple[View, list[bytes | None]]:
        """Return the payloads of requests, for each of them one a table, all of one version."""
        view = self.view
        while True:
            keys = [table.key(request) for request in requests for table in view.tables]
            reading = self._read_once(keys)
            if reading[0] == view.version:
                return view, reading[1]
            view = self._follow()

    def _read_once(self, keys: list[bytes | None]) -> tuple[int, list[bytes | None]]:
        """Return the payloads of keys, of which several may be the same or none."""
        if len(keys) < 16 and None not in keys:
            return self._store.read(keys)  # type: ignore[arg-type]
        distinct = list({key for key in keys if key is not None})
        version, payloads = self._store.read(distinct)
        held = dict(zip(distinct, payloads, strict=True))
        return version, [held.get(key) if key is not None else None for key in keys]

    def _follow(self) -> View:
        """Read what the newest version consists of."""
        version, [data] = self._store.read([MANIFEST])
        if data is None:
            raise Refused(
                f"No features of {self._product} are published yet: say `serve: {{online: {{}}}}` and materialize "
                f"{self._product}/online/features."
            )
        manifest = Manifest.model_validate_json(data)
        self._view = View(version, manifest, [Table(table) for table in manifest.tables])
        return self._view


def _zero(served: ServedTable, name: str) -> Any:
    kind = served.columns.field(name).type
    return pa.scalar(0, pa.int8()).cast(kind).as_py()


def _nullable(values: Any, nulls: pa.Array) -> pa.Array:
    return pa.array(np.asarray(values, np.float64), mask=nulls.to_numpy(zero_copy_only=False))
