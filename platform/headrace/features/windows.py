"""Declared windows as a step function: for each entity, the aggregates from each instant on at which they change.

An event counts at t if it happened in (t - over, t] and was known at t. So it counts from the moment it is known
until `over` after it happened: +1 at the first instant, -1 at the second, and a running total between. The value as
of any prediction time is the newest row at or before it; that is what Airbnb's Chronon calls temporal accuracy.
Sums are exact (DECIMAL(38,9)), so that neither the order of events nor the days asked for change a digit.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from headrace.core.names import duration_text, quoted
from headrace.core.sql import columns_of
from headrace.features.declaration import Windows
from headrace.sources.declaration import Source

EXACT = "decimal(38, 9)"


def window_columns(name: str, windows: Windows) -> list[str]:
    """Return the feature columns of a table of windows: <table>_<value>_<aggregation>_<window>."""
    return [column for column, _ in _outputs(name, windows)]


def zero_columns(name: str, windows: Windows) -> list[str]:
    """Return the columns that are zero, not missing, where no event lies in the window: counts and sums."""
    return [column for column, sql in _outputs(name, windows) if "nullif" not in sql]


def step_function_sql(name: str, windows: Windows, source: Source, span: tuple[datetime, datetime] | None) -> str:
    """Return SQL over the view `events`, the rows of `source`, for the changes in [start, end), or for all time."""
    keys = ", ".join(quoted(e) for e in windows.entities)
    outputs = ", ".join(f"{sql} as {quoted(column)}" for column, sql in _outputs(name, windows))
    totals = ", ".join(f"sum({c}) as {c}" for c in _counters(windows))
    during = f"where _at >= {instant(span[0])} and _at < {instant(span[1])}" if span else ""
    return f"""
with happened as ({_happened(windows, known_when(windows, source), span)}),
deltas as ({" union all ".join(_deltas(windows, keys))}),
changes as (select {keys}, _at, {totals} from deltas group by {keys}, _at),
running as (select {keys}, _at, {outputs} from changes
  window running as (partition by {keys} order by _at rows unbounded preceding))
select * rename (_at as "time") from running {during} order by "time", {keys}"""


def known_times(source: Source) -> dict[str, str]:
    """Return for each column that is known later than its row the time column that says when."""
    later = source.known_columns()
    return {**later, **{moment: moment for moment in later.values()}}


def known_when(windows: Windows, source: Source) -> list[str]:
    """Return the time columns that say when an event of these windows is known: at the latest of them."""
    if isinstance(source.known_at, str):
        return sorted({source.known_at, windows.time})
    known_at = {column.lower(): moment for column, moment in known_times(source).items()}
    used = set().union(*(columns_of(expression, "windows") for expression in windows.expressions))
    return sorted({known_at[c] for c in map(str.lower, [*used, *windows.entities]) if c in known_at} | {windows.time})


def _happened(windows: Windows, known: list[str], span: tuple[datetime, datetime] | None) -> str:
    moments = [quoted(moment) for moment in known]
    values = ", ".join(f"cast(({sql}) as {EXACT}) as {_value(i)}" for i, sql in enumerate(windows.of.values()))
    present = [f"{column} is not null" for column in [*moments, *map(quoted, windows.entities)]]
    conditions = [*present, *([f"({windows.where})"] if windows.where else [])]
    if span:
        conditions.append(f"{quoted(windows.time)} > {instant(span[0] - max(windows.over))}")
        conditions.append(f"{quoted(windows.time)} < {instant(span[1])}")
    keys = ", ".join(quoted(e) for e in windows.entities)
    return (
        f"select {keys}, {quoted(windows.time)} as _happened, greatest({', '.join(moments)}) as _known, {values} "
        f"from events where {' and '.join(conditions)}"
    )


def _deltas(windows: Windows, keys: str) -> Iterator[str]:
    for over in windows.over:
        end = f"_happened + to_seconds({int(over.total_seconds())})"
        counted = f"from happened where _known < {end}"
        yield f"select {keys}, _known as _at, {_changes(windows, over, '')} {counted}"
        yield f"select {keys}, {end} as _at, {_changes(windows, over, '-')} {counted}"


def _changes(windows: Windows, changing: timedelta, sign: str) -> str:
    """Return the counters of all windows, where only those of one window change."""
    parts = []
    for over in windows.over:
        mine = over == changing
        parts.append(f"{sign}1 as {_n(over)}" if mine else f"0 as {_n(over)}")
        for i in range(len(windows.of)):
            parts.append(f"{f'{sign}coalesce({_value(i)}, 0)' if mine else f'0::{EXACT}'} as {_sum(i, over)}")
            parts.append(f"{f'{sign}({_value(i)} is not null)::int' if mine else '0'} as {_present(i, over)}")
    return ", ".join(parts)


def _outputs(name: str, windows: Windows) -> Iterator[tuple[str, str]]:
    for over in windows.over:
        suffix = duration_text(over)
        if "count" in windows.agg:
            yield f"{name}_count_{suffix}", f"cast(sum({_n(over)}) over running as bigint)"
        for i, value in enumerate(windows.of):
            total = f"cast(sum({_sum(i, over)}) over running as double)"
            if "sum" in windows.agg:
                yield f"{name}_{value}_sum_{suffix}", total
            if "mean" in windows.agg:
                yield f"{name}_{value}_mean_{suffix}", f"{total} / nullif(sum({_present(i, over)}) over running, 0)"


def _counters(windows: Windows) -> list[str]:
    return [
        counter
        for over in windows.over
        for counter in (_n(over), *(c for i in range(len(windows.of)) for c in (_sum(i, over), _present(i, over))))
    ]


def _value(i: int) -> str:
    return f"_value{i}"


def _n(over: timedelta) -> str:
    return f"_n_{duration_text(over)}"


def _sum(i: int, over: timedelta) -> str:
    return f"_sum{i}_{duration_text(over)}"


def _present(i: int, over: timedelta) -> str:
    return f"_present{i}_{duration_text(over)}"


def instant(moment: datetime) -> str:
    """Return an instant as an SQL literal."""
    return f"timestamptz '{moment.isoformat()}'"
