"""What can be known to be wrong with features and label before any data are read."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from headrace.contracts.declaration import Contract
from headrace.core.errors import DeclarationError, SqlError
from headrace.core.names import did_you_mean
from headrace.core.sql import Schema, Statement, columns_of, spelled
from headrace.core.user_code import load_function
from headrace.features.compute import sql_of
from headrace.features.declaration import Feature, Label, Suspect, Windows
from headrace.features.training import label_statement
from headrace.sources.declaration import Source
from headrace.store.site import Site

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
    features: Mapping[str, Feature]
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


def verify(site: Site, graph: Graph) -> None:
    """Raise DeclarationError for the first name that leads nowhere."""
    for name in graph.contracts:
        _known("source", name, graph.sources, ("contracts", name))
    for name, feature in graph.features.items():
        path = ("features", name)
        if feature.windows:
            _verify_windows(feature.windows, graph, (*path, "windows"))
        elif feature.python:
            _verify_python(site, feature, graph, path)
        else:
            _verify_sql(site, feature, graph, path)
    if graph.label:
        _verify_label(site, graph.label, graph)


def _verify_windows(windows: Windows, graph: Graph, path: tuple[str, ...]) -> None:
    _known("source", windows.source, graph.sources, (*path, "from"))
    columns = graph.schema.get(windows.source)
    if columns is None:
        return
    for column in [*windows.entities, windows.time]:
        _known(f"column of '{windows.source}'", column, columns, path)
    for expression in windows.expressions:
        try:
            used = columns_of(expression, "windows")
        except SqlError as error:
            raise DeclarationError(str(error), path) from None
        for column in sorted(used):
            _known(f"column of '{windows.source}'", spelled(column, columns), columns, (*path, "of"))


def _verify_python(site: Site, feature: Feature, graph: Graph, path: tuple[str, ...]) -> None:
    for source in feature.reads or []:
        _known("source", source, graph.sources, (*path, "from"))
    try:
        load_function(site.folder, site.product.product, feature.python or "")
    except DeclarationError as error:
        raise DeclarationError(str(error), (*path, "python")) from None


def _verify_sql(site: Site, feature: Feature, graph: Graph, path: tuple[str, ...]) -> None:
    statement = sql_of(site, feature)
    if feature.on_request:
        if statement.tables != ["request"]:
            raise DeclarationError(
                f"{statement.origin}: a feature of the request reads `request` alone, not {statement.tables}", path
            )
        return
    for table in statement.tables:
        _known("source", table, graph.sources, (*path, "sql"))
    if not set(statement.tables) <= set(graph.schema):
        return
    columns = statement.columns(graph.schema)
    for column in [*feature.entities, *([feature.time] if feature.time else [])]:
        _known(f"column in {feature.sql}", column, columns, path)


def _verify_label(site: Site, label: Label, graph: Graph) -> None:
    statement = label_statement(site, label)
    for table in statement.tables:
        _known("source", table, graph.sources, ("label", "sql"))
    _refuse_untraceable(statement, label, graph)
    if not set(statement.tables) <= set(graph.schema):
        return
    columns = statement.columns(graph.schema)
    for key in ("entity", "time", "column"):
        _known(f"column in {label.sql}", getattr(label, key), columns, ("label", key))
    for name, feature in graph.features.items():
        for entity in feature.entities:
            _known(f"column in {label.sql}, which '{name}' is joined by,", entity, columns, ("features", name))
    _verify_request(statement.lineage(graph.schema), label, graph)


def _refuse_untraceable(statement: Statement, label: Label, graph: Graph) -> None:
    """Refuse label rows of which nobody can tell whether they hold values that are known only later."""
    later = [table for table in statement.tables if graph.sources[table].known_columns()]
    blank = [table for table in statement.tables if table not in graph.contracts]
    if later and blank:
        raise DeclarationError(
            f"{label.sql} reads '{later[0]}', which has values that are known later than its rows, and '{blank[0]}', which "
            f"has no contract: nobody can tell what a request is made of. Write a contract for '{blank[0]}'.",
            ("label", "sql"),
        )


def _verify_request(lineage: Mapping[str, set[tuple[str, str]]], label: Label, graph: Graph) -> None:
    """Refuse request columns that are made of values which are known only later."""
    for column, origins in lineage.items():
        for table, source_column in sorted(origins):
            known_at = graph.sources[table].known_columns()
            later = known_at.get(spelled(source_column, known_at))
            if later and column != label.column:
                raise DeclarationError(
                    f"{label.sql}: '{column}' is made of {table}.{source_column}, which is known at '{later}', after the "
                    f"prediction. A request cannot hold it: make it a feature, or take it out.",
                    ("label", "sql"),
                )


def _known(what: str, word: str, words: Iterable[str], path: tuple[str, ...]) -> None:
    known = sorted(words)
    if word not in known:
        raise DeclarationError(f"no {what} '{word}'; there are {', '.join(known)}.{did_you_mean(word, known)}", path)
