"""Values of a source that became others after predictions that may have used them, and no `known_at` says so.

Told from the versions of validated/<source> that are kept: rows that a commit wrote anew, by their unique column. The
moments are those of the commits, by the wall: a product that replays its history has none that mean anything.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import pairwise

import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.days import Days
from headrace.core.names import quoted
from headrace.features.graph import Graph
from headrace.features.lineage import feature_lineage, label_lineage
from headrace.features.shared import own_features
from headrace.features.windows import instant, known_times
from headrace.store.commits import Version
from headrace.store.engine import TableView
from headrace.store.site import Site


@dataclass(frozen=True)
class Rewritten:
    """A column whose values became others, and one of its rows."""

    source: str
    column: str
    rows: int
    example: str
    """The row's name: its unique column and value."""
    at: datetime
    version: int
    """Of validated/<source>: the first in which values are others."""

    @property
    def why(self) -> str:
        """What is suspicious of it, in words."""
        return (
            f"became another in {self.rows} rows after predictions that may have used it, such as {self.example} at "
            f"{self.at:%Y-%m-%d %H:%M} UTC (version {self.version} of validated/{self.source}), and no `known_at` says when it is known"
        )


@dataclass(frozen=True)
class _Watched:
    """What of a source is looked at: its unique column, the column that says when a row is known, and values."""

    source: str
    key: str
    moment: str
    columns: Sequence[str]


def find_rewritten(site: Site, graph: Graph, training_set: pa.Table) -> list[Rewritten]:
    """Return the columns that features or requests read and that a commit changed after a prediction; once each."""
    assert graph.label
    if site.product.clock != "wall":
        return []
    times = training_set[graph.label.time]
    found: dict[tuple[str, str], Rewritten] = {}
    for watched in _watched(site, graph):
        for rewritten in _in_versions(site, watched, times):
            found.setdefault((rewritten.source, rewritten.column), rewritten)
    return list(found.values())


def _watched(site: Site, graph: Graph) -> Iterator[_Watched]:
    used = _used(site, graph)
    for name, source in graph.sources.items():
        moment = source.known_at if isinstance(source.known_at, str) else source.time
        unique = (
            [c for c, rules in graph.contracts[name].columns.items() if rules.unique] if name in graph.contracts else []
        )
        told = {moment, source.time, *known_times(source), *unique}
        columns = [column for column in graph.schema.get(name, {}) if (name, column) in used and column not in told]
        if moment and unique and columns:
            yield _Watched(name, unique[0], moment, columns)


def _used(site: Site, graph: Graph) -> set[tuple[str, str]]:
    """Return the (source, column) pairs that features and requests are made of, as far as declarations tell; the label is none."""
    assert graph.label
    label = graph.label.column
    own = own_features(graph.features)
    tables = [feature_lineage(site, name, f, graph) for name, f in own.items() if not f.on_request]
    python = {(name, c) for f in own.values() for name in f.reads or [] for c in graph.schema.get(name, {})}
    request = {column: origins for column, origins in label_lineage(site, graph).items() if column != label}
    return python | {
        (source, column)
        for lineage in [*tables, request]
        for origins in lineage.values()
        for _, source, column in origins
    }


def _in_versions(site: Site, watched: _Watched, times: pa.ChunkedArray) -> Iterator[Rewritten]:
    table = site.product.table("validated", watched.source)
    gone = site.tables.removed(table).versions
    for before, after in pairwise(site.tables.versions(table)):
        rewrote = not set(before.files) <= set(after.files)
        if rewrote and not {before.number, after.number} & gone:
            earlier = pc.max(times.filter(pc.less(times, pa.scalar(after.at, times.type)))).as_py()
            if earlier:
                yield from _between(site, watched, (before, after), earlier)


def _between(site: Site, watched: _Watched, versions: tuple[Version, Version], latest: datetime) -> Iterator[Rewritten]:
    """Yield the columns that changed in rows known by the newest prediction before the commit."""
    table, after = site.product.table("validated", watched.source), versions[1]
    views = {
        name: TableView(table, _days(after), v.number) for name, v in zip(("before", "after"), versions, strict=True)
    }
    there = [set(site.tables.schema(table, version=version.number).names) for version in versions]
    key = quoted(watched.key)
    for column in (column for column in watched.columns if all(column in names for names in there)):
        others = f"before.{quoted(column)} is distinct from after.{quoted(column)}"
        sql = (
            f"select count(*) as rows, min(after.{key}) as example from before join after using ({key}) "
            f"where {others} and after.{quoted(watched.moment)} <= {instant(latest)}"
        )
        row = site.engine.query(sql, views, origin=table).to_pylist()[0]
        if row["rows"]:
            example = f"{watched.key} {row['example']}"
            yield Rewritten(watched.source, column, row["rows"], example, after.at, after.number)


def _days(version: Version) -> Days | None:
    """Return the days that a commit wrote, from the first to the last; None for a table without days."""
    text = version.days
    return Days(date.fromisoformat(text[:10]), date.fromisoformat(text[-10:])) if text else None
