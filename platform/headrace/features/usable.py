"""Which rows of feature tables predictions of some span can use, and how the join takes them."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime

import pyarrow as pa

from headrace.core.days import Days, local_day, whole_days
from headrace.core.declaration import Identity
from headrace.core.names import quoted
from headrace.features.compute import table_of
from headrace.features.declaration import Feature
from headrace.features.join import FeatureTable
from headrace.features.shared import SharedFeature
from headrace.features.windows import since_columns, zero_columns
from headrace.store.engine import TableView
from headrace.store.site import Site
from headrace.store.tables import DAY

Span = tuple[datetime, datetime]
"""The first and the last prediction time."""


def stored(features: Mapping[str, Feature]) -> dict[str, Feature]:
    """Return the features that are tables, not computed from requests."""
    return {name: feature for name, feature in features.items() if not feature.on_request}


def usable_views(site: Site, features: Mapping[str, Feature], span: Span | None) -> dict[str, TableView]:
    """Return each feature table, by name, and the days that bound how old a usable row can be; no span: all of it."""
    return {
        name: TableView(table_of(site, name, feature), usable_days(_maker(site, feature), feature, span))
        for name, feature in stored(features).items()
    }


def usable_tables(
    site: Site, features: Mapping[str, Feature], span: Span | None, versions: Mapping[str, int] | None = None
) -> Iterator[FeatureTable]:
    """Yield the tables to join with the rows that predictions of a span can use.

    `versions` says which version of a table is read; the newest of those that it does not name.
    """
    for name, view in usable_views(site, features, span).items():
        pinned = replace(view, version=(versions or {}).get(view.table))
        yield as_joined(name, features[name], _rows(site, pinned, features[name], span))


def as_joined(name: str, feature: Feature, rows: pa.Table) -> FeatureTable:
    """Return rows of a feature table as the join sees them."""
    return FeatureTable(
        name=name,
        rows=rows,
        entities=feature.entities,
        time="time" if feature.timed else None,
        ttl=feature.ttl,
        age=feature.age,
        since=since_columns(name, feature.windows) if feature.windows else {},
        zeros=zero_columns(name, feature.windows) if feature.windows else [],
    )


def _rows(site: Site, view: TableView, feature: Feature, span: Span | None) -> pa.Table:
    """Return the rows; of those that never grow old the newest of each entity before the span, and all in it."""
    days = _days(_maker(site, feature), span) if feature.timed and not feature.reach else None
    if not days:
        return site.tables.read(view.table, days=view.days, version=view.version)
    keys = ", ".join(map(quoted, feature.entities))
    sql = f"""
select * from rows where {DAY} < date '{days.first}' qualify row_number() over (partition by {keys} order by "time" desc) = 1
union all by name select * from rows where {DAY} between date '{days.first}' and date '{days.last}'"""
    return site.engine.query(sql, {"rows": view}, origin=view.table)


def _maker(site: Site, feature: Feature) -> Identity:
    """Return the product that makes a table: its calendar, not that of the predictions, says in which day a row lies."""
    return feature.home.site.product if isinstance(feature, SharedFeature) else site.product


def usable_days(product: Identity, feature: Feature, span: Span | None) -> Days | None:
    """Return the days of the product that makes a table in which rows for predictions of a span can lie; None for all."""
    days = _days(product, span) if feature.timed and feature.reach else None
    return days.widened(before=whole_days(feature.reach) + 1) if days and feature.reach else None


def _days(product: Identity, span: Span | None) -> Days | None:
    return Days(*(local_day(moment, product.timezone) for moment in span)) if span and product.start else None
