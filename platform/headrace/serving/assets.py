"""Scores as assets: those of whole days, and those that were served one by one."""

from datetime import UTC, datetime
from typing import Any

import dagster as dg

from headrace.core.assets import asset, daily, days_of, records, spec, table_metadata, verdict
from headrace.core.charts import histogram, markdown, png
from headrace.core.fingerprint import cluster_parts, code_parts, code_version, version_of
from headrace.features.assets import shared_dep
from headrace.features.declaration import Label
from headrace.features.shared import SharedFeature, own_features
from headrace.features.spark import join_features
from headrace.features.training import Features, label_statement
from headrace.models.predict import SCORE
from headrace.serving.compact import compact_days
from headrace.serving.declaration import Serve
from headrace.serving.gather import gather_predictions, predictions_table
from headrace.serving.lately import LATELY, Lately, served_lately
from headrace.serving.score import score_days
from headrace.store.cause import Cause
from headrace.store.site import Site

NOT_LOST = "nothing_lost"
"""The check on predictions/online."""


def serving_assets(site: Site, features: Features, label: Label) -> list[dg.AssetsDefinition]:
    """Return predictions/batch."""
    product, table = site.product, site.product.table("predictions", "batch")
    tables = [product.key("features", name) for name, f in own_features(features).items() if not f.on_request]
    elsewhere = [shared_dep(site, name, f) for name, f in features.items() if isinstance(f, SharedFeature)]
    sources = [product.key("validated", name) for name in label_statement(site, label).tables]

    @asset(
        spec(
            product,
            "predictions",
            "batch",
            deps=[product.key("model", "champion"), *tables, *elsewhere, *sources],
            kinds={"python", "deltalake"},
            code_version=version_of(code_parts(score_days) | cluster_parts(product.engine, join_features)),
        ),
        days=daily(product),
    )
    def batch(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        """The score of every row of a day, by the model that was live, with the features it saw."""
        days = days_of(context)
        with site.tables.claim(table, days) as fence:
            scored = score_days(site, features, label, days)
            rows = site.tables.widen(table, scored.rows)
            cause = Cause(f"run {context.run.run_id}", scored.versions)
            commit = site.tables.replace(table, rows, days=days, fence=fence, why=cause)
        scores = scored.rows[SCORE].to_numpy()
        return dg.MaterializeResult(
            data_version=dg.DataVersion(commit.digest),
            metadata={
                **table_metadata(scored.rows.num_rows, scored.rows.schema, commit.version, table),
                "new rows": scored.new,
                "release": scored.live.number,
                "model": scored.live.model,
                "scored by": scored.shares[-1].how,
                "by release": records(
                    [
                        {"release": s.release.number, "model": s.release.model, "new rows": s.rows, "scored by": s.how}
                        for s in scored.shares
                    ]
                ),
                "read": records([{"table": name, "version": version} for name, version in scored.versions.items()]),
                "mean score": float(scores.mean()) if len(scores) else 0.0,
                "scores": dg.MetadataValue.md(markdown(png(histogram(f"Scores of {days}", scores, "score")))),
            },
        )

    return [batch]


def served_assets(site: Site, serve: Serve) -> list[dg.AssetsDefinition]:
    """Return predictions/online, where what is served is kept."""
    return [_served(site)] if serve.keeps_predictions else []


def _served(site: Site) -> dg.AssetsDefinition:
    product = site.product

    @asset(
        spec(
            product,
            "predictions",
            "online",
            deps=[product.key("model", "champion"), product.key("online", "features")],
            kinds={"deltalake"},
            code_version=code_version(gather_predictions, compact_days, served_lately),
        ),
        checks={NOT_LOST: f"Every prediction that was answered in the last {LATELY.days} days was kept."},
    )
    def served() -> dg.MaterializeResult:
        """Every prediction that was served one by one: taken in from the servers, the days that are over in few files."""
        now = datetime.now(UTC)
        gathered, compacted = gather_predictions(site), compact_days(site, now.date())
        lately, kept = served_lately(site, now), _kept(site)
        return dg.MaterializeResult(
            data_version=dg.DataVersion(f"{kept['dagster/row_count']} rows to {lately.newest}"),
            metadata={
                **kept,
                "new rows": gathered.rows,
                "compacted days": ", ".join(map(str, compacted)) or "none",
                **_figures(lately),
            },
            check_results=[verdict(NOT_LOST, not lately.lost, lately.said, severe=True, value=lately.lost, limit=0)],
        )

    return served


def _kept(site: Site) -> dict[str, Any]:
    """Return what the UI shows of the table, which is not there before anything was served."""
    table = predictions_table(site)
    version = site.tables.version(table)
    if version is None:
        return {"dagster/row_count": 0, "table": table}
    return table_metadata(site.tables.count(table), site.tables.schema(table), version, table)


def _figures(lately: Lately) -> dict[str, Any]:
    """Return the figures of the last days; of times and shares only those that there are."""
    days = f"of {LATELY.days} days"
    measured = {
        f"p50 {days}, ms": lately.p50_ms,
        f"p99 {days}, ms": lately.p99_ms,
        f"degraded share {days}": lately.degraded,
    }
    return {
        f"rows {days}": lately.rows,
        f"failed {days}": lately.failed,
        f"lost {days}": lately.lost,
        f"by release {days}": records([dict(release) for release in lately.releases]),
        **{name: value for name, value in measured.items() if value is not None},
    }
