"""Realized quality as an asset: what came true of each model's scores."""

from collections.abc import Sequence

import dagster as dg

from headrace.core.assets import asset, records, spec, verdict
from headrace.core.charts import markdown, png
from headrace.core.fingerprint import code_version
from headrace.features.declaration import Label
from headrace.models.declaration import Model
from headrace.monitoring.charts import quality_over_time
from headrace.monitoring.declaration import Quality
from headrace.monitoring.quality import (
    Realized,
    live_quality,
    newest_of,
    quality_table,
    quality_words,
    realized_by_day,
    watching_of,
)
from headrace.monitoring.realized import realized_rows
from headrace.store.site import Site

NOT_LIVE = "no model is live yet"


def quality_asset(site: Site, label: Label, model: Model, policy: Quality) -> dg.AssetsDefinition:
    """Return monitoring/quality."""
    product, table = site.product, site.product.table("monitoring", "quality")
    version = code_version(policy, label, model.evaluation, realized_by_day, realized_rows)

    @asset(
        spec(
            product,
            "monitoring",
            "quality",
            deps=[product.key("predictions", "batch"), product.key("model", "champion")],
            kinds={"python", "deltalake"},
            code_version=version,
        ),
        checks={policy.metric: "The live model's scores came true well enough."} if policy.has_limit else None,
    )
    def quality(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        """How each model's scores came true, as far as labels are known: every metric, with intervals, also by slice."""
        how = watching_of(site, label, model, policy, version)
        scored = realized_rows(site, label, [*policy.by, *([model.group] if model.group else [])])
        before = site.tables.read(table) if site.tables.exists(table) else None
        days = realized_by_day(scored, how, before)
        facts = quality_table(days)
        commit = site.tables.replace(table, facts, why=f"run {context.run.run_id}")
        live = site.releases.live(product.product)
        found, newest = (live_quality(days, live, policy.metric), newest_of(days, live)) if live else (None, [])
        words = quality_words(found, policy, newest) if live else NOT_LIVE
        shown = [day for day in facts.to_pylist() if day["metric"] == policy.metric and not day["by"]]
        return dg.MaterializeResult(
            data_version=dg.DataVersion(commit.digest),
            metadata={
                "table": table,
                "version": commit.version,
                "dagster/row_count": facts.num_rows,
                "labelled scores": scored.num_rows,
                "verdict": words,
                "metrics": _metrics([day for day in newest if not day.by]),
                "slices": _metrics([day for day in newest if day.by and day.metric == policy.metric]),
                "over time": dg.MetadataValue.md(markdown(png(quality_over_time(shown, policy, [])))),
            },
            check_results=[_quality_check(found, policy, words, newest)] if policy.has_limit else [],
        )

    return quality


def _metrics(newest: Sequence[Realized]) -> dg.TableMetadataValue:
    columns = ("by", "part", "metric", "value", "low", "high", "rows", "note")
    return records([{name: getattr(day, name) for name in columns} for day in newest])


def _quality_check(
    found: Realized | None, policy: Quality, what: str, newest: Sequence[Realized]
) -> dg.AssetCheckResult:
    value = found.value if found else None
    limit = policy.floor if policy.floor is not None else policy.ceiling
    slices = _metrics([day for day in newest if day.by and day.metric == policy.metric])
    return verdict(
        policy.metric,
        value is None or policy.allows(value),
        what,
        severe=True,
        value=value,
        limit=limit,
        low=found.low if found else None,
        high=found.high if found else None,
        slices=slices if policy.by else None,
    )
