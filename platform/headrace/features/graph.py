"""The declared parts that features and labels refer to, and what feature tables read of each other."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from headrace.contracts.declaration import Contract
from headrace.core.errors import DeclarationError
from headrace.core.sql import Schema, Statement
from headrace.features.compute import inputs_of, sql_of
from headrace.features.declaration import Feature, Label, Suspect
from headrace.features.windows import window_columns
from headrace.sources.declaration import Source
from headrace.store.site import Site

Features = Mapping[str, Feature]
_SQL_TYPES = {
    "string": "varchar",
    "integer": "bigint",
    "double": "double",
    "boolean": "boolean",
    "timestamp": "timestamptz",
    "date": "date",
}


@dataclass(frozen=True)
class Graph:
    """The declared parts that features and labels refer to."""

    sources: Mapping[str, Source]
    contracts: Mapping[str, Contract]
    features: Features
    label: Label | None
    suspect: Suspect = field(default_factory=Suspect)

    @property
    def schema(self) -> Schema:
        """The validated columns of each source; none for a source without a contract."""
        return {
            name: {c: _SQL_TYPES[column.type] for c, column in self.contracts[name].columns.items()}
            for name in self.sources
            if name in self.contracts
        }

    def has_days(self, name: str) -> bool:
        """Return whether a source, or else a feature table, lies in days."""
        return bool(self.sources[name].partition) if name in self.sources else self.features[name].timed


def upstream_of(site: Site, features: Features, feature: Feature) -> list[str]:
    """Return the feature tables that a feature table reads: only SQL of one's own reads any."""
    if not feature.sql or feature.shared:
        return []
    return [name for name in sql_of(site, feature).tables if name in features]


def making_order(site: Site, features: Features) -> list[str]:
    """Return the names of all tables, each after those that it reads; raises DeclarationError for a circle."""
    done: dict[str, None] = {}
    for name in features:
        _visit(site, features, [name], done)
    return list(done)


def _visit(site: Site, features: Features, way: list[str], done: dict[str, None]) -> None:
    name = way[-1]
    if name in done:
        return
    for upstream in upstream_of(site, features, features[name]):
        if upstream in way:
            circle = " → ".join([*way[way.index(upstream) :], upstream])
            raise DeclarationError(
                f"these feature tables read each other in a circle: {circle}. None of them can be made first: "
                "let one of them read sources alone.",
                ("features", name, "sql"),
            )
        _visit(site, features, [*way, upstream], done)
    done[name] = None


def tables_behind(site: Site, features: Features, names: Iterable[str]) -> list[str]:
    """Return feature tables and all that they read, directly or not, each after those that it reads."""
    done: dict[str, None] = {}
    for name in names:
        _visit(site, features, [name], done)
    return list(done)


def sources_behind(site: Site, features: Features, name: str) -> list[str]:
    """Return the product's own sources that a feature table is made of, also through other feature tables."""
    feature = features[name]
    if feature.shared:
        return []
    upstream = upstream_of(site, features, feature)
    own = [table for table in inputs_of(site, feature) if table not in upstream]
    return sorted({*own, *(source for table in upstream for source in sources_behind(site, features, table))})


def schema_for(site: Site, graph: Graph, statement: Statement) -> Schema | None:
    """Return the columns of the tables that a statement reads; None where those of one are declared nowhere."""
    schema = dict(graph.schema)
    for name in statement.tables:
        if name in graph.features and name not in graph.sources:
            columns = _columns(site, graph, name)
            schema |= {name: columns} if columns else {}
    return schema if set(statement.tables) <= set(schema) else None


def _columns(site: Site, graph: Graph, name: str) -> dict[str, str]:
    """Return the columns of a feature table with their types, which no declaration tells of SQL; none for Python."""
    feature = graph.features[name]
    timed = {"time": "timestamptz", "_day": "date"} if feature.timed else {}
    if feature.windows:
        source = graph.schema.get(feature.windows.source, {})
        keys = {entity: source.get(entity, "varchar") for entity in feature.entities}
        return keys | timed | dict.fromkeys(window_columns(name, feature.windows), "double")
    statement = sql_of(site, feature) if feature.sql else None
    schema = schema_for(site, graph, statement) if statement else None
    if not statement or not schema:
        return {}
    made = [column for column in statement.columns(schema) if column != feature.time]
    named = [column if column in feature.entities else f"{name}_{column}" for column in made]
    return dict.fromkeys(named, "varchar") | timed
