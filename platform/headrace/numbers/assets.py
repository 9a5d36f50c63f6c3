"""The numbers of a product as an asset."""

from datetime import UTC, datetime
from typing import Any

import dagster as dg
from dagster import AssetRecordsFilter

from headrace.core.assets import asset, records, spec
from headrace.core.fingerprint import code_version
from headrace.core.resources import COST
from headrace.numbers.keep import numbers_table, with_numbers, write_textfile
from headrace.numbers.measure import Declared, Work, product_numbers
from headrace.store.site import Site

MOST_EVENTS = 10_000


def numbers_assets(site: Site, declared: Declared) -> list[dg.AssetsDefinition]:
    """Return monitoring/numbers."""
    product, table = site.product, numbers_table(site)
    behind = [("predictions", "batch"), ("monitoring", "drift"), ("monitoring", "quality"), ("model", "champion")]
    behind += [("monitoring", "estimated")] if declared.is_estimated else []

    @asset(
        spec(
            product,
            "monitoring",
            "numbers",
            deps=[product.key(*key) for key in behind],
            kinds={"python", "deltalake"},
            code_version=code_version(product_numbers, declared.policy),
        )
    )
    def numbers(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        """What the product costs, how fast it answers, how well it does, and how well it is run: a row a day and number."""
        now = site.clock.now()
        work = _work(context.instance, product.product, datetime.now(UTC) - declared.policy.window)
        found = product_numbers(site, declared, work, now)
        commit = site.tables.replace(table, with_numbers(site, found, now), why=f"run {context.run.run_id}")
        path = write_textfile(site, found, now)
        return dg.MaterializeResult(
            data_version=dg.DataVersion(commit.digest),
            metadata={
                "table": table,
                "version": commit.version,
                "numbers": records([vars(number) for number in found]),
                "for Prometheus": dg.MetadataValue.path(str(path)),
            },
        )

    return [numbers]


def _work(instance: dg.DagsterInstance, product: str, since: datetime) -> dict[str, Work]:
    """Return what the steps of a product's assets have spent since a moment on the wall, as their materializations say."""
    keys = [
        key for key in instance.get_asset_keys(prefix=[product]) if len(key.path) == len(("product", "layer", "name"))
    ]
    found = {"/".join(key.path[1:]): _spent(instance, key, since) for key in keys}
    return {asset: work for asset, work in found.items() if work.times}


def _spent(instance: dg.DagsterInstance, key: dg.AssetKey, since: datetime) -> Work:
    within = AssetRecordsFilter(key, after_timestamp=since.timestamp())
    made = [r.asset_materialization for r in instance.fetch_materializations(within, limit=MOST_EVENTS).records]
    said = [m.metadata for m in made if m and f"{COST}cpu_seconds" in m.metadata]
    return Work(
        times=len(said),
        cpu_seconds=sum(_value(metadata, f"{COST}cpu_seconds") for metadata in said),
        bytes=int(sum(_value(metadata, f"{COST}bytes") for metadata in said)),
        new_rows=int(sum(_value(metadata, "new rows") for metadata in said)),
    )


def _value(metadata: Any, name: str) -> float:
    found = metadata.get(name)
    is_number = isinstance(found, dg.IntMetadataValue | dg.FloatMetadataValue)
    return float(found.value or 0.0) if is_number else 0.0
