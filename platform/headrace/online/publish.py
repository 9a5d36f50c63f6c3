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
from headrace.features.windows import since_columns, zero_columns
from headrace.online.declaration import Online
from headrace.online.keys import CONTENTS, MANIFEST, kind_of
from headrace.online.manifest import FORM, Contents, Manifest, OnRequest, ServedTable
from headrace.online.packed import Group, groups_of, prefixes_of
from headrace.online.steps import keys_of, packed_values, together
from headrace.store.online import OnlineStore, Payloads, Publication
from headrace.store.site import Site
from headrace.store.tables import DAY


@dataclass
class Published:
    """What a publication has done."""

    version: int
    versions: Mapping[str, int]
    """Table → the version of it that is served now."""
    written: int = 0
    """Entities whose steps were written, each once for all tables that share its key."""
    removed: int = 0
    """Entities that were looked at and have no steps any more."""
    whole: set[str] = field(default_factory=set)
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
        """The days that hold other rows than were published; None where all may."""
        ours, theirs = self.contents, self.contents_before
        days = [day for day in {*ours, *theirs} if ours.get(day) != theirs.get(day)]
        return None if ALL in days else unbroken(date.fromisoformat(day) for day in days)


@dataclass(frozen=True)
class _Group:
    """Tables that lie under one key."""

    now: Group
    tables: Sequence[_Table]
    is_packed_as_before: bool


def publish(site: Site, features: Features, label: Label | None, online: Online, store: OnlineStore) -> Published:
    """Publish what has changed since the last version and return what was done; killed at any moment, the next one does it.

    Memory: the rows of the changed days' entities, and some 50,000 rows at once. Raises FenceLost if a later publication has begun.
    """
    began = time.monotonic()
    with store.publishing() as publication:
        _, [told, held] = store.read([MANIFEST, CONTENTS])
        before = Manifest.model_validate_json(told) if told else None
        contents = Contents.model_validate_json(held) if held else Contents(tables={})
        requests = request_columns(site, label) if label else None
        tables = _tables(site, features, requests, before, contents)
        groups = _groups(tables, before)
        now = site.clock.now()
        done = Published(0, {table.served.table: table.served.version for table in tables})
        for group in groups:
            _publish_group(site, group, now - online.back, publication, done)
        for prefix in prefixes_of(before) - {group.now.prefix for group in groups}:
            publication.replace(prefix, [])
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


def _tables(
    site: Site, features: Features, requests: pa.Schema | None, manifest: Manifest | None, held: Contents
) -> list[_Table]:
    before = {table.table: table for table in manifest.tables} if manifest else {}
    made = []
    for name, feature in features.items():
        if not feature.on_request:
            table = table_of(site, name, feature)
            version, now = _contents(site, table)
            served = _served(site, name, feature, requests, version)
            last = before.get(table)
            made.append(_Table(served, now, last if _is_there(site, last) else None, held.tables.get(table, {})))
    return made


def _groups(tables: Sequence[_Table], manifest: Manifest | None) -> list[_Group]:
    before = groups_of(manifest.tables) if manifest and manifest.form == FORM else []
    known, named = {group.prefix: group for group in before}, {table.served.name: table for table in tables}
    made = []
    for group in groups_of(table.served for table in tables):
        last = known.get(group.prefix)
        own = [named[served.name] for served in group.tables]
        made.append(_Group(group, own, last is not None and group.is_packed_as(last)))
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
        form=FORM,
        product=site.product.product,
        instant=now,
        tables=[table.served for table in tables],
        on_request=[OnRequest(name=name, sql=sql.text, origin=sql.origin) for name, sql in on_request],
        requests=pa.schema([c for c in requests if c.name != label.column]) if requests and label else None,
        hidden=label.column if label else None,
        entity=label.entity if label else None,
        time=label.time if label else None,
    )


def _publish_group(site: Site, group: _Group, since: datetime, publication: Publication, done: Published) -> None:
    touched = _touched(site, group)
    if touched is None:
        done.whole |= {table.served.name for table in group.tables}
        publication.replace(group.now.prefix, _counted(packed_values(site, group.now, since, None), done))
    elif touched.num_rows:
        missing = set(keys_of(group.now, pl.DataFrame(touched)))
        for values in _counted(packed_values(site, group.now, since, touched), done):
            missing.difference_update(values)
            publication.put(values)
        done.removed += len(missing)
        publication.put(dict.fromkeys(sorted(missing)))


def _counted(batches: Iterable[Payloads], done: Published) -> Iterator[Payloads]:
    for values in batches:
        done.written += len(values)
        yield values


def _touched(site: Site, group: _Group) -> pa.Table | None:
    """Return the entities that have rows in days that changed, before or now, in any of the tables; None for all."""
    if not group.is_packed_as_before:
        return None
    found = []
    for table in group.tables:
        if table.before is None or (days := table.changed) is None:
            return None
        name, columns = table.served.table, table.served.entities
        for span in days:
            try:
                found.append(site.tables.read(name, days=span, columns=columns, version=table.before.version))
            except VersionRemoved:
                return None
            found.append(site.tables.read(name, days=span, columns=columns, version=table.served.version))
    if not found:
        return pa.table({name: pa.array([], pa.string()) for name in group.now.entities})
    return together(group.now, found)


def _lag(site: Site, tables: Sequence[_Table]) -> float:
    """Return how long ago the oldest of the versions that were not published before was committed."""
    new = [t.served for t in tables if t.before is None or t.before.version != t.served.version]
    committed = [site.tables.versions(served.table)[served.version].at for served in new]
    return max(((datetime.now(UTC) - at) / timedelta(seconds=1) for at in committed), default=0.0)
