"""What raw rows are made of."""

from headrace.core.fingerprint import Parts, code_parts, libraries, sql_version
from headrace.core.recipe import Recipe
from headrace.sources.declaration import Source
from headrace.sources.ingest import ingest
from headrace.store.site import Site


def raw_recipe(site: Site, name: str, source: Source) -> Recipe:
    """Return what the raw rows of a source are made of, beside the files that land."""
    table = site.product.table("raw", name)
    return Recipe(table=table, parts=raw_parts(site, source), by_day=bool(source.partition))


def raw_parts(site: Site, source: Source) -> Parts:
    """Return the code and declarations behind raw rows: what says how files are read."""
    as_read = source.model_copy(update={"fresh_within": None, "known_at": None, "every": None})
    sql = {source.sql: sql_version(site.text(source.sql), source.sql)} if source.sql else {}
    pulled = {source.dlt: code_parts(site.text(source.dlt.partition(":")[0]))["text 0"]} if source.dlt else {}
    return code_parts(as_read, ingest) | sql | pulled | libraries("duckdb", "pyarrow")
