"""The leakage check: features recomputed from what was known at the prediction time must be what the training set has.

For sampled rows the sources are cut off at the row's own moment: rows that were not known yet are gone, values that
were not known yet are empty. Each feature is then computed anew, windows by brute force, and compared cell by cell.
A feature that saw the future differs.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import pyarrow as pa

from headrace.core.errors import LeakFound
from headrace.core.names import quoted
from headrace.features.brute import brute_force_sql
from headrace.features.compute import (
    MADE,
    RETURNED,
    call_function,
    in_order,
    inputs_of,
    sql_of,
    table_of,
    table_sql,
    window_rows,
)
from headrace.features.declaration import Feature, Windows
from headrace.features.look import Declared, Look, everything, looking
from headrace.features.training import label_columns, with_requests
from headrace.features.windows import EVENTS, events_sql, instant, known_times, outputs
from headrace.sources.declaration import Source
from headrace.store.site import Site

SAMPLE = 24


@dataclass(frozen=True)
class Leak:
    """One cell that cannot have been known: what the training set holds against what an honest look gives."""

    feature: str
    entity: str
    at: datetime
    stored: Any
    honest: Any
    table: str = ""
    """The feature table that the feature is of."""
    row: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """The row of the training set."""

    def __str__(self) -> str:
        return f"{self.feature} of {self.entity} at {self.at:%Y-%m-%d %H:%M} UTC is {self.stored}, but {self.honest} was known then"


def find_leaks(
    site: Site,
    declared: Declared,
    training_set: pa.Table,
    sample: int = SAMPLE,
    told: Callable[[int], object] = lambda _: None,
) -> list[Leak]:
    """Return the cells of evenly sampled rows that differ from what was known at their prediction time.

    `told` hears of each row that has been looked at: a 1.
    """
    leaks: list[Leak] = []
    rows = _evenly(training_set, sample)
    asked = any(feature.on_request for feature in declared.features.values())
    requests = rows.select(_given(site, declared, rows.column_names)) if asked else None
    with looking(site, declared) as looks:
        for number, row in enumerate(rows.to_pylist()):
            for look in looks:
                leaks += _leaks_of_row(replace(look, row=row))
            if requests:
                leaks += _leaks_of_request(site, declared, requests.slice(number, 1), row)
            told(1)
    return leaks


def _leaks_of_row(look: Look) -> Iterator[Leak]:
    declared, row = look.declared, look.row
    show_known(look)
    for name in look.tables:
        for column, value in honest_values(look, name, declared.features[name]).items():
            if not is_same(row[column], value):
                yield Leak(column, str(row[declared.label.entity]), look.moment, row[column], value, name, row)


def show_known(look: Look) -> None:
    """Let each source stand for what was known of it at the look's moment, and each table that others read for what is made of that."""
    for name, source in look.declared.sources.items():
        look.session.show(name, truncated(everything(name), source, look.moment))
    show_tables(look, look.moment)


def show_tables(look: Look, until: datetime | None) -> None:
    """Make the feature tables that others read of what the names of the sources stand for: their rows up to a moment, or all."""
    for name in look.read:
        feature = look.declared.features[name]
        if feature.windows:
            _open_windows(look, name, feature.windows)
        if feature.python:
            _call_anew(look, name, feature)
        sql = MADE if feature.windows else table_sql(look.site, name, feature, None)
        earlier = f' where "time" <= {instant(until)}' if until and feature.timed else ""
        look.session.keep(name, f"select * from ({sql}\n){earlier}")


def _open_windows(look: Look, name: str, windows: Windows) -> None:
    look.session.show(EVENTS, f"select * from {quoted(windows.source)}")
    events = look.session.table(events_sql(windows, look.declared.sources[windows.source], None))
    look.session.take(RETURNED, window_rows(look.site, name, windows, events, None))


def _leaks_of_request(site: Site, declared: Declared, request: pa.Table, stored: dict[str, Any]) -> Iterator[Leak]:
    """Yield what the SQL of the request makes otherwise of a row alone: it has looked at other rows."""
    label = declared.label
    for column, value in with_requests(site, declared.features, label, request).to_pylist()[0].items():
        if not is_same(stored[column], value):
            table = max(
                (n for n, f in declared.features.items() if f.on_request and column.startswith(f"{n}_")), key=len
            )
            yield Leak(column, str(stored[label.entity]), stored[label.time], stored[column], value, table, stored)


def _given(site: Site, declared: Declared, columns: Sequence[str]) -> list[str]:
    """Return the columns that a request has before its own SQL adds to them, in their order."""
    tables = [table_of(site, name, f) for name, f in declared.features.items() if not f.on_request]
    given = {column for table in tables for column in site.tables.schema(table).names}
    given |= {f"{name}_age_minutes" for name, feature in declared.features.items() if feature.age}
    given |= {o.column for name, f in declared.features.items() if f.windows for o in outputs(name, f.windows)}
    given |= set(label_columns(site, declared.label))
    return [column for column in columns if column in given]


