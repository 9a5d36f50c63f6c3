"""Drift, quality and the product's report as assets, with the checks that the control loop listens to."""

from collections.abc import Sequence

import dagster as dg

from headrace.core.assets import asset, records, spec, verdict
from headrace.core.charts import bars, markdown, png
from headrace.core.fingerprint import cluster_parts, code_parts, code_version, version_of
from headrace.features.declaration import Label
from headrace.features.graph import Graph
from headrace.models.declaration import Model
from headrace.models.predict import SCORE
from headrace.monitoring import spark
from headrace.monitoring.calibrate import DECLARED
from headrace.monitoring.cause import Causes
from headrace.monitoring.columns import column_shares
from headrace.monitoring.declaration import Drift, Monitors
from headrace.monitoring.diagnose import diagnosed
from headrace.monitoring.drift import PSI, Moved, window_start, worst
from headrace.monitoring.drift_words import because, causes_markdown
from headrace.monitoring.estimated.assets import estimated_assets
from headrace.monitoring.facts import product_facts
from headrace.monitoring.inputs.assets import input_assets
from headrace.monitoring.kept import remember_causes
from headrace.monitoring.labelled.assets import quality_asset
from headrace.monitoring.overview import tell_overview
from headrace.monitoring.profiled.assets import profile_assets
from headrace.monitoring.registry import Users, registry_of
from headrace.monitoring.registry_page import write_registry
from headrace.monitoring.report import write_report
from headrace.monitoring.shifts.assets import shift_assets
from headrace.monitoring.standing import standing_of
from headrace.monitoring.watch import calibrated_limits, live_drift, tell_servers, with_history
from headrace.rollout.evidence import SERVED
from headrace.store.releases import Release
from headrace.store.site import Site

FEATURES, PREDICTIONS = "features", "predictions"
"""The checks on monitoring/drift; that on monitoring/quality is named for its metric."""
BARS = 12
NOT_LIVE = "no model is live yet"


def monitoring_assets(
    site: Site, graph: Graph, model: Model, monitors: Monitors, users: Users
) -> list[dg.AssetsDefinition]:
    """Return the assets below monitoring/, and reports/product; `users` are other products with this one's features."""
    label = graph.label
    assert label, "a product with a model has a label"
    return [
        *profile_assets(site, monitors.drift),
        _drift(site, graph, monitors.drift),
        quality_asset(site, label, model, monitors.quality),
        *estimated_assets(site, label, model, monitors.quality),
        *input_assets(site, label, model, monitors.inputs),
        *shift_assets(site, label, monitors.drift),
        _report(site, graph, label, monitors, users),
    ]


def with_served(site: Site, assets: Sequence[dg.AssetsDefinition]) -> list[dg.AssetsDefinition]:
    """Return the assets of monitoring of a product that keeps what it serves one by one: drift and quality come behind that."""
    served = site.product.key("predictions", SERVED)

    def behind(spec: dg.AssetSpec) -> dg.AssetSpec:
        return spec.merge_attributes(deps=[served]) if spec.group_name == "monitoring" else spec

    return [asset.map_asset_specs(behind) for asset in assets]


