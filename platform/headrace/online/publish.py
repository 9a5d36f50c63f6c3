"""Publication: what has changed since the last published version goes into the online store, entity by entity.

A table is a step function for each entity. What is kept of it is the step that held at the instant of the publication
(`back` before it, for requests that are under way) and all later ones, when events leave their windows.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pyarrow as pa

from headrace.core.days import Days, unbroken
from headrace.core.errors import VersionRemoved
from headrace.core.names import quoted
from headrace.core.recipe import ALL
from headrace.features.compute import source_views, sql_of, table_of
from headrace.features.declaration import Feature, Label
from headrace.features.training import Features, label_statement
from headrace.features.windows import instant, since_columns, zero_columns
from headrace.online.declaration import Online
from headrace.online.keys import CONTENTS, MANIFEST, key_texts, kind_of, prefix_of
from headrace.online.manifest import Contents, Manifest, OnRequest, ServedTable
from headrace.online.payload import Layout
from headrace.store.engine import TableView
from headrace.store.online import OnlineStore, Payloads, Publication
from headrace.store.site import Site
from headrace.store.tables import DAY

ROWS = 50_000
"""How many rows are packed at once."""
_DROPPED = "_dropped"


@dataclass
class Published:
    """What a publication has done."""

    version: int
    versions: Mapping[str, int]
    """Table → the version of it that is served now."""
    written: int = 0
    """Entities whose steps were written, summed over the tables."""
    removed: int = 0
    """Entities that were looked at and have no steps any more."""
    whole: list[str] = field(default_factory=list)
    """The tables of which all entities were written."""
    seconds: float = 0.0
    lag_seconds: float = 0.0
    """How long the oldest of the new table versions had waited."""


@dataclass(frozen=True)
class _Table:
    """A feature table to be published: how it is served, what its days hold, what is stored of it before."""

    served: ServedTable
    contents: Mapping[str, str]
    before: ServedTable | None
    contents_before: Mapping[str, str]

    @property
    def changed(self) -> list[Days] | None:
        """The days that hold other rows than were published; None where all entities have to be written."""
        if self.before is None or not self.before.is_laid_out_as(self.served):
            return None
        ours, theirs = self.contents, self.contents_before
        days = [day for day in {*ours, *theirs} if ours.get(day) != theirs.get(day)]
        return None if ALL in days else unbroken(date.fromisoformat(day) for day in days)


def publish(site: Site, features: Features, label: Label | None, online: Online, store: OnlineStore) -> Published:
    """Publish what has changed since the last version and return what was done; killed at any moment, the next one does it.

    Memory: the rows of the changed days' entities, and some 50,000 rows at once. Raises FenceLost if a later publication has begun.
    """
    began = time.monotonic()
    with store.publishing() as publication:
        tables = _tables(site, features, label, store)
        now = site.clock.now()
        done = Published(0, {table.served.table: table.served.version for table in tables})
        for table in tables:
            _publish_table(site, table, now - online.back, publication, done)
        manifest = _manifest(site, features, label, tables, now).model_copy(update={"log": online.log})
        contents = Contents(tables={table.served.table: table.contents for table in tables})
        publication.put({MANIFEST: manifest.model_dump_json().encode(), CONTENTS: contents.model_dump_json().encode()})
        done.version = publication.commit()
    done.seconds = time.monotonic() - began
    done.lag_seconds = _lag(site, tables)
    return done


def request_columns(site: Site, label: Label) -> pa.Schema:
    """Return the columns of a label row as the join sees them, the label's own among them."""
    statement = label_statement(site, label)
    at = quoted(label.time)
    sql = f"select * replace (cast({at} as timestamptz) as {at}) from ({statement.text}\n) limit 0"
    views = source_views(site, statement.tables)
    return site.engine.query(sql, views, origin=statement.origin).schema


def joined_types(schema: pa.Schema) -> pa.Schema:
    """Return columns in the types that the join gives them."""
    frame = pl.DataFrame(schema.empty_table())
    return frame.to_arrow(compat_level=pl.CompatLevel.oldest()).schema


def _tables(site: Site, features: Features, label: Label | None, store: OnlineStore) -> list[_Table]:
    requests = request_columns(site, label) if label else None
    _, [manifest, contents] = store.read([MANIFEST, CONTENTS])
    before = {t.table: t for t in Manifest.model_validate_json(manifest).tables} if manifest else {}
    held = Contents.model_validate_json(contents).tables if contents else {}
    made = []
    for name, feature in features.items():
        if not feature.on_request:
            table = table_of(site, name, feature)
            version, now = _contents(site, table)
            served = _served(site, name, feature, requests, version)
            last = before.get(table)
            made.append(_Table(served, now, last if _is_there(site, last) else None, held.get(table, {})))
    return made


def _is_there(site: Site, served: ServedTable | None) -> bool:
    """Return whether the version of a table that was published is one of the table as it is now."""
    if served is None or served.version > (site.tables.version(served.table) or 0):
        return False
    there = site.tables.snapshot(served.table, version=served.version)
    return there is not None and there.digest == served.snapshot


def _contents(site: Site, table: str) -> tuple[int, Mapping[str, str]]:
    """Return the newest version of a table and what its days hold."""
    while True:
        version = site.tables.version(table)
        contents = site.ledger.contents(table)
        if version == site.tables.version(table):
            return version or 0, contents


