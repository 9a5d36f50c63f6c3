"""Feature tables: rows that say what holds for an entity from an instant on."""

from collections.abc import Mapping

import pyarrow as pa

from headrace.core.days import Days
from headrace.core.errors import DataError
from headrace.core.names import quoted, quoted_text
from headrace.core.sql import Statement
from headrace.core.user_code import load_function, told_in_words
from headrace.features.declaration import Feature, Windows
from headrace.features.windows import instant, step_function_sql
from headrace.sources.declaration import Source
from headrace.store.engine import TableView
from headrace.store.site import Site

RETURNED = "_returned"
"""What the table that a user's function returned is called in SQL."""
MADE = f"select * from {RETURNED}"


def feature_rows(site: Site, name: str, feature: Feature, sources: Mapping[str, Source], days: Days | None) -> pa.Table:
    """Return the rows of a feature table: entities, `time` and `_day` where it has a time, <table>_<feature>.

    One row an entity and instant, in canonical order; only those that fall into `days`, if any are given.
    """
    if feature.windows:
        return _window_rows(site, name, feature.windows, sources[feature.windows.source], days)
    if feature.python:
        return _python_rows(site, name, feature, days)
    return _sql_rows(site, name, feature, days)


def source_views(site: Site, tables: list[str]) -> dict[str, TableView]:
    """Return the validated sources as views, by name."""
    return {name: TableView(site.product.table("validated", name)) for name in tables}


def sources_of(site: Site, feature: Feature) -> list[str]:
    """Return the sources that a feature table reads."""
    if feature.windows:
        return [feature.windows.source]
    return list(feature.reads or []) or sql_of(site, feature).tables


def sql_of(site: Site, feature: Feature) -> Statement:
    """Return the SQL of a feature table, and where it stands."""
    file = feature.sql or feature.on_request or ""
    return Statement(site.text(file), f"{site.folder / file}")


def _window_rows(site: Site, name: str, windows: Windows, source: Source, days: Days | None) -> pa.Table:
    span = days.instants(site.product.timezone) if days else None
    sql = step_function_sql(name, windows, source, span)
    view = source_views(site, [windows.source])[windows.source]
    return site.engine.query(_with_day(site, sql), {"events": view}, origin=f"features.{name}")


def _sql_rows(site: Site, name: str, feature: Feature, days: Days | None) -> pa.Table:
    statement = sql_of(site, feature)
    sql = timed_sql(site, name, feature, statement, days) if feature.time else static_sql(name, feature, statement)
    return site.engine.query(sql, source_views(site, statement.tables), origin=statement.origin)


def _python_rows(site: Site, name: str, feature: Feature, days: Days | None) -> pa.Table:
    views = source_views(site, sources_of(site, feature))
    tables = {source: site.engine.query(in_order(source), views, origin=name) for source in views}
    made = call_function(site, name, feature, tables)
    statement = Statement(MADE, f"{site.folder / (feature.python or '')}")
    sql = timed_sql(site, name, feature, statement, days) if feature.time else static_sql(name, feature, statement)
    return site.engine.query(sql, {RETURNED: made}, origin=statement.origin)


def in_order(source: str) -> str:
    """Return SQL for the rows of a source as a user's function gets them: in an order that never changes."""
    return f"select * from {quoted(source)} order by all"


def call_function(site: Site, name: str, feature: Feature, tables: Mapping[str, pa.Table], doing: str = "") -> pa.Table:
    """Return what the user's function makes of Arrow tables, by source name.

    Raises UserCodeError with the user's file and line where it fails, DataError where it returns something else than
    an Arrow table with the entity columns, `time` if it is declared, and at least one value.
    """
    place = feature.python or ""
    function = load_function(site.folder, site.product.product, place)
    with told_in_words(site.folder / place, doing):
        made = function(**tables)
    if not isinstance(made, pa.Table):
        raise DataError(
            f"{site.folder / place}: feature table '{name}' needs an Arrow table, not {type(made).__name__}."
        )
    keys = [*feature.entities, *([feature.time] if feature.time else [])]
    missing = [column for column in keys if column not in made.column_names]
    if missing or len(made.column_names) == len(keys):
        raise DataError(
            f"{site.folder / place}: feature table '{name}' needs the columns {keys} and values; it got {made.column_names}."
        )
    return made


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
