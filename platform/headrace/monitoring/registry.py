"""The feature registry: what features a product has, how fresh and how complete they are, and what models make of them.

It is gathered from declarations, from the stores' own records and from what was measured when models were trained: no
table is read as a whole.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.days import DAY, Days, local_day
from headrace.core.declaration import Identity
from headrace.features.columns import feature_columns
from headrace.features.compute import table_of
from headrace.features.declaration import Feature
from headrace.features.graph import Graph, upstream_of
from headrace.features.shared import home_of
from headrace.features.statistics import (
    Kind,
    Statistics,
    kind_of,
    recorded_statistics,
    remembered_statistics,
)
from headrace.models.meta import load_meta
from headrace.store.releases import Release
from headrace.store.site import Site

Users = Mapping[str, Sequence[str]]
"""Feature table → the other products that use it."""


@dataclass(frozen=True)
class Weight:
    """What one released model makes of a feature."""

    release: int
    model: str
    rank: int
    """1 for the input that it gains most from."""
    inputs: int
    share: float
    """Of the total gain."""
    live: bool


@dataclass(frozen=True)
class FeatureFacts:
    """One feature: a column that a feature table adds to a row."""

    name: str
    kind: Kind | None
    """The type of its values; None while nothing is stored."""
    statistics: Statistics | None
    weights: Sequence[Weight]
    """In each released model that has it, oldest first."""
    drift: Sequence[Mapping[str, Any]]
    """What was measured of it last against the live model: rows of monitoring/drift."""

    @property
    def live(self) -> Weight | None:
        """What the live model makes of it."""
        return next((weight for weight in self.weights if weight.live), None)


@dataclass(frozen=True)
class TableFacts:
    """One feature table."""

    name: str
    feature: Feature
    features: Sequence[FeatureFacts]
    made: bool
    """Whether its rows are stored; what is computed from the request never is."""
    newest: datetime | None = None
    """The newest instant of its rows that is not to come; None for rows that hold for all time."""
    committed: datetime | None = None
    """When its rows were last written, by the wall clock."""
    version: int | None = None
    rows: int | None = None
    read_by: Sequence[str] = ()
    """The feature tables whose SQL reads it."""
    shared_with: Sequence[str] = ()
    """The other products that use it."""


@dataclass(frozen=True)
class Registry:
    """The feature tables of one product."""

    product: Identity
    now: datetime
    live: Release | None
    of: str
    """What the statistics are of, in words."""
    tables: Sequence[TableFacts]
    others: Sequence[Weight] = field(default_factory=list)
    """What the live model makes of its other inputs: those of the request itself."""

    @property
    def features(self) -> list[tuple[TableFacts, FeatureFacts]]:
        """Each feature with its table."""
        return [(table, feature) for table in self.tables for feature in table.features]


def registry_of(site: Site, graph: Graph, users: Users) -> Registry:
    """Return what is known of a product's features now; what does not exist yet is empty."""
    live = site.releases.live(site.product.product)
    measured = _Measured.of(site, live)
    tables = [replace(_table(site, graph, name, measured), shared_with=users.get(name, ())) for name in graph.features]
    known = {feature.name for table in tables for feature in table.features}
    others = [w for name, weights in measured.weights.items() for w in weights if w.live and name not in known]
    return Registry(site.product, site.clock.now(), live, measured.what, tables, others)


@dataclass(frozen=True)
class _Measured:
    """What was measured of a product's columns, by column."""

    what: str
    statistics: Mapping[str, Statistics]
    schema: Mapping[str, Kind]
    weights: Mapping[str, Sequence[Weight]]
    drift: Mapping[str, Sequence[Mapping[str, Any]]]

    @classmethod
    def of(cls, site: Site, live: Release | None) -> "_Measured":
        what, statistics = _statistics(site, live)
        table = site.product.table("training", "set")
        schema = kinds_of(site.tables.schema(table)) if site.tables.exists(table) else {}
        return cls(what, statistics, schema, _weights(site, live), _drift(site, live))


