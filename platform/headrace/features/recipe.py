"""What feature tables and the training set are made of."""

from datetime import datetime

from sqlglot import exp

from headrace.core.days import whole_days
from headrace.core.fingerprint import Parts, cluster_parts, code_parts, libraries, sql_version
from headrace.core.names import quoted, quoted_text
from headrace.core.recipe import Reach, Recipe
from headrace.core.sql import Statement, parse
from headrace.core.user_code import load_function
from headrace.features import spark
from headrace.features.compute import feature_rows, inputs_of, layer_of, sql_of, table_of
from headrace.features.declaration import Feature, Label
from headrace.features.graph import Graph
from headrace.features.shared import SharedFeature
from headrace.features.training import label_statement, training_rows
from headrace.features.windows import known_when
from headrace.store.engine import TableView
from headrace.store.site import Site

LEAST_LAG = 1
"""An event may happen a day before or after the day that its row lies in; more where the rows say so."""
_MIXING = (exp.AggFunc, exp.Window, exp.Join, exp.Subquery, exp.Distinct, exp.Group, exp.Limit, exp.CTE)


def feature_recipe(site: Site, graph: Graph, name: str, feature: Feature) -> Recipe:
    """Return what a feature table is made of; how far its rows look is measured where their times say so."""
    product = site.product
    by_day = bool(product.start and feature.timed)
    names = inputs_of(site, feature)
    return Recipe(
        table=product.table("features", name),
        parts=feature_parts(site, graph, feature),
        inputs={
            product.table(layer_of(name, graph.sources), name): _reach(site, feature, name, graph) if by_day else None
            for name in names
        },
        by_day=by_day,
    )


def training_recipe(site: Site, graph: Graph) -> Recipe:
    """Return what the training set is made of; while labels are still to come, the time is part of it."""
    label, product = graph.label, site.product
    assert label
    tables = [table_of(site, n, f) for n, f in graph.features.items() if not f.on_request]
    sources = [product.table("validated", n) for n in label_statement(site, label).tables]
    return Recipe(
        table=product.table("training", "set"),
        parts=training_parts(site, graph),
        inputs=dict.fromkeys([*sources, *tables]),
        facts={"labels known": _known(site, label, sources)},
    )


def feature_parts(site: Site, graph: Graph, feature: Feature) -> Parts:
    """Return the code and declarations behind a feature table."""
    engine = libraries("duckdb") | {"days": site.product.calendar}
    engine |= cluster_parts(site.product.engine, spark.window_rows, spark.sql_rows)
    if feature.windows:
        known_at = graph.sources[feature.windows.source].known_at
        sweeps = libraries("numpy", "polars")
        return code_parts(feature.windows, feature_rows) | {"known_at": f"{known_at}"} | engine | sweeps
    if feature.python:
        function = load_function(site.folder, site.product.product, feature.python)
        return code_parts(feature.as_made, feature_rows, function) | libraries("pyarrow") | engine
    return (
        code_parts(feature.as_made, feature_rows) | {f"{feature.sql}": sql_version(sql_of(site, feature).text)} | engine
    )


def training_parts(site: Site, graph: Graph) -> Parts:
    """Return the code and declarations behind the training set."""
    assert graph.label
    statements = {graph.label.sql: label_statement(site, graph.label)}
    statements |= {f.on_request: sql_of(site, f) for f in graph.features.values() if f.on_request}
    texts = {file: sql_version(statement.text) for file, statement in statements.items()}
    declared = {f"features.{name}": f.as_made.model_dump_json(by_alias=True) for name, f in graph.features.items()}
    known = {f"sources.{name}": f"time {s.time}, known at {s.known_at}" for name, s in graph.sources.items()}
    for feature in graph.features.values():
        known |= _known_there(feature) if isinstance(feature, SharedFeature) else {}
    place = {"days": site.product.calendar} | cluster_parts(site.product.engine, spark.join_features)
    return (
        code_parts(graph.label, graph.suspect, training_rows)
        | texts
        | declared
        | known
        | place
        | libraries("duckdb", "polars")
    )


