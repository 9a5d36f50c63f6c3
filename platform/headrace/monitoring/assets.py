"""Drift, quality and the product's report as assets, with the checks that the control loop listens to."""

from collections.abc import Mapping
from typing import Any

import dagster as dg
import pyarrow as pa

from headrace.core.assets import mended, records, spec, step_name
from headrace.core.charts import bars, markdown
from headrace.core.fingerprint import code_version
from headrace.features.declaration import Label
from headrace.models.predict import SCORE
from headrace.monitoring.declaration import Monitors, Quality
from headrace.monitoring.drift import PSI, Moved, drift_by_day, worst
from headrace.monitoring.facts import product_facts
from headrace.monitoring.report import write_report
from headrace.monitoring.watch import live_drift, live_quality, quality_words, realized_by_day, realized_rows
from headrace.sources.declaration import Source
from headrace.store.site import Site

FEATURES, PREDICTIONS, AUC = "features", "predictions", "auc"
DRIFT_SCHEMA = pa.schema(
    [
        ("day", pa.date32()),
        ("column", pa.string()),
        ("measure", pa.string()),
        ("value", pa.float64()),
        ("limit", pa.float64()),
        ("rows", pa.int64()),
        ("model", pa.string()),
    ]
)
QUALITY_SCHEMA = pa.schema(
    [("day", pa.date32()), ("metric", pa.string()), ("value", pa.float64()), ("rows", pa.int64())]
)


def monitoring_assets(
    site: Site, sources: Mapping[str, Source], label: Label, monitors: Monitors
) -> list[dg.AssetsDefinition]:
    """Return monitoring/drift, monitoring/quality where it is declared, and reports/product."""
    quality = [_quality(site, label, monitors.quality)] if monitors.quality else []
    return [_drift(site, monitors), *quality, _report(site, sources, label, monitors)]