def _statistics(site: Site, live: Release | None) -> tuple[str, Mapping[str, Statistics]]:
    """Return what the live model was trained on, where that was recorded, else what is stored now; and which of them it is."""
    recorded = recorded_statistics(site, live.model) if live else {}
    if live and recorded:
        meta = load_meta(site.models, live.model)
        span = f"{meta.train_from:%Y-%m-%d} to {meta.train_to:%Y-%m-%d}"
        return f"the {meta.rows:,} rows that release {live.number} was trained on, of {span}", recorded
    statistics = remembered_statistics(site)
    if not statistics:
        return "nothing: no training set is stored yet", {}
    version = site.tables.version(site.product.table("training", "set"))
    rows = next(iter(statistics.values())).rows
    return f"all {rows:,} rows of the stored training set, version {version}", statistics


def kinds_of(schema: pa.Schema) -> dict[str, Kind]:
    """Return what people call the types of a table's columns."""
    empty = pl.DataFrame(schema.empty_table())
    return {name: kind_of(dtype) for name, dtype in empty.schema.items()}


def _weights(site: Site, live: Release | None) -> dict[str, list[Weight]]:
    found: dict[str, list[Weight]] = {}
    for release in site.releases.all(site.product.product):
        recorded = site.models.recorded(release.model, "importance") if release.goes_live else None
        shares = recorded["shares"] if recorded else []
        for place, (name, share) in enumerate(shares, 1):
            is_live = live is not None and release.number == live.number
            found.setdefault(name, []).append(Weight(release.number, release.model, place, len(shares), share, is_live))
    return found


def _drift(site: Site, live: Release | None) -> dict[str, list[Mapping[str, Any]]]:
    """Return the newest day's rows of monitoring/drift that are about the live model, by column."""
    table = site.product.table("monitoring", "drift")
    if live is None or not site.tables.exists(table):
        return {}
    rows = site.tables.read(table)
    own = rows.filter(pc.equal(rows["model"], live.model))
    newest = pc.max(own["day"])
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in own.filter(pc.equal(own["day"], newest)).to_pylist() if own.num_rows else []:
        found.setdefault(row["column"], []).append(row)
    return found


def _table(site: Site, graph: Graph, name: str, measured: _Measured) -> TableFacts:
    feature = graph.features[name]
    table, home = table_of(site, name, feature), home_of(site, graph, name)
    made = not feature.on_request and site.tables.exists(table)
    stored = kinds_of(site.tables.schema(table)) if made else {}
    features = [_feature(column, stored, measured) for column in feature_columns(site, graph, name)]
    if not made:
        return TableFacts(name, feature, features, made)
    newest = site.tables.versions(table)[-1]
    return TableFacts(
        name,
        feature,
        features,
        made,
        newest=newest_instant(home.site, table, site.clock.now()) if feature.timed else None,
        committed=newest.at,
        version=newest.number,
        rows=newest.rows,
        read_by=[other for other, of in graph.features.items() if name in upstream_of(site, graph.features, of)],
    )


def _feature(column: str, stored: Mapping[str, Kind], measured: _Measured) -> FeatureFacts:
    return FeatureFacts(
        column,
        measured.schema.get(column) or stored.get(column),
        measured.statistics.get(column),
        measured.weights.get(column, []),
        measured.drift.get(column, []),
    )


def newest_instant(site: Site, table: str, now: datetime) -> datetime | None:
    """Return the newest instant of a table's rows that is not after now; None where all are.

    Windows end in the future: rows are looked at month by month, backwards from today.
    """
    snapshot = site.tables.snapshot(table)
    spans = list(snapshot.files.values()) if snapshot else []
    last = local_day(now, site.product.timezone)
    firsts = {span.first.replace(day=1) if span else date.min for span in spans}
    for first in sorted((first for first in firsts if first <= last), reverse=True):
        times = site.tables.read(table, days=Days(first, last), columns=["time"])["time"]
        newest: datetime | None = pc.max(times.filter(pc.less_equal(times, pa.scalar(now, times.type)))).as_py()
        if newest:
            return newest
        last = first - DAY if first > date.min else last
    return None
