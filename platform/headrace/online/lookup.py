"""Online features: what holds of a request's entities as of its own instant, as the point-in-time join would say."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.arrow import python_rows
from headrace.core.errors import DataError, Refused
from headrace.core.names import did_you_mean
from headrace.online.keys import MANIFEST, typed
from headrace.online.log import RequestLog
from headrace.online.manifest import Manifest, ServedTable
from headrace.online.payload import microseconds
from headrace.online.view import View
from headrace.store.online import OnlineStore

_MICROSECOND = timedelta(microseconds=1)


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


class OnlineFeatures:
    """The features of requests, by one round trip each. Opened once, for any number of threads.

    It follows new versions by itself: each request is answered from one version, whole.
    """

    def __init__(self, store: OnlineStore, product: str, log: RequestLog | None = None) -> None:
        """Serve from a store; `log` takes the share of the requests that `serve.online.log` declares."""
        self._store = store
        self._product = product
        self._log = log
        self._view: View | None = None

    @property
    def view(self) -> View:
        """The version that was read last; raises Refused where nothing is published yet."""
        return self._view or self._follow()

    def follow(self) -> None:
        """Look whether another version is published by now: where no table is looked up, no request does."""
        if self.view.version != self._store.read([]).version:
            self._follow()

    def one(self, request: Mapping[str, Any], at: datetime) -> Served:
        """Return the features of one request as of an instant: those of the training set, in its order.

        Raises DataError where the request lacks an entity of a table or holds another type of it, lacks a column that SQL
        on the request needs, or where `at` lies before what is published; Refused where nothing is.
        """
        [served] = self.each([(request, at)])
        return served

    def each(self, asked: Sequence[tuple[Mapping[str, Any], datetime]]) -> list[Served]:
        """Return the features of some requests, each as of its own instant, all of one version; raises what `one` raises."""
        if self.view.computed:
            return [self._computed(request, at) for request, at in asked]
        view, found = self._stored(asked)
        if self._log:
            for (request, at), served in zip(asked, found, strict=True):
                if self._log.draws(view.manifest.log):
                    self._log.offer(view.line(request, at, served.values, view.stored))
        return found

    def _computed(self, request: Mapping[str, Any], at: datetime) -> Served:
        row, view = self._features(self.view.table_of([request], at))
        served = Served(python_rows(row)[0], view.version)
        if self._log and self._log.draws(view.manifest.log):
            self._log.offer(view.line(request, at, served.values, row.schema))
        return served

    def stored(self, request: Mapping[str, Any], at: datetime) -> Served:
        """Return the features of one request that stand in tables, without those that are made of the request itself."""
        [served] = self._stored([(request, at)])[1]
        return served

    def _stored(self, asked: Sequence[tuple[Mapping[str, Any], datetime]]) -> tuple[View, list[Served]]:
        view, held = self._read(lambda view: [key for request, _ in asked for key in view.keys(request)])
        width, found = len(view.shelves), []
        for number, (_, at) in enumerate(asked):
            own = held[number * width : (number + 1) * width]
            found.append(Served(view.values(own, microseconds(at), at), view.version))
        return view, found

    def features(self, requests: pa.Table) -> tuple[pa.Table, View]:
        """Return the features of request rows, each as of its own instant; and of which version they are.

        The rows have the columns of the label's SQL without the label; what comes back are the features of the training
        set, with the same names, types and order. Columns that the training set's rows do not have are not looked at.
        """
        found, view = self._features(requests)
        if self._log:
            self._log_some(requests, found, view, self._log)
        return found, view

    def _features(self, requests: pa.Table) -> tuple[pa.Table, View]:
        while True:
            view = self.view
            asked = view.requests_of(requests)
            stored, read = self.rows(asked, asked[view.manifest.time or ""])
            if read is view:
                break
        for name in stored.column_names:
            asked = asked.append_column(name, stored[name])
        for computed in view.computed:
            asked = computed.added_to(asked)
        own = view.manifest.requests.names
        return asked.drop_columns([name for name in asked.column_names if name in own]), view

    def rows(self, requests: pa.Table, instants: pa.ChunkedArray) -> tuple[pa.Table, View]:
        """Return the stored features of many requests, each as of its own instant, in their order; and of which version."""
        moments = pc.cast(instants, pa.timestamp("us", "UTC")).cast(pa.int64())
        if moments.null_count:
            raise DataError("Every request needs an instant; some are null.")
        asked = moments.to_numpy()
        view, values = self._read(lambda view: [key for shelf in view.shelves for key in shelf.keys(requests)])
        arrays: list[Sequence[pa.Array]] = [()] * len(view.tables)
        for number, shelf in enumerate(view.shelves):
            held = values[number * len(asked) : (number + 1) * len(asked)]
            for place, spots in shelf.spots(held):
                table = view.tables[place]
                arrays[place] = list(table.columns(table.find_all(spots, asked), asked))
        if not arrays:
            return requests.select([]), view
        return pa.Table.from_arrays([array for own in arrays for array in own], schema=view.stored), view

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
        view, starts = self._spots(absent | dict(request))
        for number in given:
            table, spot = view.tables[number], starts[number]
            found = table.find(*spot, instant) if spot else None
            since = at - (instant - found[3]) * _MICROSECOND if found and table.served.timed else None
            told.append(Instant(table.served, since, dict(table.row(found, instant, at))))
        return told

    def _log_some(self, requests: pa.Table, found: pa.Table, view: View, log: RequestLog) -> None:
        drawn = pa.array([n for n in range(requests.num_rows) if log.draws(view.manifest.log)], pa.int64())
        asked, told = requests.take(drawn).to_pylist(), found.take(drawn).to_pylist()
        for request, values in zip(asked, told, strict=True):
            log.offer(view.line(request, request[view.manifest.time], values, found.schema))

    def _spots(self, request: Mapping[str, Any]) -> tuple[View, list[tuple[bytes, int] | None]]:
        """Return for each table where the payload of a request's entity lies; None where it has none."""
        view, values = self._read(lambda view: view.keys(request))
        spots: list[tuple[bytes, int] | None] = [None] * len(view.tables)
        for shelf, value in zip(view.shelves, values, strict=True):
            if value is not None:
                shelf.place(value, spots)
        return view, spots

    def _read(self, keys: Callable[[View], list[bytes | None]]) -> tuple[View, list[bytes | None]]:
        """Return what the keys hold that requests have by a view, all of one version."""
        view = self.view
        while True:
            version, values = self._read_once(keys(view))
            if version == view.version:
                return view, values
            view = self._follow()

    def _read_once(self, keys: list[bytes | None]) -> tuple[int, list[bytes | None]]:
        """Return what keys hold, of which several may be the same or none."""
        if len(keys) == 1 and keys[0] is not None:
            return self._store.read(keys)  # type: ignore[arg-type]
        distinct = [key for key in dict.fromkeys(keys) if key is not None]
        version, values = self._store.read(distinct)
        if len(distinct) == len(keys):
            return version, values
        held = dict(zip(distinct, values, strict=True))
        return version, [held.get(key) if key is not None else None for key in keys]

    def _follow(self) -> View:
        """Read what the newest version consists of."""
        version, [data] = self._store.read([MANIFEST])
        if data is None:
            raise Refused(
                f"No features of {self._product} are published yet: say `serve: {{online: {{}}}}` and materialize "
                f"{self._product}/online/features."
            )
        self._view = View.of(version, Manifest.model_validate_json(data))
        return self._view
