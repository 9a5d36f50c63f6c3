"""What can be known to be wrong with features and label before any data are read."""

from collections.abc import Iterable, Mapping

from headrace.core.errors import DeclarationError, SqlError
from headrace.core.names import did_you_mean
from headrace.core.sql import Statement, columns_of, spelled
from headrace.core.user_code import load_function
from headrace.features.carried import verify_carried
from headrace.features.compute import sql_of
from headrace.features.declaration import Feature, Label, Windows
from headrace.features.graph import Graph, making_order, schema_for
from headrace.features.shared import own_features
from headrace.features.training import label_statement
from headrace.store.site import Site


def verify(site: Site, graph: Graph) -> None:
    """Raise DeclarationError for the first name that leads nowhere."""
    for name in graph.contracts:
        _known("source", name, graph.sources, ("contracts", name))
    making_order(site, graph.features)
    for name, feature in own_features(graph.features).items():
        path = ("features", name)
        if feature.windows:
            _verify_windows(feature.windows, graph, (*path, "windows"))
        elif feature.python:
            _verify_python(site, feature, graph, path)
        else:
            _verify_sql(site, feature, graph, path)
    if graph.label:
        _verify_label(site, graph.label, graph)
    if site.spark:
        verify_carried(site, graph)


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
        _verify_table(table, statement, graph, (*path, "sql"))
    schema = schema_for(site, graph, statement)
    if schema is None:
        return
    columns = statement.columns(schema)
    for column in [*feature.entities, *([feature.time] if feature.time else [])]:
        _known(f"column in {feature.sql}", column, columns, path)


def _verify_table(table: str, statement: Statement, graph: Graph, path: tuple[str, ...]) -> None:
    """Refuse a table that is neither a source nor a feature table, or both, or that only a request has."""
    _known("source or feature table", table, [*graph.sources, *graph.features], path)
    if table in graph.sources and table in graph.features:
        raise DeclarationError(
            f"{statement.origin}: '{table}' is a source and a feature table, too: nobody can tell which is meant. "
            "Give one of them another name.",
            path,
        )
    if table in graph.features and graph.features[table].shared:
        owner = graph.features[table].shared
        raise DeclarationError(
            f"{statement.origin}: '{table}' is shared from '{owner}': it goes into the training set as it is, and SQL of other "
            f"tables cannot read it. Declare the table that reads it in '{owner}', and share that one.",
            path,
        )
    if table in graph.features and graph.features[table].on_request:
        raise DeclarationError(
            f"{statement.origin}: '{table}' is computed from each request and is no table: nothing can read it.", path
        )


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