def truncated(table: str, source: Source, moment: datetime) -> str:
    """Return SQL for what was known of a source's rows at a moment.

    A row appears when the first of it is known; a column with a moment of its own stays empty until then.
    """
    if not source.time:
        return f"select * from {table}"
    if isinstance(source.known_at, str):
        return f"select * from {table} where {quoted(source.known_at)} <= {instant(moment)}"
    known = known_times(source)
    first = ", ".join(quoted(m) for m in sorted({source.time, *known.values()}))
    masked = ", ".join(
        f"case when {quoted(when)} <= {instant(moment)} then {quoted(column)} end as {quoted(column)}"
        for column, when in known.items()
    )
    replace = f" replace ({masked})" if masked else ""
    return f"select *{replace} from {table} where least({first}) <= {instant(moment)}"


def honest_values(look: Look, name: str, feature: Feature) -> dict[str, Any]:
    """Return a feature table's values as an honest look gives them."""
    mine = " and ".join(f"{quoted(e)} = ?" for e in feature.entities)
    keys = [look.row[e] for e in feature.entities]
    if feature.windows:
        source = look.declared.sources[feature.windows.source]
        return look.session.rows(brute_force_sql(name, feature.windows, source, look.moment, mine), keys)[0]
    made = look.session.rows(_newest_row(look, name, feature, mine), keys)
    return _named(name, feature, made[0] if made else {}, look)


def _newest_row(look: Look, name: str, feature: Feature, mine: str) -> str:
    time, ttl = feature.time and quoted(feature.time), feature.ttl
    since = f" and {time} >= {instant(look.moment - ttl)}" if ttl else ""
    usable = f"{time} <= {instant(look.moment)}{since} and " if time else ""
    order = f"{time} desc, made" if time else "made"
    if feature.python:
        _call_anew(look, name, feature)
    text = MADE if feature.python else sql_of(look.site, feature).text
    return f"select made.* from ({text}\n) as made where {usable}{mine} order by {order} limit 1"


def _call_anew(look: Look, name: str, feature: Feature) -> None:
    """Let the user's function make its rows of what was known at the look's moment."""
    known = {source: look.session.table(in_order(source)) for source in inputs_of(look.site, feature)}
    doing = f"the leakage check made '{name}' of what was known at {look.moment:%Y-%m-%d %H:%M} UTC"
    look.session.take(RETURNED, call_function(look.site, name, feature, known, doing))


def _named(name: str, feature: Feature, made: dict[str, Any], look: Look) -> dict[str, Any]:
    values = {f"{name}_{column}": value for column, value in made.items()}
    honest = {column: values.get(column) for column in look.columns[name]}
    if feature.age:
        since = values.get(f"{name}_{feature.time}")
        honest[f"{name}_age_minutes"] = (look.moment - since).total_seconds() // 1 / 60 if since else None
    return honest


def _evenly(rows: pa.Table, sample: int) -> pa.Table:
    count = min(sample, rows.num_rows)
    return rows.take(pa.array([i * rows.num_rows // count for i in range(count)], pa.int64()))


def is_same(stored: Any, honest: Any) -> bool:
    """Return whether two values of a cell are the same, but for the last digits of a float."""
    if stored is None or honest is None:
        return stored is honest
    if isinstance(stored, float) or isinstance(honest, float):
        both_nan = math.isnan(stored) and math.isnan(honest)
        return both_nan or math.isclose(float(stored), float(honest), rel_tol=1e-9, abs_tol=1e-9)
    return bool(stored == honest)


def summarize(leaks: Sequence[Leak]) -> list[dict[str, Any]]:
    """Return one row a feature that leaks: how many sampled cells, and one of them in words."""
    by_feature: dict[str, list[Leak]] = {}
    for leak in leaks:
        by_feature.setdefault(leak.feature, []).append(leak)
    return [
        {"feature": feature, "cells": len(found), "example": str(found[0])}
        for feature, found in sorted(by_feature.items())
    ]


def refuse_leaks(leaks: Sequence[Leak]) -> None:
    """Raise LeakFound where there is any: a training set that knows the future is not written."""
    if leaks:
        found = "\n".join(f"- {row['example']} ({row['cells']} sampled cells)" for row in summarize(leaks))
        raise LeakFound(
            f"{len(leaks)} sampled cells of the training set were not known at the prediction time:\n{found}\n"
            "Mend the feature's time or its source's known_at; the training set was not replaced."
        )
