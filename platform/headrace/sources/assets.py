"""Landed files as assets: raw/<source>, with checks on its files and its freshness."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from headrace.core.assets import daily, days_of, mended, records, spec, step_name, table_metadata
from headrace.core.fingerprint import code_version, sql_version
from headrace.sources.declaration import Source
from headrace.sources.freshness import Freshness, freshness
from headrace.sources.ingest import Ingested, ingest
from headrace.store.site import Site

FILES, FRESHNESS = "files", "freshness"


def source_assets(site: Site, sources: Mapping[str, Source]) -> list[dg.AssetsDefinition]:
    """Return raw/<source> for each source, and the freshness checks that can also be run alone."""
    raw = [_raw_asset(site, name, source) for name, source in sources.items()]
    return [*raw, *(_freshness_check(site, name, source) for name, source in sources.items() if source.fresh_within)]


def _raw_asset(site: Site, name: str, source: Source) -> dg.AssetsDefinition:
    product, table = site.product, site.product.table("raw", name)
    sql = sql_version(site.text(source.sql)) if source.sql else ""

    @dg.multi_asset(
        name=step_name(product, "raw", name),
        specs=[
            spec(
                product,
                "raw",
                name,
                kinds={"csv", "deltalake"},
                description=f"What landed as {source.files}, as text, with the file and row it came from.",
                code_version=code_version(source, ingest, sql),
            )
        ],
        check_specs=[
            dg.AssetCheckSpec(
                FILES, asset=product.key("raw", name), blocking=True, description="Every landed file could be read."
            )
        ],
        partitions_def=daily(product) if source.partition else None,
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    @mended
    def raw(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
        found = ingest(site, name, source)
        days = days_of(context) if source.partition else None
        for day in found.days or () if source.partition else ():
            if days and not days.first <= day <= days.last:
                context.log_event(dg.AssetMaterialization(product.key("raw", name), partition=str(day)))
        rows = site.tables.read(table, days=days) if site.tables.exists(table) else None
        if rows is None:
            raise dg.Failure(_nothing_landed(site, name, source, found), allow_retries=False)
        return dg.MaterializeResult(
            metadata={
                **table_metadata(rows.num_rows, rows.schema, site.tables.version(table) or 0, table),
                "new rows": found.rows,
                "new files": len(found.files),
                "duplicates": records([{"file": f, "same as": other} for f, other in found.duplicates.items()]),
            },
            check_results=[_files_check(found, rows.num_rows, str(days or ""))],
        )

    return raw


def _files_check(found: Ingested, rows: int, days: str) -> dg.AssetCheckResult:
    notes = [*found.notes, *([f"no file holds rows of {days}"] if not rows else [])]
    refused = [{"file": file, "why": why} for file, why in found.refused.items()]
    return dg.AssetCheckResult(
        check_name=FILES,
        passed=not refused and not notes,
        severity=dg.AssetCheckSeverity.ERROR if refused else dg.AssetCheckSeverity.WARN,
        description="; ".join([*found.refused.values(), *notes][:5]) or "All landed files could be read.",
        metadata={"refused": records(refused), "notes": records([{"note": note} for note in notes])},
    )


def _nothing_landed(site: Site, name: str, source: Source, found: Ingested) -> str:
    refused = "; ".join(found.refused.values())
    return refused or f"Nothing has landed for '{name}': no file matches {site.place.root / source.files}"


def _freshness_check(site: Site, name: str, source: Source) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=dg.AssetKey(site.product.key("raw", name)),
        name=FRESHNESS,
        description=f"The newest row is younger than the source's fresh_within, by the product's clock.",
    )
    @mended
    def is_fresh() -> dg.AssetCheckResult:
        return freshness_result(freshness(site, name, source))

    return is_fresh


def freshness_result(found: Freshness) -> dg.AssetCheckResult:
    """Return the verdict on a source's freshness."""
    value = {"value": found.age_hours} if found.age_hours is not None else {}
    return dg.AssetCheckResult(
        passed=found.fresh,
        description=found.what,
        metadata={**value, "limit": found.limit_hours, "what": found.what},
    )
