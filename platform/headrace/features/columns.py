"""Which columns a feature table adds to a row, and what each of them is made of."""

from headrace.core.errors import SqlError
from headrace.core.sql import computed_columns
from headrace.features.compute import sql_of, table_of
from headrace.features.graph import Graph
from headrace.features.lineage import feature_lineage, root_lineage
from headrace.features.shared import home_of
from headrace.features.windows import outputs
from headrace.store.site import Site
from headrace.store.tables import DAY


def feature_columns(site: Site, graph: Graph, name: str) -> list[str]:
    """Return the columns that a feature table adds to a row, in their order: as stored, else as far as its declaration tells."""
    home = home_of(site, graph, name)
    return _columns(home.site, home.graph, name)


def _columns(site: Site, graph: Graph, name: str) -> list[str]:
    feature = graph.features[name]
    if feature.windows:
        return [output.column for output in outputs(name, feature.windows)]
    if feature.on_request:
        return _of_the_request(site, graph, name)
    table = table_of(site, name, feature)
    stored = site.tables.schema(table).names if site.tables.exists(table) else None
    columns = stored or list(feature_lineage(site, name, feature, graph))
    values = [column for column in columns if column not in {*feature.entities, "time", DAY}]
    return [*values, f"{name}_age_minutes"] if feature.age else values


def origins_of(site: Site, graph: Graph, name: str, column: str) -> list[str]:
    """Return the columns that a feature is made of, as `source.column`; none where the declaration does not tell.

    Those of another product come with its name before them.
    """
    feature = graph.features[name]
    if feature.on_request:
        return _request_columns(site, graph, name, column)
    stored = {output.column: output.stored for output in outputs(name, feature.windows)} if feature.windows else {}
    key = "time" if feature.age and column == f"{name}_age_minutes" else stored.get(column, column)
    owner = f"{feature.shared}." if feature.shared else ""
    return sorted(f"{owner}{source}.{of}" for _, source, of in root_lineage(site, name, graph).get(key, set()))


def _request_columns(site: Site, graph: Graph, name: str, column: str) -> list[str]:
    """Return the columns of the request that a column is computed from; none while no training set tells which there are."""
    table = site.product.table("training", "set")
    if not site.tables.exists(table):
        return []
    request = dict.fromkeys(site.tables.schema(table).names, "varchar")
    try:
        lineage = sql_of(site, graph.features[name]).lineage({"request": request})
    except SqlError:
        return []
    return sorted(f"request.{of}" for _, of in lineage.get(column.removeprefix(f"{name}_"), set()))


def _of_the_request(site: Site, graph: Graph, name: str) -> list[str]:
    statement = sql_of(site, graph.features[name])
    made = {f"{name}_{column}" for column in computed_columns(statement.text, statement.origin)}
    table = site.product.table("training", "set")
    stored = site.tables.schema(table).names if site.tables.exists(table) else []
    return [column for column in stored if column in made] or sorted(made)
