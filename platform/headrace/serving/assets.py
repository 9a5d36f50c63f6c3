"""Batch scores as an asset."""

import dagster as dg

from headrace.core.assets import asset, daily, days_of, spec, table_metadata
from headrace.core.charts import histogram, markdown
from headrace.core.fingerprint import cluster_parts, code_parts, version_of
from headrace.features.assets import shared_dep
from headrace.features.declaration import Label
from headrace.features.shared import SharedFeature, own_features
from headrace.features.spark import join_features
from headrace.features.training import Features, label_statement
from headrace.models.predict import SCORE
from headrace.serving.score import score_days
from headrace.store.site import Site


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
            commit = site.tables.replace(table, rows, days=days, fence=fence, why=f"run {context.run.run_id}")
        scores = scored.rows[SCORE].to_pylist()
        return dg.MaterializeResult(
            data_version=dg.DataVersion(commit.digest),
            metadata={
                **table_metadata(scored.rows.num_rows, scored.rows.schema, commit.version, table),
                "new rows": scored.new,
                "release": scored.live.number,
                "model": scored.live.model,
                "mean score": sum(scores) / len(scores) if scores else 0.0,
                "scores": dg.MetadataValue.md(markdown(histogram(f"Scores of {days}", scores, "score"))),
            },
        )

    return [batch]
