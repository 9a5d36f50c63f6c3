"""What validated rows are made of."""

from headrace.contracts.declaration import Contract
from headrace.contracts.validate import validate
from headrace.core.fingerprint import Parts, code_parts, libraries
from headrace.core.names import quoted
from headrace.core.recipe import Reach, Recipe
from headrace.sources.declaration import Source
from headrace.store.digest import bytes_digest
from headrace.store.engine import TableView
from headrace.store.site import Site


def validated_recipe(site: Site, name: str, source: Source, contract: Contract | None) -> Recipe:
    """Return what the validated rows of a source are made of."""
    product = site.product
    raw, by_day = product.table("raw", name), bool(source.partition)
    return Recipe(
        table=product.table("validated", name),
        parts=validated_parts(contract),
        inputs={raw: Reach() if by_day else None},
        days=_neighbours(site, raw, contract) if by_day and contract else {},
        by_day=by_day,
    )


def validated_parts(contract: Contract | None) -> Parts:
    """Return the code and declarations behind validated rows."""
    return code_parts(validate, *([contract] if contract else [])) | libraries("duckdb", "pandera", "polars")


def _neighbours(site: Site, raw: str, contract: Contract) -> dict[str, str]:
    """Return, for each day with a unique value that stands in other days too, a digest of where: days judge each other."""
    unique = [name for name, column in contract.columns.items() if column.unique]
    if not (unique and site.tables.exists(raw)):
        return {}
    found: dict[str, str] = site.ledger.remembered(raw, f"repeated {unique}", lambda: _repeated(site, raw, unique))
    return found


def _repeated(site: Site, raw: str, unique: list[str]) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for column in map(quoted, unique):
        sql = (
            f"select cast({column} as varchar) as value, cast(list(distinct _day order by _day) as varchar[]) as days "
            f"from rows where {column} is not null group by value having count(distinct _day) > 1 order by value"
        )
        for row in site.engine.query(sql, {"rows": TableView(raw)}, origin="contract").to_pylist():
            for day in row["days"]:
                found.setdefault(day, []).append(f"{column} {row['value']} {row['days']}")
    return {day: bytes_digest("\n".join(lines).encode())[:16] for day, lines in found.items()}
