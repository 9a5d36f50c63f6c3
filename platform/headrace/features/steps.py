"""Windows as a step function: for each entity, the aggregates from each instant on at which they change.

An event is alive from the moment it is known until its window has passed. The value as of any prediction time is the
newest row at or before it; that is what Airbnb's Chronon calls temporal accuracy. Every answer is exact: it depends
on the events alive at its instant alone, and neither on their order nor on the days that are asked for.
"""

from collections.abc import Iterator
from datetime import datetime

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from headrace.features.alive import NONE, Alive, Ints, Truths, changes, ordered, timeline
from headrace.features.declaration import Windows
from headrace.features.totals import mean, std, total
from headrace.features.windows import Output, outputs

INSTANT = pa.timestamp("us", "UTC")
_TOTALS = {"sum": total, "mean": mean, "share": mean, "std": std}
ENTITY = "_entity"
PIECE = 1_000_000
"""How many events are worked on at once, in whole entities."""


def step_function(
    name: str, windows: Windows, events: pa.Table, span: tuple[datetime, datetime] | None, piece: int = PIECE
) -> pa.Table:
    """Return the changes in [start, end), or all: entities, `time`, a column for each output; by time and entities.

    `events` are those of `events_sql`, in any order. Memory: twice the result, and some 100 bytes an event beside it; what
    is too large for that is made in fewer days at once, to the same bytes.
    """
    keys, entities = _numbered(events.select(range(len(windows.entities))))
    values = events.select(range(len(windows.entities), events.num_columns)).append_column(ENTITY, pa.array(entities))
    order = ordered(entities, _ints(events["_happened"]))
    pieces = (values.take(pa.array(rows)) for rows in _pieces(order, entities[order], piece))
    rows = pa.concat_tables(_changes(name, windows, keys, part, span) for part in pieces)
    return rows.take(pa.array(np.argsort(_ints(rows["time"].cast(pa.int64())), kind="stable")))


def bytes_of_an_event(windows: Windows) -> int:
    """Return about how much memory one event takes while `step_function` works: twice its steps, and some."""
    step = 8 * len(list(outputs("", windows))) + 24 * len(windows.entities) + 24
    return 100 + 2 * step * (1 + len(windows.over))


def local_days(times: pa.ChunkedArray, timezone: str) -> pa.Array:
    """Return the calendar day of each instant in a time zone."""
    return pl.Series(times).dt.convert_time_zone(timezone).dt.date().to_arrow()


def _numbered(keys: pa.Table) -> tuple[pa.Table, Ints]:
    """Return the distinct entities in order, and the number of each row's entity among them."""
    frame = pl.DataFrame(keys)
    distinct = frame.unique().sort(frame.columns).with_row_index(ENTITY)
    numbers = frame.join(distinct, on=frame.columns, how="left", maintain_order="left")[ENTITY]
    named = distinct.drop(ENTITY).to_arrow(compat_level=pl.CompatLevel.oldest())
    return named.cast(keys.schema), numbers.cast(pl.Int64).to_numpy()


def _pieces(order: Ints, entities: Ints, size: int) -> Iterator[Ints]:
    """Yield rows in order, in pieces of whole entities, each of `size` rows or as many more as its last entity has."""
    starts = np.flatnonzero(changes(entities))
    at = 0
    while at < len(order) or not at:
        end = next(iter(starts[starts >= at + size]), len(order))
        yield order[at:end]
        at = end or 1


def _changes(
    name: str, windows: Windows, keys: pa.Table, events: pa.Table, span: tuple[datetime, datetime] | None
) -> pa.Table:
    entities, happened = _ints(events[ENTITY]), _ints(events["_happened"])
    line = timeline(entities, happened, _ints(events["_known"]), windows.over)
    shown = line.within(span)
    mine = keys.take(pa.array(entities[line.row[shown]]))
    columns = {"time": pa.array(line.at[shown], INSTANT)}
    for output in outputs(name, windows):
        columns[output.stored] = _column(output, events, line.windows[output.over], shown)
    return pa.table({**dict(zip(mine.column_names, mine.columns, strict=True)), **columns})


def _column(output: Output, events: pa.Table, alive: Alive, shown: Ints) -> pa.Array:
    """Return one output at the places that are shown."""
    match output.agg:
        case "count":
            return pa.array(alive.count[shown])
        case "since":
            rows = np.arange(events.num_rows)
            return _picked(events["_happened"].cast(INSTANT), alive.best(rows)[shown])
        case "sum" | "mean" | "share" | "std":
            exact = pl.Series(events[f"_exact{output.value}"]).to_physical()
            totals = _TOTALS[output.agg](alive.of(exact.is_not_null().to_numpy()), exact.fill_null(0))
            return totals.gather(shown).to_arrow()
        case "distinct":
            present = _present(events[f"_value{output.value}"])
            return pa.array(alive.of(present).distinct(_ints(events[f"_rank{output.value}"]))[shown])
        case _:
            values, order = _ordered(output, events)
            return _picked(values, alive.of(_present(values)).best(order)[shown])


def _ordered(output: Output, events: pa.Table) -> tuple[pa.ChunkedArray, Ints]:
    """Return the values that `min`, `max`, `last` or `first` picks from, and their rows with the one to pick last."""
    if output.agg in ("min", "max"):
        values = _unsigned_zero(events[f"_number{output.value}"])
        order = np.argsort(values.to_numpy(), kind="stable")
    else:
        values = _unsigned_zero(events[f"_value{output.value}"])
        order = np.lexsort((_ints(events[f"_rank{output.value}"]), _ints(events["_happened"])))
    return values, order if output.agg in ("max", "last") else order[::-1]


def _picked(values: pa.ChunkedArray, rows: Ints) -> pa.ChunkedArray:
    return values.take(pa.array(rows, mask=rows == NONE))


def _unsigned_zero(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the values with one zero alone: -0.0 and 0.0 are equal, so either could be picked."""
    return pc.add(values, pa.scalar(0, values.type)) if pa.types.is_floating(values.type) else values


def _present(values: pa.ChunkedArray) -> Truths:
    present: Truths = values.is_valid().to_numpy()
    return present


def _ints(values: pa.ChunkedArray) -> Ints:
    ints: Ints = values.to_numpy()
    return ints
