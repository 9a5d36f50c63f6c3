"""Feature tables: rows that say what holds for an entity from an instant on."""

from collections.abc import Mapping

import pyarrow as pa

from headrace.core.days import Days
from headrace.core.names import quoted, quoted_text
from headrace.core.sql import Statement
from headrace.features.declaration import Feature, Windows
from headrace.features.steps import local_days, step_function
from headrace.features.windows import events_sql, instant
from headrace.sources.declaration import Source
from headrace.store.engine import TableView
from headrace.store.site import Site
from headrace.store.tables import DAY


def feature_rows(site: Site, name: str, feature: Feature, sources: Mapping[str, Source], days: Days | None) -> pa.Table:
    """Return the rows of a feature table: entities, `time` and `_day` where it has a time, <table>_<feature>.

    One row an entity and instant, in canonical order; only those that fall into `days`, if any are given.
    """
    if feature.windows:
        return _window_rows(site, name, feature.windows, sources[feature.windows.source], days)
    return _sql_rows(site, name, feature, days)


def source_views(site: Site, tables: list[str]) -> dict[str, TableView]:
    """Return the validated sources as views, by name."""
    return {name: TableView(site.product.table("validated", name)) for name in tables}


def sql_of(site: Site, feature: Feature) -> Statement:
    """Return the SQL of a feature table, and where it stands."""
    file = feature.sql or feature.on_request or ""
    return Statement(site.text(file), f"{site.folder / file}")


def _window_rows(site: Site, name: str, windows: Windows, source: Source, days: Days | None) -> pa.Table:
    span = days.instants(site.product.timezone) if days else None
    view = source_views(site, [windows.source])[windows.source]
    events = site.engine.query(events_sql(windows, source, span), {"events": view}, origin=f"features.{name}")
    steps = step_function(name, windows, events, span)
    return steps.append_column(DAY, local_days(steps["time"], site.product.timezone))


def _sql_rows(site: Site, name: str, feature: Feature, days: Days | None) -> pa.Table:
    statement = sql_of(site, feature)
    sql = timed_sql(site, name, feature, statement, days) if feature.time else static_sql(name, feature, statement)
    return site.engine.query(sql, source_views(site, statement.tables), origin=statement.origin)


def static_sql(name: str, feature: Feature, statement: Statement) -> str:
    """Return SQL for a feature table whose rows hold for all time: one row an entity, the least of several."""
    keys = _list(feature.entities)
    return f"""
select {keys}, columns(* exclude ({keys})) as "{name}_\\0" from ({statement.text}
) as made where {_present(feature.entities)}
qualify row_number() over (partition by {keys} order by made) = 1 order by {keys}"""


def timed_sql(site: Site, name: str, feature: Feature, statement: Statement, days: Days | None) -> str:
    """Return SQL for a feature table whose rows hold from `time` on; of rows for one instant the least stays."""
    assert feature.time
    keys, time = _list(feature.entities), quoted(feature.time)
    span = days.instants(site.product.timezone) if days else None
    during = f" and {time} >= {instant(span[0])} and {time} < {instant(span[1])}" if span else ""
    return _with_day(
        site,
        f"""
select {keys}, cast({time} as timestamptz) as "time", columns(* exclude ({keys}, {time})) as "{name}_\\0"
from ({statement.text}
) as made where {_present([*feature.entities, feature.time])}{during}
qualify row_number() over (partition by {keys}, {time} order by made) = 1 order by "time", {keys}""",
    )


def _with_day(site: Site, sql: str) -> str:
    day = f'cast(timezone({quoted_text(site.product.timezone)}, "time") as date) as _day'
    return f"select *, {day} from ({sql})"


def _present(columns: list[str]) -> str:
    return " and ".join(f"{quoted(column)} is not null" for column in columns)


def _list(columns: list[str]) -> str:
    return ", ".join(map(quoted, columns))
