"""Who reads a column of a source: feature tables, the training set, and the model that stands on them."""

from collections.abc import Iterator

from headrace.core.errors import SqlError
from headrace.core.sql import Statement, made_columns
from headrace.features.graph import Graph, sources_behind
from headrace.features.lineage import root_lineage, training_lineage
from headrace.features.shared import own_features
from headrace.features.training import label_statement
from headrace.store.site import Site


def readers_of(site: Site, graph: Graph, source: str, column: str) -> list[str]:
    """Return what a change of a landed column touches, in words: `features/<table>`, `training/set`, the live model.

    Where the declaration does not tell columns apart (a source without a contract), whatever reads the source counts.
    """
    columns = {column, *_made_of(site, graph, source, column)}
    touched = list(_tables(site, graph, source, columns))
    if touched and graph.label:
        touched.append("training/set")
        live = site.releases.live(site.product.product)
        touched += [f"live model {live.model[:12]}"] if live else []
    return touched


def _tables(site: Site, graph: Graph, source: str, columns: set[str]) -> Iterator[str]:
    for name, feature in own_features(graph.features).items():
        if feature.on_request:
            continue
        read = sources_behind(site, graph.features, name)
        used = root_lineage(site, name, graph)
        if source in read and (not used or _uses(used, source, columns)):
            yield f"features/{name}"
    if graph.label and source in label_statement(site, graph.label).tables:
        used = training_lineage(site, graph)
        told = any(origin[0] == "validated" for origins in used.values() for origin in origins)
        if not told or _uses(used, source, columns):
            yield "label"


def _uses(lineage: dict[str, set[tuple[str, str, str]]], source: str, columns: set[str]) -> bool:
    used = {origin for origins in lineage.values() for origin in origins}
    return any(("validated", source, column) in used for column in columns)


def _made_of(site: Site, graph: Graph, source: str, column: str) -> Iterator[str]:
    """Yield the columns that the source's own SQL makes of a landed one; all of them where it cannot be told."""
    file = graph.sources[source].sql
    if not file:
        return
    origin, raw = str(site.folder / file), site.product.table("raw", source)
    statement = Statement(site.text(file), origin)
    there = set(site.tables.schema(raw).names) if site.tables.exists(raw) else {column}
    landed = dict.fromkeys(sorted(there - made_columns(statement.text, origin)), "varchar")
    try:
        lineage = statement.lineage({"landed": landed})
    except SqlError:
        lineage = {}
    yield from (made for made, origins in lineage.items() if ("landed", column) in origins or not lineage)