def _drift(site: Site, graph: Graph, policy: Drift) -> dg.AssetsDefinition:
    product, table = site.product, site.product.table("monitoring", "drift")

    @asset(
        spec(
            product,
            "monitoring",
            "drift",
            deps=[product.key("monitoring", "profiles"), product.key("model", "champion")],
            kinds={"python", "deltalake"},
            code_version=version_of(
                code_parts(policy, live_drift, with_history, diagnosed)
                | cluster_parts(product.engine, spark.day_profiles)
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
        words = calibrated_limits(site, live, policy).words if live else NOT_LIVE
        rows = with_history(site, moved, live.model if live else "")
        commit = site.tables.replace(table, rows, why=f"run {context.run.run_id}")
        now = sorted((m for m in moved if m.day == moved[-1].day), key=lambda m: -m.value / m.limit)
        tell_servers(site, live.model if live else "", now)
        causes = diagnosed(site, graph, live, now, policy) if live and now else None
        if causes:
            remember_causes(site, causes)
        watched = [m for m in now if m.column not in (SCORE, *policy.ignore)]
        scores = [m for m in now if m.column == SCORE]
        return dg.MaterializeResult(
            data_version=dg.DataVersion(commit.digest),
            metadata={
                "table": table,
                "version": commit.version,
                "dagster/row_count": rows.num_rows,
                "psi": dg.MetadataValue.md(_picture(now, policy)),
                "columns": _listed(now),
                "threshold": words,
                **(
                    {"causes": dg.MetadataValue.md(causes_markdown(causes)), "causes_json": _as_json(causes)}
                    if causes
                    else {}
                ),
            },
            check_results=[
                _explained(_drift_check(FEATURES, live, watched, policy, words), causes),
                _explained(_drift_check(PREDICTIONS, live, scores, policy, DECLARED), causes),
            ],
        )

    return drift


def _picture(now: Sequence[Moved], policy: Drift) -> str:
    psi = sorted((m for m in now if m.measure == PSI), key=lambda m: -m.value)
    shown = bars("PSI against the training set", {m.column: m.value for m in psi}, policy.psi, most=BARS)
    return markdown(png(shown))


def _listed(now: Sequence[Moved]) -> dg.TableMetadataValue:
    return records(
        [{"column": m.column, "measure": m.measure, "value": round(m.value, 4), "limit": m.limit} for m in now]
    )


def _drift_check(
    name: str, live: Release | None, now: Sequence[Moved], policy: Drift, threshold: str
) -> dg.AssetCheckResult:
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
        threshold=threshold,
    )


def _explained(check: dg.AssetCheckResult, causes: Causes | None) -> dg.AssetCheckResult:
    """Return a check that fails with the causes in its words, for people and for the reason of a training."""
    if check.passed or not causes or not causes.causes:
        return check
    what = f"{check.description}. Because {because(causes)}"
    told = {"what": dg.MetadataValue.text(what), "causes": dg.MetadataValue.md(causes_markdown(causes))}
    return check._replace(description=what, metadata={**check.metadata, **told})


def _as_json(causes: Causes) -> dg.JsonMetadataValue:
    return dg.MetadataValue.json(causes.model_dump(mode="json"))


def _report(site: Site, graph: Graph, label: Label, monitors: Monitors, users: Users) -> dg.AssetsDefinition:
    product = site.product
    shown = ["drift", "quality", "measures", "inputs", "numbers"]
    shown += ["estimated"] if monitors.quality.estimated_metric else []
    shown += ["shifts"] if monitors.drift.shift_checks else []
    upstream = [("model", "champion"), *(("monitoring", name) for name in shown)]

    @asset(
        spec(
            product,
            "reports",
            "product",
            deps=[product.key(*key) for key in upstream],
            kinds={"html"},
            code_version=code_version(
                monitors,
                write_report,
                product_facts,
                write_registry,
                registry_of,
                tell_overview,
                standing_of,
                column_shares,
            ),
        ),
    )
    def report() -> dg.MaterializeResult:
        """One page: what is live and why, how well it does, what has moved, what arrived; and beside it one of the features."""
        facts = product_facts(site, graph.sources, label, monitors)
        features = write_registry(site, graph, registry_of(site, graph, users))
        columns = column_shares(site, facts.live.release, monitors.drift) if facts.live else []
        path = write_report(facts, site.place.reports / f"{product.product}.html", columns)
        card = bool(facts.live and site.place.card(product.product, facts.live.release.number, "html").exists())
        overview = tell_overview(standing_of(facts, card=card), site.place.reports)
        return dg.MaterializeResult(
            metadata={
                "report": dg.MetadataValue.url(path.as_uri()),
                "path": dg.MetadataValue.path(str(path)),
                "features": dg.MetadataValue.url(features.as_uri()),
                "all products": dg.MetadataValue.url(overview.as_uri()),
            }
        )

    return report
