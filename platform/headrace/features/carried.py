"""What of a declaration Spark cannot be asked: found while it loads, as far as types are declared."""

from collections.abc import Iterator

from headrace.core.errors import DeclarationError, NotCarried, TypeUnknown
from headrace.core.spark_sql import carried, refuse_uncarried
from headrace.core.sql import Schema, Statement
from headrace.features.compute import sql_of
from headrace.features.graph import Graph
from headrace.features.shared import own_features
from headrace.features.spark_windows import seen_sql
from headrace.features.training import label_statement
from headrace.features.windows import EVENTS
from headrace.store.site import Site


def verify_carried(site: Site, graph: Graph) -> None:
    """Raise DeclarationError, with file, line and construct, for SQL that Spark would understand differently."""
    for statement, schema, path in _statements(site, graph):
        try:
            refuse_uncarried(statement.text, statement.origin)
            if schema is not None:
                carried(statement.text, statement.origin, schema)
        except TypeUnknown:
            continue
        except NotCarried as error:
            raise DeclarationError(str(error), path) from None


def _statements(site: Site, graph: Graph) -> Iterator[tuple[Statement, Schema | None, tuple[str, ...]]]:
    for name, feature in own_features(graph.features).items():
        path = ("features", name)
        if feature.windows:
            text = seen_sql(feature.windows, graph.sources[feature.windows.source], None)
            columns = graph.schema.get(feature.windows.source)
            yield Statement(text, f"features.{name}"), {EVENTS: columns} if columns else None, (*path, "windows")
        elif feature.sql or feature.on_request:
            statement = sql_of(site, feature)
            yield statement, None if feature.on_request else _schema(graph, statement), path
    if graph.label:
        statement = label_statement(site, graph.label)
        yield statement, _schema(graph, statement), ("label", "sql")


def _schema(graph: Graph, statement: Statement) -> Schema | None:
    """Return the columns that contracts give to what a statement reads; None where one of its tables has no contract."""
    return graph.schema if set(statement.tables) <= set(graph.schema) else None
