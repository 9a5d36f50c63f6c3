"""Logged requests, computed anew by the code that training uses: the point-in-time join and the SQL on the request."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.arrow import NO_CAST
from headrace.features.declaration import Label
from headrace.features.join import FeatureTable, join_features
from headrace.features.training import Features, with_requests
from headrace.features.usable import Span, usable_tables
from headrace.online.gather import requests_table
from headrace.online.log import plain
from headrace.online.publish import request_columns
from headrace.store.site import Site

Cells = Mapping[str, list[Any]]
"""Feature → its values as JSON has them, one a request."""


@dataclass(frozen=True)
class Replay:
    """Logged requests with what they were served."""

    site: Site
    features: Features
    label: Label
    requests: pa.Table
    """In the columns and types of training; null where a request had nothing that could be read as such."""
    instants: pa.ChunkedArray
    """As of when each was looked up."""
    served: Sequence[Mapping[str, Any]]
    types: Sequence[Mapping[str, str]]
    kinds: Sequence[Mapping[str, str]]
    tables: Sequence[Mapping[str, int]]
    sql: Sequence[Mapping[str, str]]

    def again(
        self,
        *,
        times: pa.ChunkedArray | None = None,
        requests: pa.Table | None = None,
        features: Features | None = None,
        versions: Mapping[str, int] | None = None,
    ) -> pa.Table:
        """Return the features of all requests, computed anew; as of other times, of other requests or tables if asked."""
        features = features or self.features
        asked = self.requests if requests is None else requests
        if times is not None:
            asked = asked.set_column(asked.column_names.index(self.label.time), self.label.time, times)
        tables = list(usable_tables(self.site, features, self._span(asked), versions))
        joined = join_features(asked, self.label.time, tables)
        return with_requests(self.site, features, self.label, joined).drop_columns(asked.column_names)

    def by_versions(self) -> Iterator[tuple[Mapping[str, int], list[int]]]:
        """Yield each set of table versions that requests were served from, and the numbers of these requests."""
        groups: dict[str, list[int]] = {}
        for number, tables in enumerate(self.tables):
            groups.setdefault(json.dumps(tables, sort_keys=True), []).append(number)
        yield from ((json.loads(text), numbers) for text, numbers in groups.items())

    def only(self, numbers: Sequence[int]) -> "Replay":
        """Return some of the requests."""
        places = pa.array(numbers, pa.int64())
        return Replay(
            self.site,
            self.features,
            self.label,
            requests=self.requests.take(places),
            instants=self.instants.take(places),
            served=[self.served[n] for n in numbers],
            types=[self.types[n] for n in numbers],
            kinds=[self.kinds[n] for n in numbers],
            tables=[self.tables[n] for n in numbers],
            sql=[self.sql[n] for n in numbers],
        )

    def tables_now(self) -> list[FeatureTable]:
        """Return the stored features as the join sees them."""
        return list(usable_tables(self.site, self.features, None))

    def _span(self, requests: pa.Table) -> Span | None:
        ends = pc.min_max(requests[self.label.time]).as_py()
        return (ends["min"], ends["max"]) if requests.num_rows else None


def logged(site: Site, features: Features, label: Label, last: int) -> tuple[Replay, int]:
    """Return the newest `last` logged requests, and how many were dropped altogether."""
    table = requests_table(site)
    rows = site.tables.read(table)
    dropped: int = pc.sum(rows["dropped"]).as_py() or 0
    rows = rows.filter(pc.is_valid(rows["request"])).sort_by(
        [("instant", "descending"), ("segment", "ascending"), ("line", "ascending")]
    )
    rows = rows.slice(0, last)
    texts = {
        name: [json.loads(text) for text in rows[name].to_pylist()]
        for name in ("request", "features", "types", "kinds", "tables", "sql")
    }
    columns = pa.schema([column for column in request_columns(site, label) if column.name != label.column])
    requests = _requests(texts["request"], columns)
    at = columns.names.index(label.time)
    # A request that does not say its own time is one of the instant that it was looked up as of.
    times = pc.coalesce(requests[label.time].cast(pa.timestamp("us", "UTC")), rows["instant"])
    requests = requests.set_column(at, label.time, times)
    rest = [texts[name] for name in ("features", "types", "kinds", "tables", "sql")]
    return Replay(site, features, label, requests, rows["instant"], *rest), dropped


def cells(rows: pa.Table) -> Cells:
    """Return rows column by column, as JSON has their values."""
    return {name: [plain(value) for value in rows[name].to_pylist()] for name in rows.column_names}


def steps_beside(table: FeatureTable, requests: pa.Table, time: str) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """Return for each request an instant at which the step before the one that it got held, and one of the step after it."""
    keys = list(table.entities)
    steps = pl.DataFrame(table.rows).select(*keys, pl.col(table.time or "time").alias("_step")).sort("_step")
    asked = pl.DataFrame(requests).select(pl.col(time).alias("_asked"), *keys).with_row_index("_number").sort("_asked")
    found = {}
    for way in ("backward", "forward"):
        joined = asked.join_asof(
            steps,
            left_on="_asked",
            right_on="_step",
            by=keys,
            strategy=way,
            allow_exact_matches=way == "backward",
            coalesce=False,
            check_sortedness=False,
        )
        found[way] = joined.sort("_number")["_step"]
    own = asked.sort("_number")["_asked"]
    before = found["backward"].dt.offset_by("-1us")
    filled = [times.fill_null(own).to_arrow() for times in (before, found["forward"])]
    return pa.chunked_array([filled[0]]), pa.chunked_array([filled[1]])


def _requests(said: Sequence[Mapping[str, Any]], columns: pa.Schema) -> pa.Table:
    return pa.table({c.name: pa.array([value_of(r.get(c.name), c.type) for r in said], c.type) for c in columns})


def value_of(value: Any, kind: pa.DataType) -> Any:
    """Return a logged value in the type of training; None where it is none."""
    if value is None:
        return None
    try:
        if pa.types.is_timestamp(kind):
            return datetime.fromisoformat(value)
        if pa.types.is_date(kind):
            return date.fromisoformat(value)
        if pa.types.is_floating(kind):
            return float(value)
        return pa.scalar(value).cast(kind).as_py()
    except (ValueError, TypeError, *NO_CAST):
        return None
