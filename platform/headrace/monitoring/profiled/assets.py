"""Profiles of scored days, and all measures of drift between them and the training set, as assets."""

import dagster as dg

from headrace.core.assets import asset, records, spec
from headrace.core.fingerprint import cluster_parts, code_parts, code_version, version_of
from headrace.monitoring import spark
from headrace.monitoring.declaration import Drift
from headrace.monitoring.profiled.measured import MEASURED, measured_rows
from headrace.monitoring.profiled.table import PROFILES, kept_profiles, training_profiles, write_profiles
from headrace.monitoring.watch import reference_of, stale_profiles, watched_days
from headrace.store.cause import Cause
from headrace.store.site import Site

MOST_SHOWN = 60


def profile_assets(site: Site, policy: Drift) -> list[dg.AssetsDefinition]:
    """Return monitoring/profiles and monitoring/measures."""
    return [_profiles(site, policy), _measures(site, policy)]


def _profiles(site: Site, policy: Drift) -> dg.AssetsDefinition:
    product, table = site.product, site.product.table("monitoring", "profiles")
    parts = code_parts(policy, stale_profiles, training_profiles, write_profiles) | cluster_parts(
        product.engine, spark.day_profiles
    )

    @asset(
        spec(
            product,
            "monitoring",
            "profiles",
            deps=[product.key("predictions", "batch"), product.key("model", "champion")],
            kinds={"python", "deltalake"},
            code_version=version_of(parts),
        )
    )
    def profiles(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        """What each day's scored rows look like, over the bins of the live model's training set; days add up to any window."""
        why = f"run {context.run.run_id}"
        live = site.releases.live(product.product)
        days = watched_days(site, live, policy) if live else None
        made = stale_profiles(site, live, days) if live and days else None
        if live and made:
            against = reference_of(site, live)
            history = [] if kept_profiles(site, against, "training") else [training_profiles(site, against)]
            write_profiles(site, against, [made, *history], why)
        if not site.tables.exists(table):
            site.tables.replace(table, PROFILES.empty_table(), why=Cause(why))
        return dg.MaterializeResult(
            data_version=dg.DataVersion(f"version {site.tables.version(table)}"),
            metadata={
                "table": table,
                "version": site.tables.version(table),
                "dagster/row_count": site.tables.count(table),
                "days made": sum(len(span) for span in made.days) if made else 0,
            },
        )

    return profiles


def _measures(site: Site, policy: Drift) -> dg.AssetsDefinition:
    product, table = site.product, site.product.table("monitoring", "measures")

    @asset(
        spec(
            product,
            "monitoring",
            "measures",
            deps=[product.key("monitoring", "profiles")],
            kinds={"python", "deltalake"},
            code_version=code_version(policy, measured_rows),
        )
    )
    def measures(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        """Every measure of how far each column of the newest window lies from the training set, with p and bound."""
        live = site.releases.live(product.product)
        rows = measured_rows(site, live, policy) if live else MEASURED.empty_table()
        commit = site.tables.replace(table, rows, why=f"run {context.run.run_id}")
        return dg.MaterializeResult(
            data_version=dg.DataVersion(commit.digest),
            metadata={
                "table": table,
                "version": commit.version,
                "dagster/row_count": rows.num_rows,
                "measures": records(rows.drop_columns(["day", "model"]).slice(0, MOST_SHOWN).to_pylist()),
            },
        )

    return measures
