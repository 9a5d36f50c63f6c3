"""The steps of a group's entities on their way into the store: read by entity and time, packed table by table, brought together.

Each table's steps come in the order of its entities, and its payloads are written down with their keys. DuckDB, which
spills, orders them all by key, so that what lies under one key comes together in bounded memory.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

import polars as pl
import pyarrow as pa

from headrace.core.names import quoted
from headrace.features.windows import instant
from headrace.online.manifest import ServedTable
from headrace.online.packed import Group, packed
from headrace.online.payload import Layout
from headrace.store.engine import TableView
from headrace.store.online import Payloads
from headrace.store.site import Site
from headrace.store.tables import DAY

ROWS = 50_000
"""How many rows are packed at once."""
ENTITIES = 5_000
"""How many payloads are brought together at once; each may have many steps."""
_DROPPED = "_dropped"
_PAYLOADS = pa.schema([("key", pa.binary()), ("slot", pa.int32()), ("payload", pa.binary())])


def packed_values(site: Site, group: Group, since: datetime, touched: pa.Table | None) -> Iterator[Payloads]:
    """Yield what the keys of a group are to hold: of all its entities, or of those that were touched."""
    if len(group.tables) == 1:
        for batch in _payloads(site, group, 0, since, touched):
            keys, _, payloads = (column.to_pylist() for column in batch.columns)
            yield {key: packed([payload]) for key, payload in zip(keys, payloads, strict=True)}
        return
    slots = range(len(group.tables))
    payloads = (batch for slot in slots for batch in _payloads(site, group, slot, since, touched))
    with site.engine.ordered(_PAYLOADS, payloads, ["key", "slot"], size=ENTITIES) as rows:
        yield from _joined(rows, len(group.tables))


def keys_of(group: Group, entities: pl.DataFrame) -> list[bytes]:
    """Return the keys of entities of a group."""
    return [group.prefix + text.encode() for text in key_texts(entities, group.entities).to_list()]


def together(group: Group, entities: Sequence[pa.Table]) -> pa.Table:
    """Return entities of several tables, each once; those that requests have as texts are texts."""
    alike = []
    for rows in entities:
        columns = zip(group.entities, group.kinds, strict=True)
        alike.append(pa.table({n: rows[n].cast(pa.string()) if kind == "text" else rows[n] for n, kind in columns}))
    return pa.concat_tables(alike, promote_options="permissive").group_by(group.entities).aggregate([])


def _joined(batches: Iterable[pa.RecordBatch], count: int) -> Iterator[Payloads]:
    """Yield the values of payloads that come by key and slot."""
    last, held, values = None, [b""] * count, dict[bytes, bytes]()
    for batch in batches:
        for key, slot, payload in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            if key != last:
                if last is not None:
                    values[last] = packed(held)
                last, held = key, [b""] * count
            held[slot] = payload
        if values:
            yield values
            values = {}
    if last is not None:
        yield {last: packed(held)}


def _payloads(
    site: Site, group: Group, slot: int, since: datetime, touched: pa.Table | None
) -> Iterator[pa.RecordBatch]:
    """Yield the payloads of one table of a group with their keys: of all its entities, or of those that were touched."""
    served = group.tables[slot]
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
                yield _packed(group, slot, layout, frame[:whole])
        if left is not None and left.height:
            yield _packed(group, slot, layout, left)


def _packed(group: Group, slot: int, layout: Layout, frame: pl.DataFrame) -> pa.RecordBatch:
    """Return the payload of each entity of these rows, which come by entity and time, whole entities."""
    keys = keys_of(group, frame)
    starts = [0, *(place for place in range(1, len(keys)) if keys[place] != keys[place - 1]), len(keys)]
    rows = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    dropped = rows[_DROPPED].to_pylist()
    values = rows.select(layout.schema.names).cast(layout.schema)
    times = rows["time"].cast(pa.timestamp("us", "UTC")) if layout.timed else None
    firsts = starts[:-1]
    payloads = list(layout.pack(values, times, starts, [dropped[place] for place in firsts]))
    columns = [[keys[place] for place in firsts], [slot] * len(firsts), payloads]
    return pa.record_batch(columns, schema=_PAYLOADS)


def _steps_sql(served: ServedTable, since: datetime, touched: bool) -> str:
    """Return SQL for the steps to keep, by entity and time: what holds at `since`, and all later ones."""
    keys = ", ".join(map(quoted, served.entities))
    named = zip(map(quoted, served.entities), served.kinds, strict=True)
    same = " and ".join(
        f"{f'cast(steps.{name} as varchar)' if kind == 'text' else f'steps.{name}'} = touched.{name}"
        for name, kind in named
    )
    own = f"from steps semi join touched on {same}" if touched else "from steps"
    if not served.timed:
        return f"select *, false as {_DROPPED} {own} order by {keys}"
    return f"""
with own as (select * exclude ({DAY}) {own}),
ends as (select {keys}, max("time") filter (where "time" <= {instant(since)}) as _from, min("time") as _first from own group by {keys})
select own.*, coalesce(_first < _from, false) as {_DROPPED} from own join ends using ({keys})
where _from is null or "time" >= _from order by {keys}, "time\""""


def key_texts(rows: pl.DataFrame, entities: Sequence[str]) -> pl.Series:
    """Return the text of each row's entity."""
    texts = [_texts(rows[entity]) for entity in entities]
    if len(texts) == 1:
        return texts[0]
    sized = [pl.concat_str(pl.lit(t).str.len_chars().cast(pl.String), pl.lit(":"), pl.lit(t)) for t in texts]
    return rows.select(pl.concat_str(sized).alias("key"))["key"]


def _texts(values: pl.Series) -> pl.Series:
    if values.dtype.is_integer() or values.dtype == pl.Boolean:
        return values.cast(pl.String)
    if isinstance(values.dtype, pl.Datetime):
        return values.dt.epoch("us").cast(pl.String)
    if values.dtype == pl.Date:
        return values.dt.to_string("iso")
    if values.dtype.is_float():
        return pl.Series([repr(value + 0.0) for value in values.to_list()], dtype=pl.String)
    return values.cast(pl.String)