def _known_there(feature: SharedFeature) -> Parts:
    """Return when the sources of a shared table's product are known: they are cut off by that to check for leaks."""
    sources = feature.home.graph.sources.items()
    return {f"{feature.shared}.sources.{name}": f"time {s.time}, known at {s.known_at}" for name, s in sources}


def static_reach(feature: Feature) -> Reach:
    """Return how far a feature's day looks as far as its declaration tells, without looking at data."""
    back = whole_days(max(feature.windows.over)) if feature.windows else 0
    return Reach(back + LEAST_LAG, LEAST_LAG)


def looks_row_by_row(statement: Statement, time: str) -> bool:
    """Return whether each row that a SELECT makes comes from one row alone, and its time from a column as it is."""
    tree = parse(statement.text, statement.origin)
    if any(tree.find(kind) for kind in _MIXING) or any(
        union.args.get("distinct") for union in tree.find_all(exp.Union)
    ):
        return False
    moments = [p for select in tree.find_all(exp.Select) for p in select.selects if p.alias_or_name == time]
    return bool(moments) and all(isinstance(moment.unalias(), exp.Column) for moment in moments)


def _reach(site: Site, feature: Feature, name: str, graph: Graph) -> Reach | None:
    source = graph.sources.get(name)
    if source is None or not source.partition:
        return None
    if feature.python:
        return None
    if feature.windows:
        moments = known_when(feature.windows, source)
    else:
        statement = sql_of(site, feature)
        assert feature.time
        if not looks_row_by_row(statement, feature.time):
            return None
        moments = _sql_moments(statement, feature.time)
    lag, static = _lag(site, name, moments), static_reach(feature)
    return Reach(static.back - LEAST_LAG + lag, lag)


def _sql_moments(statement: Statement, time: str) -> list[str]:
    selects = parse(statement.text, statement.origin).find_all(exp.Select)
    return sorted({p.unalias().name for select in selects for p in select.selects if p.alias_or_name == time})


def _lag(site: Site, source: str, moments: list[str]) -> int:
    """Return how many days the times of a source's rows lie from the days of these rows, at most."""
    table = site.product.table("validated", source)
    if not site.tables.exists(table):
        return LEAST_LAG
    farthest: int = site.ledger.remembered(table, f"lag of {moments}", lambda: _farthest(site, table, moments))
    return max(LEAST_LAG, farthest)


def _farthest(site: Site, table: str, moments: list[str]) -> int:
    zone = quoted_text(site.product.timezone)
    days = [f"date_diff('day', _day, cast(timezone({zone}, {quoted(moment)}) as date))" for moment in moments]
    sql = f"select greatest({', '.join(f'max(abs({day}))' for day in days)}) as lag from rows"
    lag: int | None = site.engine.query(sql, {"rows": TableView(table)}, origin=table)["lag"][0].as_py()
    return lag or 0


def _known(site: Site, label: Label, sources: list[str]) -> str:
    """Return "all", or the present moment while labels of the newest rows may still become known."""
    now = site.clock.now()
    if not all(site.tables.exists(table) for table in sources):
        return now.isoformat()
    newest = max(
        (site.ledger.remembered(t, f"newest {label.sql}", lambda: _newest(site, label)) for t in sources), default=""
    )
    return "all" if newest and now >= datetime.fromisoformat(newest) + label.known_after else now.isoformat()


def _newest(site: Site, label: Label) -> str:
    """Return the newest prediction time of the label's rows, in ISO 8601; nothing where there are no rows."""
    statement = label_statement(site, label)
    sql = f"select max(cast({quoted(label.time)} as timestamptz)) as newest from ({statement.text}\n)"
    views = {name: TableView(site.product.table("validated", name)) for name in statement.tables}
    newest: datetime | None = site.engine.query(sql, views, origin=statement.origin)["newest"][0].as_py()
    return newest.isoformat() if newest else ""
