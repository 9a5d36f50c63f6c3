"""Drift, quality and the product's report as assets, with the checks that the control loop listens to."""

from collections.abc import Mapping, Sequence

import dagster as dg
import pyarrow as pa

from headrace.core.assets import mended, records, spec, step_name
from headrace.core.charts import bars, markdown
from headrace.core.fingerprint import code_version
from headrace.features.declaration import Label
from headrace.models.predict import SCORE
from headrace.monitoring.charts import quality_over_time
from headrace.monitoring.declaration import Drift, Monitors, Quality
from headrace.monitoring.drift import PSI, Moved, worst
from headrace.monitoring.facts import product_facts
from headrace.monitoring.quality import Realized, live_quality, quality_words, realized_by_day, realized_rows
from headrace.monitoring.report import write_report
from headrace.monitoring.watch import live_drift
from headrace.sources.declaration import Source
from headrace.store.releases import Release
from headrace.store.site import Site

FEATURES, PREDICTIONS, AUC = "features", "predictions", "auc"
"""The checks on monitoring/drift (two) and monitoring/quality."""
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
    [
        ("day", pa.date32()),
        ("metric", pa.string()),
        ("value", pa.float64()),
        ("rows", pa.int64()),
        ("model", pa.string()),
        ("note", pa.string()),
    ]
)
BARS = 12
NOT_LIVE = "no model is live yet"


def monitoring_assets(
    site: Site, sources: Mapping[str, Source], label: Label, monitors: Monitors
) -> list[dg.AssetsDefinition]:
    """Return monitoring/drift, monitoring/quality and reports/product."""
    return [
        _drift(site, monitors.drift),
        _quality(site, label, monitors.quality),
        _report(site, sources, label, monitors),
    ]


def _drift(site: Site, policy: Drift) -> dg.AssetsDefinition:
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
                code_version=code_version(policy, live_drift, _with_history),
            )
        ],
        check_specs=[
            dg.AssetCheckSpec(FEATURES, asset=key, description="No feature has moved further than its limit."),
            dg.AssetCheckSpec(
                PREDICTIONS, asset=key, description="The scores have not moved further than their limit."
            ),
        ],
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    @mended
    def drift(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        live = site.releases.live(product.product)
        moved = live_drift(site, live, policy) if live else []
        rows = _with_history(site, table, moved, live.model if live else "")
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


def _with_history(site: Site, table: str, moved: Sequence[Moved], model: str) -> pa.Table:
    """Return the new rows, behind those of other models and of earlier days: what led to a decision stays."""
    before = site.tables.read(table).to_pylist() if site.tables.exists(table) else []
    kept = [row for row in before if row["model"] != model or (moved and row["day"] < moved[0].day)]
    return pa.Table.from_pylist([*kept, *({**vars(m), "model": model} for m in moved)], schema=DRIFT_SCHEMA)


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
        return dg.AssetCheckResult(
            check_name=name,
            passed=True,
            severity=dg.AssetCheckSeverity.WARN,
            description=f"Nothing to compare yet: {'the live model has not scored a whole window' if live else NOT_LIVE}.",
        )
    others = sum(m.alarms for m in now) - 1
    what = str(most) + (f", and {others} more beyond their limits" if others > 0 else "")
    return dg.AssetCheckResult(
        check_name=name,
        passed=not most.alarms,
        severity=dg.AssetCheckSeverity.WARN,
        description=what,
        metadata={
            "value": most.value,
            "limit": most.limit,
            "column": most.column,
            "what": what,
            "columns": _listed(now),
            "psi": dg.MetadataValue.md(_picture(now, policy)),
        },
    )


def _quality(site: Site, label: Label, policy: Quality) -> dg.AssetsDefinition:
    product, table = site.product, site.product.table("monitoring", "quality")
    key = product.key("monitoring", "quality")
    check = dg.AssetCheckSpec(AUC, asset=key, description="The live model's scores came true well enough.")

    @dg.multi_asset(
        name=step_name(product, "monitoring", "quality"),
        specs=[
            spec(
                product,
                "monitoring",
                "quality",
                deps=[product.key("predictions", "batch"), product.key("model", "champion")],
                kinds={"python", "deltalake"},
                description="How each model's scores came true, as far as labels are known.",
                code_version=code_version(policy, label, realized_by_day),
            )
        ],
        check_specs=[check] if policy.floor is not None else [],
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    @mended
    def quality(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        scored = realized_rows(site, label)
        days = realized_by_day(scored, label, policy)
        facts = pa.Table.from_pylist([{**vars(d), "metric": policy.metric} for d in days], schema=QUALITY_SCHEMA)
        commit = site.tables.replace(table, facts, why=f"run {context.run.run_id}")
        live = site.releases.live(product.product)
        found = live_quality(days, live) if live else None
        verdict = quality_words(found, policy) if live else NOT_LIVE
        return dg.MaterializeResult(
            data_version=dg.DataVersion(commit.digest),
            metadata={
                "table": table,
                "version": commit.version,
                "dagster/row_count": facts.num_rows,
                "labelled scores": scored.num_rows,
                "verdict": verdict,
                "over time": dg.MetadataValue.md(markdown(quality_over_time(facts.to_pylist(), policy, []))),
            },
            check_results=[_quality_check(found, policy, verdict)] if policy.floor is not None else [],
        )

    return quality


def _quality_check(found: Realized | None, policy: Quality, what: str) -> dg.AssetCheckResult:
    value = found.value if found else None
    known = {"value": value} if value is not None else {}
    return dg.AssetCheckResult(
        check_name=AUC,
        passed=value is None or policy.floor is None or value >= policy.floor,
        severity=dg.AssetCheckSeverity.ERROR,
        description=what,
        metadata={**known, "limit": policy.floor, "what": what},
    )


def _report(site: Site, sources: Mapping[str, Source], label: Label, monitors: Monitors) -> dg.AssetsDefinition:
    product = site.product
    upstream = [("model", "champion"), ("monitoring", "drift"), ("monitoring", "quality")]

    @dg.multi_asset(
        name=step_name(product, "reports", "product"),
        specs=[
            spec(
                product,
                "reports",
                "product",
                deps=[product.key(*key) for key in upstream],
                kinds={"html"},
                description="One page: what is live and why, how well it does, what has moved, what arrived.",
                code_version=code_version(monitors, write_report, product_facts),
            )
        ],
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    @mended
    def report() -> dg.MaterializeResult:
        facts = product_facts(site, sources, label, monitors)
        path = write_report(facts, site.place.reports / f"{product.product}.html")
        return dg.MaterializeResult(
            metadata={"report": dg.MetadataValue.url(path.as_uri()), "path": dg.MetadataValue.path(str(path))}
        )

    return report
