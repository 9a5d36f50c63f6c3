"""What brought a cause of drift: the source columns behind features, the files of a day, and what changed since a training."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import PurePath
from typing import Any

import pyarrow.compute as pc

from headrace.core.days import Days
from headrace.core.errors import DigestMismatch, StoreError
from headrace.features.graph import Graph
from headrace.features.lineage import root_lineage, training_lineage
from headrace.models.changes import LIBRARY
from headrace.monitoring.cause import Upstream
from headrace.sources.read import FILE
from headrace.store.code import code_files
from headrace.store.site import Site

DECLARED = "Contract as declared"
VALIDATED, FEATURES = "validated", "features"
Origins = Mapping[str, frozenset[str]]
"""Column → `<source>.<column>` of each source column that it is made of."""


def origins_of(site: Site, graph: Graph) -> Origins:
    """Return the source columns behind each column of the training set, also through feature tables, as far as declared.

    Of another product's they are `<product>/<source>.<column>`.
    """
    found = {}
    for column, parents in training_lineage(site, graph).items():
        roots = [root for parent in parents for root in _roots(site, graph, parent)]
        found[column] = frozenset(f"{_source(layer, table)}.{of}" for layer, table, of in roots)
    return found


def tables_behind(site: Site, graph: Graph, columns: Sequence[str]) -> list[str]:
    """Return the product's own tables that columns of the training set are read from, and the sources behind these."""
    lineage = training_lineage(site, graph)
    parents = {parent for column in columns for parent in lineage.get(column, ())}
    roots = {root for parent in parents for root in _roots(site, graph, parent)}
    own = {site.product.table(layer, table) for layer, table, _ in parents | roots if "/" not in layer}
    raw = {site.product.table("raw", table) for layer, table, _ in roots if layer == VALIDATED}
    return sorted(own | raw)


def upstream_of(
    site: Site, graph: Graph, columns: Sequence[str], day: date | None, origin: Mapping[str, Any] | None
) -> Upstream:
    """Return what columns are made of, the files that brought the rows of a day, and what changed since a model's origin."""
    origins = origins_of(site, graph)
    sources = sorted({name for column in columns for name in origins.get(column, ())})
    names = sorted({name.rpartition(".")[0] for name in sources})
    files = [file for name in names if day and name in graph.sources for file in _files(site, graph, name, day)]
    changed = list(_changes(site, tables_behind(site, graph, columns), origin)) if origin else []
    return Upstream(sources=sources, files=files, changes=changed)


def _roots(site: Site, graph: Graph, parent: tuple[str, str, str]) -> set[tuple[str, str, str]]:
    layer, table, column = parent
    if not layer.endswith(FEATURES):
        return {parent}
    return root_lineage(site, table, graph).get(column, set())


def _source(layer: str, table: str) -> str:
    home = layer.rpartition("/")[0]
    return f"{home}/{table}" if home else table


def _files(site: Site, graph: Graph, source: str, day: date) -> list[str]:
    """Return the names of the files that hold a source's rows of a day; none of a source without days."""
    table = site.product.table("raw", source)
    if not graph.sources[source].partition or not site.tables.exists(table):
        return []
    files = pc.unique(site.tables.read(table, days=Days(day, day), columns=[FILE])[FILE]).to_pylist()
    return sorted(PurePath(file).name for file in files if file)


def _changes(site: Site, tables: Sequence[str], origin: Mapping[str, Any]) -> Iterator[str]:
    """Yield in words what changed in the contracts, columns and code of tables since a model was trained."""
    for table in tables:
        yield from _schema(site, table, origin["versions"].get(table))
    parts = origin["parts"]
    for table in (table for table in tables if table in parts):
        now = site.ledger.parts(table)
        moved = sorted(part for part in {*now, *parts[table]} if now.get(part) != parts[table].get(part))
        yield from (_part(table, part) for part in moved if not part.startswith(LIBRARY))
    yield from _code(site, origin["code"])


def _part(table: str, part: str) -> str:
    _, layer, name = table.split("/")
    if part == DECLARED:
        return f"contract of {name}"
    return f"{layer}/{name}: {part.removeprefix('headrace.')}"


def _schema(site: Site, table: str, version: int | None) -> Iterator[str]:
    """Yield the columns that are new, gone or of another type; none where the version then can no longer be read."""
    if version is None or not site.tables.exists(table):
        return
    name = table.split("/", 1)[1]
    try:
        before = {field.name: str(field.type) for field in site.tables.schema(table, version=version)}
    except StoreError:
        return
    now = {field.name: str(field.type) for field in site.tables.schema(table)}
    for column in sorted({*before, *now}):
        was, is_now = before.get(column), now.get(column)
        if was is None:
            yield f"column {column} of {name} is new"
        elif is_now is None:
            yield f"column {column} of {name} is gone"
        elif was != is_now:
            yield f"column {column} of {name} was {was}, is {is_now}"


def _code(site: Site, digest: str) -> Iterator[str]:
    """Yield the product's SQL and Python files that are others than those that the model was made by."""
    try:
        before = site.code.get(digest)
    except DigestMismatch:
        return
    now = code_files(site.folder)
    for file in sorted({*before, *now}):
        if before.get(file) != now.get(file) and PurePath(file).suffix in (".sql", ".py"):
            yield f"file {file}"