def _served(site: Site, name: str, feature: Feature, requests: pa.Schema | None, version: int) -> ServedTable:
    table = table_of(site, name, feature)
    schema = site.tables.schema(table, version=version)
    windows, own = feature.windows, [*feature.entities, "time" if feature.timed else "", DAY]
    snapshot = site.tables.snapshot(table, version=version)
    asked = {
        e: requests.field(e).type if requests and e in requests.names else schema.field(e).type
        for e in feature.entities
    }
    return ServedTable(
        name=name,
        table=table,
        version=version,
        snapshot=snapshot.digest if snapshot else "",
        entities=feature.entities,
        kinds=[kind_of(schema.field(entity).type, asked[entity], name, entity) for entity in feature.entities],
        columns=joined_types(pa.schema([column for column in schema if column.name not in own]).remove_metadata()),
        timed=feature.timed,
        ttl=feature.ttl,
        age=feature.age,
        since=since_columns(name, windows) if windows else {},
        zeros=zero_columns(name, windows) if windows else [],
    )


def _manifest(site: Site, features: Features, label: Label | None, tables: Sequence[_Table], now: datetime) -> Manifest:
    on_request = [(name, sql_of(site, feature)) for name, feature in features.items() if feature.on_request]
    requests = request_columns(site, label) if label else None
    return Manifest(
        product=site.product.product,
        instant=now,
        tables=[table.served for table in tables],
        on_request=[OnRequest(name=name, sql=sql.text, origin=sql.origin) for name, sql in on_request],
        requests=pa.schema([c for c in requests if c.name != label.column]) if requests and label else None,
        hidden=label.column if label else None,
        entity=label.entity if label else None,
        time=label.time if label else None,
    )


def _publish_table(site: Site, table: _Table, since: datetime, publication: Publication, done: Published) -> None:
    touched = _touched(site, table)
    if touched is None:
        done.whole.append(table.served.name)
        publication.replace(prefix_of(table.served.name), _counted(_packed(site, table.served, since, None), done))
    elif touched.num_rows:
        missing = set(_keys(table.served, pl.DataFrame(touched)))
        for payloads in _counted(_packed(site, table.served, since, touched), done):
            missing.difference_update(payloads)
            publication.put(payloads)
        done.removed += len(missing)
        publication.put(dict.fromkeys(sorted(missing)))


def _counted(batches: Iterable[Payloads], done: Published) -> Iterator[Payloads]:
    for payloads in batches:
        done.written += len(payloads)
        yield payloads


def _touched(site: Site, table: _Table) -> pa.Table | None:
    """Return the entities that have rows in days that changed, before or now; None for all."""
    days, served, before = table.changed, table.served, table.before
    if days is None or before is None:
        return None
    found = []
    for span in days:
        try:
            found.append(site.tables.read(served.table, days=span, columns=served.entities, version=before.version))
        except VersionRemoved:
            return None
        found.append(site.tables.read(served.table, days=span, columns=served.entities, version=served.version))
    if not found:
        return site.tables.schema(served.table).empty_table().select(served.entities)
    return pa.concat_tables(found).group_by(served.entities).aggregate([])


def _packed(site: Site, served: ServedTable, since: datetime, touched: pa.Table | None) -> Iterator[Payloads]:
    """Yield the payloads of all entities of a table, or of those that were touched."""
    views: dict[str, TableView | pa.Table] = {"steps": TableView(served.table, version=served.version)}
    if touched is not None:
        views["touched"] = touched
    layout = Layout(served.columns, timed=served.timed)
    left: pl.DataFrame | None = None
    with site.engine.reading(_steps_sql(served, since, touched is not None), views, size=ROWS) as rows:
        for batch in rows:
            frame = pl.DataFrame(pa.table(batch))
            frame = pl.concat([left, frame]) if left is not None else frame
            keys = key_texts(frame, served.entities)
            whole = int((keys != keys[-1]).sum()) if frame.height else 0
            left = frame[whole:]
            if whole:
                yield _payloads(served, layout, frame[:whole])
        if left is not None and left.height:
            yield _payloads(served, layout, left)


def _payloads(served: ServedTable, layout: Layout, frame: pl.DataFrame) -> Payloads:
    """Return the payload of each entity of these rows, which come by entity and time, whole entities."""
    keys = _keys(served, frame)
    starts = [0, *(place for place in range(1, len(keys)) if keys[place] != keys[place - 1]), len(keys)]
    rows = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    dropped = rows[_DROPPED].to_pylist()
    values = rows.select(layout.schema.names).cast(layout.schema)
    times = rows["time"].cast(pa.timestamp("us", "UTC")) if served.timed else None
    packed = layout.pack(values, times, starts, [dropped[place] for place in starts[:-1]])
    return dict(zip([keys[place] for place in starts[:-1]], packed, strict=True))


def _keys(served: ServedTable, frame: pl.DataFrame) -> list[bytes]:
    prefix = prefix_of(served.name)
    return [prefix + text.encode() for text in key_texts(frame, served.entities).to_list()]


def _steps_sql(served: ServedTable, since: datetime, touched: bool) -> str:
    """Return SQL for the steps to keep, by entity and time: what holds at `since`, and all later ones."""
    keys = ", ".join(map(quoted, served.entities))
    own = f"from steps semi join touched using ({keys})" if touched else "from steps"
    if not served.timed:
        return f"select *, false as {_DROPPED} {own} order by {keys}"
    return f"""
with own as (select * exclude ({DAY}) {own}),
ends as (select {keys}, max("time") filter (where "time" <= {instant(since)}) as _from, min("time") as _first from own group by {keys})
select own.*, coalesce(_first < _from, false) as {_DROPPED} from own join ends using ({keys})
where _from is null or "time" >= _from order by {keys}, "time\""""


def _lag(site: Site, tables: Sequence[_Table]) -> float:
    """Return how long ago the oldest of the versions that were not published before was committed."""
    new = [t.served for t in tables if t.before is None or t.before.version != t.served.version]
    committed = [site.tables.versions(served.table)[served.version].at for served in new]
    return max(((datetime.now(UTC) - at) / timedelta(seconds=1) for at in committed), default=0.0)
