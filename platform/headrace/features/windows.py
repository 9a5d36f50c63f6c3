"""Declared windows: which columns they make, and the events that they are made of.

An event counts at t if it happened in (t - over, t] and was known at t: from the moment it is known until `over` after
it happened. What follows from that for each instant is worked out in `steps.py`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from headrace.core.days import Days
from headrace.core.names import duration_text, quoted, quoted_text
from headrace.core.sql import columns_of
from headrace.features.declaration import Aggregation, Windows
from headrace.sources.declaration import Source

EXACT = "decimal(38, 9)"
EVENTS = "_events"
"""What the source of windows is called in SQL."""
OF_EVENTS: tuple[Aggregation, ...] = ("count", "since")
"""Aggregations of the events themselves, one column a window."""
OF_VALUES: tuple[Aggregation, ...] = ("sum", "mean", "share", "std", "min", "max", "last", "first", "distinct")
"""Aggregations of each value, over the events that have it."""
_SUMMED, _BOUNDED, _PICKED = {"sum", "mean", "share", "std"}, {"min", "max"}, {"last", "first", "distinct"}


@dataclass(frozen=True)
class Output:
    """One column of a table of windows."""

    column: str
    agg: Aggregation
    over: timedelta
    stored: str
    """The column in the feature table: `since` changes with each moment, so the newest event's time is stored for it."""
    value: int | None = None
    """Which of the declared values; None where events are meant."""


def outputs(name: str, windows: Windows) -> Iterator[Output]:
    """Yield the columns of a table of windows: <table>_<value>_<aggregation>_<window>, without a value for those of events."""
    for over in windows.over:
        suffix = duration_text(over)
        for agg in (a for a in OF_EVENTS if a in windows.agg):
            stored = "newest" if agg == "since" else agg
            yield Output(f"{name}_{agg}_{suffix}", agg, over, f"{name}_{stored}_{suffix}")
        for i, value in enumerate(windows.of):
            for agg in (a for a in OF_VALUES if a in windows.agg):
                column = f"{name}_{value}_{agg}_{suffix}"
                yield Output(column, agg, over, column, i)


def window_columns(name: str, windows: Windows) -> list[str]:
    """Return the columns that a table of windows stores."""
    return [output.stored for output in outputs(name, windows)]


def zero_columns(name: str, windows: Windows) -> list[str]:
    """Return the columns that are zero, not missing, where no event lies in the window: counts and sums."""
    return [output.column for output in outputs(name, windows) if output.agg in ("count", "sum", "distinct")]


def since_columns(name: str, windows: Windows) -> dict[str, str]:
    """Return for each stored time of a newest event the column of minutes that the join makes of it."""
    return {output.stored: output.column for output in outputs(name, windows) if output.agg == "since"}


def events_sql(windows: Windows, source: Source, span: tuple[datetime, datetime] | None) -> str:
    """Return SQL over EVENTS, the rows of `source`: what counts in [start, end), or for all time.

    Entities first, then `_happened` and `_known` in microseconds, then for each value what its aggregations need.
    """
    keys = ", ".join(quoted(e) for e in windows.entities)
    ranks = "".join(
        f", dense_rank() over (partition by {keys} order by _value{i}) as _rank{i}"
        for i in range(len(windows.of))
        if _PICKED & set(windows.agg)
    )
    return f"""
with happened as ({_happened(windows, known_when(windows, source), span)})
select *{ranks} from happened"""


def events_by_day_sql(windows: Windows, timezone: str, days: Days) -> str:
    """Return SQL over EVENTS for how many happened on each of the local days: `day`, `events`."""
    time, (start, end) = quoted(windows.time), days.instants(timezone)
    return f"""
select cast(timezone({quoted_text(timezone)}, cast({time} as timestamptz)) as date) as day, count(*) as events
from {EVENTS} where {time} >= {instant(start)} and {time} < {instant(end)} group by all"""


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
    present = [f"{column} is not null" for column in [*moments, *map(quoted, windows.entities)]]
    conditions = [*present, *([f"({windows.where})"] if windows.where else [])]
    if span:
        conditions.append(f"{quoted(windows.time)} >= {instant(span[0].astimezone(UTC) - max(windows.over))}")
        conditions.append(f"{quoted(windows.time)} < {instant(span[1])}")
    keys = ", ".join(quoted(e) for e in windows.entities)
    values = "".join(f", {column}" for i, sql in enumerate(windows.of.values()) for column in _needed(windows, i, sql))
    return (
        f"select {keys}, epoch_us(cast({quoted(windows.time)} as timestamptz)) as _happened, "
        f"epoch_us(cast(greatest({', '.join(moments)}) as timestamptz)) as _known{values} "
        f"from {EVENTS} where {' and '.join(conditions)}"
    )


def _needed(windows: Windows, i: int, sql: str) -> Iterator[str]:
    if _SUMMED & set(windows.agg):
        exact = exact_sql(f"({sql})")
        yield f"{_of_a_condition(list(windows.of)[i], sql, exact) if 'share' in windows.agg else exact} as _exact{i}"
    if _BOUNDED & set(windows.agg):
        yield f"cast(({sql}) as double) as _number{i}"
    if _PICKED & set(windows.agg):
        yield f"({sql}) as _value{i}"


def no_condition(value: str) -> str:
    """Return what is wrong with a share of what is neither true nor false."""
    return f"a `share` is of what is true or false, and '{value}' is neither: write a condition, or say `mean`"


def _of_a_condition(name: str, value: str, exact: str) -> str:
    return f"case when typeof({value}) = 'BOOLEAN' then {exact} else error({quoted_text(no_condition(name))}) end"


def exact_sql(value: str) -> str:
    """Return SQL for a number, rounded to nine decimals and otherwise exact; DuckDB's own cast of a double keeps 16 digits."""
    whole, double = f"cast({value} as hugeint)", f"cast({value} as double)"
    split = f"cast({whole} as {EXACT}) + cast({double} - cast({whole} as double) as {EXACT})"
    return f"case when typeof({value}) like 'DECIMAL%' then cast({value} as {EXACT}) else {split} end"


def instant(moment: datetime) -> str:
    """Return an instant as an SQL literal."""
    return f"timestamptz '{moment.isoformat()}'"
