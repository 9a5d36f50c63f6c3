"""Feature tables: rows that say what holds for an entity from an instant on."""

from collections.abc import Iterator, Mapping
from datetime import datetime

import pyarrow as pa

from headrace.core.days import Days, in_pieces, whole_days
from headrace.core.errors import DataError
from headrace.core.names import quoted, quoted_text
from headrace.core.sql import Statement
from headrace.core.user_code import load_function, told_in_words
from headrace.features import spark
from headrace.features.declaration import Feature, Windows
from headrace.features.steps import bytes_of_an_event, local_days, step_function
from headrace.features.windows import EVENTS, events_by_day_sql, events_sql, instant
from headrace.sources.declaration import Source
from headrace.store.engine import TableView
from headrace.store.site import Site
from headrace.store.tables import DAY

RETURNED = "_returned"
"""What a table is called in SQL that was not made by SQL: by a user's function, or from windows."""
MADE = f"select * from {RETURNED}"


def feature_rows(site: Site, name: str, feature: Feature, sources: Mapping[str, Source], days: Days | None) -> pa.Table:
    """Return the rows of a feature table: entities, `time` and `_day` where it has a time, <table>_<feature>.

    One row an entity and instant, in canonical order; only those that fall into `days`, if any are given.
    """
    views: dict[str, TableView | pa.Table] = dict(input_views(site, feature, sources))
    origin = _origin(site, name, feature)
    if site.spark and feature.windows:
        declared = sources[feature.windows.source]
        return spark.window_rows(site, name, feature.windows, declared, days)
    if site.spark and feature.sql:
        tables_there = input_views(site, feature, sources)
        return spark.sql_rows(site, spark.SqlTable(name, feature, sql_of(site, feature)), tables_there, days)
    if feature.windows:
        return _window_rows(site, name, feature.windows, sources, days)
    if feature.python:
        tables = {source: site.engine.query(in_order(source), views, origin=name) for source in views}
        views = {RETURNED: call_function(site, name, feature, tables)}
    return site.engine.query(table_sql(site, name, feature, days), views, origin=origin)


def table_sql(site: Site, name: str, feature: Feature, days: Days | None) -> str:
    """Return SQL for the rows of a feature table over its inputs; over RETURNED for Python."""
    text = MADE if feature.python else sql_of(site, feature).text
    statement = Statement(text, _origin(site, name, feature))
    return timed_sql(site, name, feature, statement, days) if feature.time else static_sql(name, feature, statement)


def _origin(site: Site, name: str, feature: Feature) -> str:
    return f"features.{name}" if feature.windows else f"{site.folder / (feature.python or feature.sql or '')}"


def source_views(site: Site, tables: list[str]) -> dict[str, TableView]:
    """Return the validated sources as views, by name."""
    return {name: TableView(site.product.table("validated", name)) for name in tables}


def input_views(site: Site, feature: Feature, sources: Mapping[str, Source]) -> dict[str, TableView]:
    """Return what a feature table reads as views, by name."""
    names = inputs_of(site, feature)
    return {name: TableView(site.product.table(layer_of(name, sources), name)) for name in names}


def table_of(site: Site, name: str, feature: Feature) -> str:
    """Return the table that a feature table's rows lie in: its owner's if it is shared."""
    table = site.product.table("features", name)
    return "/".join([feature.shared, *table.split("/")[1:]]) if feature.shared else table


def layer_of(name: str, sources: Mapping[str, Source]) -> str:
    """Return where the rows lie that a name stands for in a feature's SQL: a source, or else another feature table."""
    return "validated" if name in sources else "features"


def inputs_of(site: Site, feature: Feature) -> list[str]:
    """Return the names of the sources and feature tables that a feature table reads."""
    if feature.windows:
        return [feature.windows.source]
    return list(feature.reads or []) or sql_of(site, feature).tables


def sql_of(site: Site, feature: Feature) -> Statement:
    """Return the SQL of a feature table, and where it stands."""
    file = feature.sql or feature.on_request or ""
    return Statement(site.text(file), f"{site.folder / file}")


def _window_rows(site: Site, name: str, windows: Windows, sources: Mapping[str, Source], days: Days | None) -> pa.Table:
    """Return the step function of windows, made of as many days at a time as fit into half of the memory."""
    view = {EVENTS: source_views(site, [windows.source])[windows.source]}

    def made(piece: Days | None) -> pa.Table:
        asked = events_sql(windows, sources[windows.source], _span(site, piece))
        return window_rows(site, name, windows, site.engine.query(asked, view, origin=f"features.{name}"), piece)

    pieces = _pieces(site, windows, view, days) if days else iter([days])
    return site.spill.concat(map(made, pieces))


def _pieces(site: Site, windows: Windows, view: Mapping[str, TableView], days: Days) -> Iterator[Days]:
    back = whole_days(max(windows.over)) + 1
    if len(days) <= back:
        return iter([days])  # Pieces are no shorter: nobody needs to count.
    asked = events_by_day_sql(windows, site.product.timezone, days.widened(before=back))
    counts = site.engine.query(asked, view)
    by_day = dict(zip(counts["day"].to_pylist(), counts["events"].to_pylist(), strict=True))
    return in_pieces(days, by_day, site.spill.memory / 2 / bytes_of_an_event(windows), back)


def window_rows(site: Site, name: str, windows: Windows, events: pa.Table, days: Days | None) -> pa.Table:
    """Return the step function of windows, with the day of each step; `events` are those of `events_sql`."""
    steps = step_function(name, windows, events, _span(site, days))
    return steps.append_column(DAY, local_days(steps["time"], site.product.timezone))


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
{_one_of_each(statement, keys, _present(feature.entities))}
select {keys}, columns(* exclude ({keys})) as "{name}_\\0" from _one order by {keys}"""


def timed_sql(site: Site, name: str, feature: Feature, statement: Statement, days: Days | None) -> str:
    """Return SQL for a feature table whose rows hold from `time` on; of rows for one instant the least stays."""
    assert feature.time
    keys, time = _list(feature.entities), quoted(feature.time)
    span = _span(site, days)
    during = f" and {time} >= {instant(span[0])} and {time} < {instant(span[1])}" if span else ""
    return _with_day(
        site,
        f"""
{_one_of_each(statement, f"{keys}, {time}", f"{_present([*feature.entities, feature.time])}{during}")}
select {keys}, cast({time} as timestamptz) as "time", columns(* exclude ({keys}, {time})) as "{name}_\\0"
from _one order by "time", {keys}""",
    )


def _one_of_each(statement: Statement, keys: str, where: str) -> str:
    """Return SQL that names the rows of a statement, the least for each key, `_one`.

    Only keys that come twice are sorted: a sort of all rows does not always fit into memory, and DuckDB gives up then.
    """
    return f"""with _made as materialized (select * from ({statement.text}
) where {where}),
_doubles as materialized (select {keys} from _made group by all having count(*) > 1),
_one as (select * from _made anti join _doubles using ({keys}) union all
  select * from _made semi join _doubles using ({keys}) qualify row_number() over (partition by {keys} order by _made) = 1)"""


def _span(site: Site, days: Days | None) -> tuple[datetime, datetime] | None:
    return days.instants(site.product.timezone) if days else None


def _with_day(site: Site, sql: str) -> str:
    day = f'cast(timezone({quoted_text(site.product.timezone)}, "time") as date) as _day'
    return f"select *, {day} from ({sql})"


def _present(columns: list[str]) -> str:
    return " and ".join(f"{quoted(column)} is not null" for column in columns)


def _list(columns: list[str]) -> str:
    return ", ".join(map(quoted, columns))
