"""The leakage check: features recomputed from what was known at the prediction time must be what the training set has.

For sampled rows the sources are cut off at the row's own moment: rows that were not known yet are gone, values that
were not known yet are empty. Each feature is then computed anew, windows by brute force, and compared cell by cell.
A feature that saw the future differs.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa

from headrace.core.errors import LeakFound
from headrace.core.names import quoted
from headrace.features.brute import brute_force_sql
from headrace.features.compute import sql_of
from headrace.features.declaration import Feature, Label
from headrace.features.windows import instant, known_times
from headrace.sources.declaration import Source
from headrace.store.engine import Session, TableView
from headrace.store.site import Site
from headrace.store.tables import DAY

SAMPLE = 24


@dataclass(frozen=True)
class Leak:
    """One cell that cannot have been known: what the training set holds against what an honest look gives."""

    feature: str
    entity: str
    at: datetime
    stored: Any
    honest: Any

    def __str__(self) -> str:
        return f"{self.feature} of {self.entity} at {self.at:%Y-%m-%d %H:%M} UTC is {self.stored}, but {self.honest} was known then"


@dataclass(frozen=True)
class Declared:
    """What the check needs to know of a product."""

    sources: Mapping[str, Source]
    features: Mapping[str, Feature]
    label: Label


@dataclass(frozen=True)
class _Look:
    """One sampled row, and a session in which the sources end at its prediction time."""

    site: Site
    declared: Declared
    columns: Mapping[str, list[str]]
    """The columns that each feature table in SQL adds to a row."""
    session: Session
    row: dict[str, Any]

    @property
    def moment(self) -> datetime:
        """When the prediction was made."""
        at: datetime = self.row[self.declared.label.time]
        return at


def find_leaks(site: Site, declared: Declared, training_set: pa.Table, sample: int = SAMPLE) -> list[Leak]:
    """Return the cells of evenly sampled rows that differ from what was known at their prediction time."""
    rows = _evenly(training_set, sample).to_pylist()
    columns = {name: _sql_columns(site, name, feature) for name, feature in declared.features.items() if feature.sql}
    with site.engine.session(_tables_used(site, declared)) as session:
        return [leak for row in rows for leak in _leaks_of_row(_Look(site, declared, columns, session, row))]


def _leaks_of_row(look: _Look) -> Iterator[Leak]:
    declared, row = look.declared, look.row
    for name, source in declared.sources.items():
        look.session.show(name, truncated(f"_all_{name}", source, look.moment))
    tables = {name: feature for name, feature in declared.features.items() if not feature.on_request}
    for name, feature in tables.items():
        for column, value in _honest_values(look, name, feature).items():
            if not _equal(row[column], value):
                yield Leak(column, str(row[declared.label.entity]), look.moment, row[column], value)


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


def _honest_values(look: _Look, name: str, feature: Feature) -> dict[str, Any]:
    """Return a feature table's values as an honest look gives them."""
    mine = " and ".join(f"{quoted(e)} = ?" for e in feature.entities)
    keys = [look.row[e] for e in feature.entities]
    if feature.windows:
        source = look.declared.sources[feature.windows.source]
        return look.session.rows(brute_force_sql(name, feature.windows, source, look.moment, mine), keys)[0]
    made = look.session.rows(_newest_row(look, feature, mine), keys)
    return _named(name, feature, made[0] if made else {}, look)


def _newest_row(look: _Look, feature: Feature, mine: str) -> str:
    time, ttl = feature.time and quoted(feature.time), feature.ttl
    since = f" and {time} >= {instant(look.moment - ttl)}" if ttl else ""
    usable = f"{time} <= {instant(look.moment)}{since} and " if time else ""
    order = f"{time} desc, made" if time else "made"
    statement = sql_of(look.site, feature)
    return f"select made.* from ({statement.text}\n) as made where {usable}{mine} order by {order} limit 1"


def _named(name: str, feature: Feature, made: dict[str, Any], look: _Look) -> dict[str, Any]:
    values = {f"{name}_{column}": value for column, value in made.items()}
    honest = {column: values.get(column) for column in look.columns[name]}
    if feature.age:
        since = values.get(f"{name}_{feature.time}")
        honest[f"{name}_age_minutes"] = (look.moment - since).total_seconds() // 1 / 60 if since else None
    return honest


def _sql_columns(site: Site, name: str, feature: Feature) -> list[str]:
    stored = site.tables.schema(site.product.table("features", name)).names
    return [column for column in stored if column not in {*feature.entities, "time", DAY}]


def _tables_used(site: Site, declared: Declared) -> dict[str, TableView]:
    return {f"_all_{name}": TableView(site.product.table("validated", name)) for name in declared.sources}


def _evenly(rows: pa.Table, sample: int) -> pa.Table:
    step = max(1, rows.num_rows // sample)
    return rows.take(list(range(0, rows.num_rows, step))[:sample])


def _equal(stored: Any, honest: Any) -> bool:
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
