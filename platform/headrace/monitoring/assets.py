"""Drift, quality and the product's report as assets, with the checks that the control loop listens to."""

from collections.abc import Sequence

import dagster as dg

from headrace.core.assets import asset, records, spec, verdict
from headrace.core.charts import bars, markdown
from headrace.core.fingerprint import cluster_parts, code_parts, code_version, version_of
from headrace.features.declaration import Label
from headrace.features.graph import Graph
from headrace.models.predict import SCORE
from headrace.monitoring import spark
from headrace.monitoring.charts import quality_over_time
from headrace.monitoring.declaration import Drift, Monitors, Quality
from headrace.monitoring.drift import PSI, Moved, window_start, worst
from headrace.monitoring.facts import product_facts
from headrace.monitoring.quality import (
    Realized,
    live_quality,
    quality_table,
    quality_words,
    realized_by_day,
    realized_rows,
)
from headrace.monitoring.registry import Users, registry_of
from headrace.monitoring.registry_page import write_registry
from headrace.monitoring.report import write_report
from headrace.monitoring.watch import live_drift, with_history
from headrace.store.releases import Release
from headrace.store.site import Site

FEATURES, PREDICTIONS, AUC = "features", "predictions", "auc"
"""The checks on monitoring/drift (two) and monitoring/quality."""
BARS = 12
NOT_LIVE = "no model is live yet"


def monitoring_assets(
    site: Site, graph: Graph, label: Label, monitors: Monitors, users: Users
) -> list[dg.AssetsDefinition]:
    """Return monitoring/drift, monitoring/quality and reports/product; `users` are other products with this one's features."""
    return [
        _drift(site, monitors.drift),
        _quality(site, label, monitors.quality),
        _report(site, graph, label, monitors, users),
    ]


def _drift(site: Site, policy: Drift) -> dg.AssetsDefinition:
    product, table = site.product, site.product.table("monitoring", "drift")

    @asset(
        spec(
            product,
            "monitoring",
            "drift",
            deps=[product.key("predictions", "batch"), product.key("model", "champion")],
            kinds={"python", "deltalake"},
            code_version=version_of(
                code_parts(policy, live_drift, with_history) | cluster_parts(product.engine, spark.day_profiles)
            ),
        ),
        checks={
            FEATURES: "No feature has moved further than its limit.",
            PREDICTIONS: "The scores have not moved further than their limit.",
        },
    )
    def drift(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        """How far features and scores of the last days have moved from the live model's training set."""
        live = site.releases.live(product.product)
        moved = live_drift(site, live, policy) if live else []
        rows = with_history(site, moved, live.model if live else "")
        commit = site.tables.replace(table, rows, why=f"run {context.run.run_id}")
        now = sorted((m for m in moved if m.day == moved[-1].day), key=lambda m: -m.value / m.limit)
        features = [m for m in now if m.column != SCORE]
        return dg.MaterializeResult(
            data_version=dg.DataVersion(commit.digest),
            metadata={
                "table": table,
                "version": commit.version,
                "dagster/row_count": rows.num_rows,
                "psi": dg.MetadataValue.md(_picture(now, policy)),
                "columns": _listed(now),
            },
            check_results=[
                _drift_check(FEATURES, live, [m for m in features if m.column not in policy.ignore], policy),
                _drift_check(PREDICTIONS, live, [m for m in now if m.column == SCORE], policy),
            ],
        )

    return drift


def _picture(now: Sequence[Moved], policy: Drift) -> str:
    psi = sorted((m for m in now if m.measure == PSI), key=lambda m: -m.value)
    return markdown(bars("PSI against the training set", {m.column: m.value for m in psi}, policy.psi, most=BARS))


def _listed(now: Sequence[Moved]) -> dg.TableMetadataValue:
    return records(
        [{"column": m.column, "measure": m.measure, "value": round(m.value, 4), "limit": m.limit} for m in now]
    )


def _drift_check(name: str, live: Release | None, now: Sequence[Moved], policy: Drift) -> dg.AssetCheckResult:
    most = worst(now)
    if most is None:
        why = "the live model has not scored a whole window" if live else NOT_LIVE
        return verdict(name, True, f"Nothing to compare yet: {why}.")
    others = sum(m.alarms for m in now) - 1
    what = str(most) + (f", and {others} more beyond their limits" if others > 0 else "")
    return verdict(
        name,
        not most.alarms,
        what,
        value=most.value,
        limit=most.limit,
        column=most.column,
        days=f"{window_start(most.day, policy.window)} to {most.day}",
        columns=_listed(now),
        psi=dg.MetadataValue.md(_picture(now, policy)),
    )


def _quality(site: Site, label: Label, policy: Quality) -> dg.AssetsDefinition:
    product, table = site.product, site.product.table("monitoring", "quality")

    @asset(
        spec(
            product,
            "monitoring",
            "quality",
            deps=[product.key("predictions", "batch"), product.key("model", "champion")],
            kinds={"python", "deltalake"},
            code_version=code_version(policy, label, realized_by_day),
        ),
        checks={AUC: "The live model's scores came true well enough."} if policy.floor is not None else None,
    )
    def quality(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        """How each model's scores came true, as far as labels are known."""
        scored = realized_rows(site, label)
        days = realized_by_day(scored, label, policy)
        facts = quality_table(days, policy)
        commit = site.tables.replace(table, facts, why=f"run {context.run.run_id}")
        live = site.releases.live(product.product)
        found = live_quality(days, live) if live else None
        words = quality_words(found, policy) if live else NOT_LIVE
        return dg.MaterializeResult(
            data_version=dg.DataVersion(commit.digest),
            metadata={
                "table": table,
                "version": commit.version,
                "dagster/row_count": facts.num_rows,
                "labelled scores": scored.num_rows,
                "verdict": words,
                "over time": dg.MetadataValue.md(markdown(quality_over_time(facts.to_pylist(), policy, []))),
            },
            check_results=[_quality_check(found, policy, words)] if policy.floor is not None else [],
        )

    return quality


def _quality_check(found: Realized | None, policy: Quality, what: str) -> dg.AssetCheckResult:
    value = found.value if found else None
    passed = value is None or policy.floor is None or value >= policy.floor
    return verdict(AUC, passed, what, severe=True, value=value, limit=policy.floor)


def _report(site: Site, graph: Graph, label: Label, monitors: Monitors, users: Users) -> dg.AssetsDefinition:
    product = site.product
    upstream = [("model", "champion"), ("monitoring", "drift"), ("monitoring", "quality")]

    @asset(
        spec(
            product,
            "reports",
            "product",
            deps=[product.key(*key) for key in upstream],
            kinds={"html"},
            code_version=code_version(monitors, write_report, product_facts, write_registry, registry_of),
        ),
    )
    def report() -> dg.MaterializeResult:
        """One page: what is live and why, how well it does, what has moved, what arrived; and beside it one of the features."""
        facts = product_facts(site, graph.sources, label, monitors)
        features = write_registry(site, graph, registry_of(site, graph, users))
        path = write_report(facts, site.place.reports / f"{product.product}.html")
        return dg.MaterializeResult(
            metadata={
                "report": dg.MetadataValue.url(path.as_uri()),
                "path": dg.MetadataValue.path(str(path)),
                "features": dg.MetadataValue.url(features.as_uri()),
            }
        )

    return report
