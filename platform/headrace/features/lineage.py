"""Where each feature column comes from, read from the declaration."""

from headrace.core.sql import columns_of
from headrace.features.compute import layer_of, sql_of
from headrace.features.declaration import Feature
from headrace.features.graph import Graph, schema_for
from headrace.features.shared import SharedFeature, home_of
from headrace.features.training import label_statement
from headrace.features.windows import since_columns, window_columns
from headrace.store.site import Site

Lineage = dict[str, set[tuple[str, str, str]]]
"""Column → the (layer, table, column) it is made of; what lies in another product has the layer `<product>/<layer>`."""


def feature_lineage(site: Site, name: str, feature: Feature, graph: Graph) -> Lineage:
    """Return the origins of a feature table's columns, as far as its declaration tells."""
    if isinstance(feature, SharedFeature):
        home = feature.home
        there = feature_lineage(home.site, name, home.graph.features[name], home.graph)
        return _elsewhere(f"{feature.shared}", there)
    if feature.windows:
        w = feature.windows
        used = {(("validated", w.source, c)) for e in [*w.expressions] for c in columns_of(e, name)}
        used.add(("validated", w.source, w.time))
        return dict.fromkeys(window_columns(name, w), used) | _same("validated", w.source, w.entities)
    if feature.python:
        return {}
    statement = sql_of(site, feature)
    schema = schema_for(site, graph, statement)
    if schema is None:
        return {}
    keys = {*feature.entities, feature.time}
    return {
        (("time" if c == feature.time else c) if c in keys else f"{name}_{c}"): {
            (layer_of(t, graph.sources), t, s) for t, s in origins
        }
        for c, origins in statement.lineage(schema).items()
    }


def root_lineage(site: Site, name: str, graph: Graph) -> Lineage:
    """Return the source columns that a feature table's columns are made of, also through other feature tables.

    None where one of these tables does not tell.
    """
    home = home_of(site, graph, name)
    if home.graph is not graph:
        return _elsewhere(home.site.product.product, root_lineage(home.site, name, home.graph))
    roots: Lineage = {}
    for column, origins in feature_lineage(site, name, graph.features[name], graph).items():
        roots[column] = set()
        for layer, table, of in origins:
            above = root_lineage(site, table, graph) if layer == "features" else {}
            if layer == "features" and not above:
                return {}
            roots[column] |= above.get(of, set()) if layer == "features" else {(layer, table, of)}
    return roots


def training_lineage(site: Site, graph: Graph) -> Lineage:
    """Return the origins of the training set's columns: feature tables, and sources through the label's SQL."""
    lineage = label_lineage(site, graph)
    for name, feature in graph.features.items():
        columns = feature_lineage(site, name, feature, graph) if not feature.on_request else {}
        keys, layer = {*feature.entities, "time"}, f"{feature.shared}/features" if feature.shared else "features"
        joined = since_columns(name, feature.windows) if feature.windows else {}
        lineage |= {joined.get(column, column): {(layer, name, column)} for column in columns if column not in keys}
    return lineage


def label_lineage(site: Site, graph: Graph) -> Lineage:
    """Return the origins of the columns of the label's SQL; none where one of its sources has no contract."""
    assert graph.label
    statement = label_statement(site, graph.label)
    if not set(statement.tables) <= set(graph.schema):
        return {}
    found = statement.lineage(graph.schema)
    return {column: {("validated", t, s) for t, s in origins} for column, origins in found.items()}


def _elsewhere(product: str, lineage: Lineage) -> Lineage:
    """Return the lineage of another product's columns as seen from here."""
    return {
        column: {(f"{product}/{layer}", table, of) for layer, table, of in origins}
        for column, origins in lineage.items()
    }


def _same(layer: str, table: str, columns: list[str]) -> Lineage:
    return {column: {(layer, table, column)} for column in columns}