def _drift(site: Site, monitors: Monitors) -> dg.AssetsDefinition:
    product, table = site.product, site.product.table("monitoring", "drift")
    key = product.key("monitoring", "drift")

    @dg.multi_asset(
        name=step_name(product, "monitoring", "drift"),
        specs=[
            spec(
                product,
                "monitoring",
                "drift",
                deps=[product.key("predictions", "batch"), product.key("model", "champion")],
                kinds={"python", "deltalake"},
                description="How far features and scores of the last days have moved from the live model's training set.",
                code_version=code_version(monitors.drift, drift_by_day),
            )
        ],
        check_specs=[
            dg.AssetCheckSpec(FEATURES, asset=key, description="No feature has moved further than its limit."),
            dg.AssetCheckSpec(
                PREDICTIONS, asset=key, description="The scores have not moved further than their limit."
            ),
        ],
    )
    @mended
    def drift(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        live = site.releases.live(product.product)
        moved = live_drift(site, live, monitors.drift) if live else []
        rows = _with_history(site, table, moved, live.model if live else "")
        commit = site.tables.replace(table, rows, why=f"run {context.run.run_id}")
        now = [m for m in moved if m.day == moved[-1].day]
        watched = [m for m in now if m.column != SCORE and m.column not in monitors.drift.ignore]
        psi = {m.column: m.value for m in sorted(now, key=lambda m: -m.value) if m.measure == PSI}
        return dg.MaterializeResult(
            data_version=dg.DataVersion(commit.digest),
            metadata={
                "table": table,
                "version": commit.version,
                "psi": dg.MetadataValue.md(markdown(bars("PSI against the training set", psi, monitors.drift.psi))),
                "columns": records(
                    [{"column": m.column, "measure": m.measure, "value": m.value, "limit": m.limit} for m in now]
                ),
            },
            check_results=[
                _drift_check(FEATURES, watched),
                _drift_check(PREDICTIONS, [m for m in now if m.column == SCORE]),
            ],
        )

    return drift


def _with_history(site: Site, table: str, moved: list[Moved], model: str) -> pa.Table:
    """Return the new rows, behind those that earlier models left for earlier days."""
    facts = [
        {
            "day": m.day,
            "column": m.column,
            "measure": m.measure,
            "value": m.value,
            "limit": m.limit,
            "rows": m.rows,
            "model": model,
        }
        for m in moved
    ]
    before = site.tables.read(table).to_pylist() if site.tables.exists(table) else []
    first = moved[0].day if moved else None
    kept = [row for row in before if row["model"] != model and (first is None or row["day"] < first)]
    return pa.Table.from_pylist([*kept, *facts], schema=DRIFT_SCHEMA)


def _drift_check(name: str, moved: list[Moved]) -> dg.AssetCheckResult:
    most = worst(moved)
    if most is None:
        return dg.AssetCheckResult(
            check_name=name,
            passed=True,
            severity=dg.AssetCheckSeverity.WARN,
            description="Too few days are scored yet to compare a whole window with the training set.",
        )
    others = sum(m.alarms for m in moved) - most.alarms
    what = str(most) + (f", and {others} more beyond their limits" if others else "")
    return dg.AssetCheckResult(
        check_name=name,
        passed=not most.alarms,
        severity=dg.AssetCheckSeverity.WARN,
        description=what,
        metadata={"value": most.value, "limit": most.limit, "column": most.column, "what": what},
    )


def _quality(site: Site, label: Label, policy: Quality) -> dg.AssetsDefinition:
    product, table = site.product, site.product.table("monitoring", "quality")

    @dg.multi_asset(
        name=step_name(product, "monitoring", "quality"),
        specs=[
            spec(
                product,
                "monitoring",
                "quality",
                deps=[product.key("predictions", "batch"), product.key("model", "champion")],
                kinds={"python", "deltalake"},
                description="How the scores came true, as far as labels are known.",
                code_version=code_version(policy, realized_by_day, live_quality),
            )
        ],
        check_specs=[
            dg.AssetCheckSpec(
                AUC,
                asset=product.key("monitoring", "quality"),
                description="The live model's scores came true well enough.",
            )
        ],
    )
    @mended
    def quality(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        rows = realized_rows(site, label)
        days = realized_by_day(rows, label, policy)
        facts = [
            {
                "day": r.day,
                "metric": policy.metric,
                "value": r.measured.metrics.get(policy.metric),
                "rows": r.measured.rows,
            }
            for r in days
        ]
        commit = site.tables.replace(
            table, pa.Table.from_pylist(facts, schema=QUALITY_SCHEMA), why=f"run {context.run.run_id}"
        )
        live = site.releases.live(product.product)
        return dg.MaterializeResult(
            data_version=dg.DataVersion(commit.digest),
            metadata={"table": table, "version": commit.version, "labelled scores": rows.num_rows},
            check_results=[_quality_check(policy, live_quality(rows, label, live, policy) if live else None)],
        )

    return quality


def _quality_check(policy: Quality, measured: Any) -> dg.AssetCheckResult:
    what = quality_words(measured, policy) if measured else "no model is live yet"
    value = measured.metrics.get(policy.metric) if measured else None
    known = {"value": value} if value is not None else {}
    return dg.AssetCheckResult(
        check_name=AUC,
        passed=value is None or value >= policy.floor,
        severity=dg.AssetCheckSeverity.ERROR,
        description=what,
        metadata={**known, "limit": policy.floor, "what": what},
    )


def _report(site: Site, sources: Mapping[str, Source], label: Label, monitors: Monitors) -> dg.AssetsDefinition:
    product = site.product
    watched = [
        product.key("monitoring", "drift"),
        *([product.key("monitoring", "quality")] if monitors.quality else []),
    ]

    @dg.multi_asset(
        name=step_name(product, "reports", "product"),
        specs=[
            spec(
                product,
                "reports",
                "product",
                deps=[product.key("model", "champion"), *watched],
                kinds={"html"},
                description="One page: what is live and why, how well it does, what has moved, what arrived.",
                code_version=code_version(write_report, product_facts),
            )
        ],
    )
    @mended
    def report() -> dg.MaterializeResult:
        path = write_report(
            product_facts(site, sources, label, monitors), site.place.reports / f"{product.product}.html"
        )
        return dg.MaterializeResult(
            metadata={"report": dg.MetadataValue.url(path.as_uri()), "path": dg.MetadataValue.path(str(path))}
        )

    return report
