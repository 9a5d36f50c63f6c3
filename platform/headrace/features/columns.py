"""Which columns a feature table adds to a row."""

from headrace.core.sql import computed_columns
from headrace.features.compute import sql_of
from headrace.features.graph import Graph
from headrace.features.lineage import feature_lineage
from headrace.features.windows import outputs
from headrace.store.site import Site
from headrace.store.tables import DAY


def feature_columns(site: Site, graph: Graph, name: str) -> list[str]:
    """Return the columns that a feature table adds to a row, in their order: as stored, else as far as its declaration tells."""
    feature = graph.features[name]
    if feature.windows:
        return [output.column for output in outputs(name, feature.windows)]
    if feature.on_request:
        return _of_the_request(site, graph, name)
    table = site.product.table("features", name)
    stored = site.tables.schema(table).names if site.tables.exists(table) else None
    columns = stored or list(feature_lineage(site, name, feature, graph))
    values = [column for column in columns if column not in {*feature.entities, "time", DAY}]
    return [*values, f"{name}_age_minutes"] if feature.age else values


def _of_the_request(site: Site, graph: Graph, name: str) -> list[str]:
    statement = sql_of(site, graph.features[name])
    made = {f"{name}_{column}" for column in computed_columns(statement.text, statement.origin)}
    table = site.product.table("training", "set")
    stored = site.tables.schema(table).names if site.tables.exists(table) else []
    return [column for column in stored if column in made] or sorted(made)
