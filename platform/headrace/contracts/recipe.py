"""What validated rows are made of."""

from headrace.contracts.cast import casts_sql
from headrace.contracts.declaration import Contract
from headrace.contracts.landed import landed_before, mended_table
from headrace.contracts.spark import asked_of_spark, split_by_spark
from headrace.contracts.validate import validate_by_pieces
from headrace.core.days import local_day
from headrace.core.fingerprint import Parts, cluster_parts, code_parts, libraries
from headrace.core.names import quoted
from headrace.core.recipe import ALL, TIME, Reach, Recipe
from headrace.sources.declaration import Source
from headrace.store.checksum import bytes_digest
from headrace.store.site import Site
from headrace.store.tables import DAY


def validated_recipe(site: Site, name: str, source: Source, contract: Contract | None) -> Recipe:
    """Return what the validated rows of a source are made of; where a rule asks for the time, that is part of it."""
    product = site.product
    raw, mended, by_day = product.table("raw", name), mended_table(site, name), bool(source.partition)
    others = [product.table("validated", other) for other in (contract.referenced if contract else [])]
    also = [*others, *([mended] if site.tables.exists(mended) else [])]
    return Recipe(
        table=product.table("validated", name),
        parts=validated_parts(site, source, contract),
        # A mended row counts while the file that it was mended from is still there, whichever day it lies in.
        inputs={raw: Reach() if by_day and mended not in also else None} | dict.fromkeys(also),
        facts={TIME: site.clock.now().isoformat()} if contract and _asks_the_time(contract) else {},
        days={
            "neighbours": _neighbours(site, name, contract) if by_day and contract else {},
            TIME: _days_to_come(site, raw),
        },
        by_day=by_day,
    )


def _asks_the_time(contract: Contract) -> bool:
    columns = contract.columns.values()
    return bool(contract.volume) or any(column.fresh_within or column.max_ahead for column in columns)


def _days_to_come(site: Site, raw: str) -> dict[str, str]:
    """Return the time for the days that are not over: a row of them may lie too far ahead now, and not later."""
    if site.product.clock != "wall":
        return {}
    now = site.clock.now()
    today = str(local_day(now, site.product.timezone))
    return {day: now.isoformat() for day in site.ledger.contents(raw) if day >= today and day != ALL}


def validated_parts(site: Site, source: Source, contract: Contract | None) -> Parts:
    """Return the code and declarations behind validated rows."""
    parts = code_parts(validate_by_pieces, *([contract] if contract else []))
    place = {"time": f"{source.time}", "days": site.product.calendar}
    place |= cluster_parts(site.product.engine, asked_of_spark, split_by_spark)
    return parts | place | libraries("duckdb", "pandera", "polars")


def _neighbours(site: Site, name: str, contract: Contract) -> dict[str, str]:
    """Return, for each day with a unique value that stands in other days too, a digest of where: days judge each other."""
    unique = [[column] for column, declared in contract.columns.items() if declared.unique] + contract.unique
    raw, mended = site.product.table("raw", name), mended_table(site, name)
    if not (unique and site.tables.exists(raw)):
        return {}
    keys = [{column: contract.columns[column].type for column in columns} for columns in unique]
    what = f"repeated {keys} with {mended} {site.tables.version(mended)}"
    found: dict[str, str] = site.ledger.remembered(raw, what, lambda: _repeated(site, name, contract, unique))
    return found


def _repeated(site: Site, name: str, contract: Contract, unique: list[list[str]]) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    landed, views = landed_before(site, name, None)
    schema = site.tables.schema(site.product.table("raw", name))
    for columns in unique:
        casts = casts_sql(site, schema, {column: contract.columns[column] for column in columns})
        key, whole = ", ".join(map(quoted, columns)), " and ".join(f"{quoted(c)} is not null" for c in columns)
        sql = (
            f"select cast(row({key}) as varchar) as value, cast(list(distinct {DAY} order by {DAY}) as varchar[]) as days "
            f"from (select {DAY}, {casts} from ({landed})) where {whole} "
            f"group by {key} having count(distinct {DAY}) > 1 order by value"
        )
        for row in site.engine.query(sql, views, origin="contracts: unique").to_pylist():
            for day in row["days"]:
                found.setdefault(day, []).append(f"{columns} {row['value']} {row['days']}")
    return {day: bytes_digest("\n".join(lines).encode())[:16] for day, lines in found.items()}
