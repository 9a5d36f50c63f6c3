"""Estimated quality as an asset: what is expected of the live model before labels come."""

from collections.abc import Sequence

import dagster as dg

from headrace.core.assets import asset, records, spec, verdict
from headrace.core.fingerprint import code_version
from headrace.features.declaration import Label
from headrace.models.declaration import Model
from headrace.monitoring.declaration import Quality
from headrace.monitoring.estimated.estimate import (
    Estimated,
    Estimating,
    estimate_words,
    estimated_table,
    expecting_of,
    live_estimates,
    newest_estimate,
)
from headrace.store.site import Site

CHECK = "estimated"


def estimated_assets(site: Site, label: Label, model: Model, policy: Quality) -> list[dg.AssetsDefinition]:
    """Return monitoring/estimated; none for a task whose quality cannot be estimated."""
    return [_estimated(site, label, model, policy)] if policy.estimated_metric else []


def _estimated(site: Site, label: Label, model: Model, policy: Quality) -> dg.AssetsDefinition:
    product, table = site.product, site.product.table("monitoring", "estimated")
    version = code_version(policy, label, live_estimates, expecting_of)

    @asset(
        spec(
            product,
            "monitoring",
            "estimated",
            deps=[product.key("predictions", "batch"), product.key("model", "champion")],
            kinds={"python", "deltalake"},
            code_version=version,
        ),
        checks={CHECK: "The live model is expected to be good enough on rows whose labels are not known yet."},
    )
    def estimated(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        """How good the live model probably is before labels come, and what came true of that since."""
        live = site.releases.live(product.product)
        found = live_estimates(site, live, Estimating(label, model, policy, version)) if live else []
        facts = estimated_table(site, found, live.model if live else "")
        commit = site.tables.replace(table, facts, why=f"run {context.run.run_id}")
        newest = newest_estimate(found, policy)
        words = estimate_words(newest, policy) if live else "no model is live yet"
        return dg.MaterializeResult(
            data_version=dg.DataVersion(commit.digest),
            metadata={
                "table": table,
                "version": commit.version,
                "dagster/row_count": facts.num_rows,
                "verdict": words,
                "newest": _listed([one for one in found if newest and one.day == newest.day]),
                "against what came true": _listed(
                    [one for one in found if one.realized is not None and one.metric == policy.estimated_metric][-28:]
                ),
            },
            check_results=[_check(newest, policy, words)],
        )

    return estimated


def _listed(found: Sequence[Estimated]) -> dg.TableMetadataValue:
    columns = ("day", "metric", "value", "low", "high", "tested", "realized", "difference", "rows", "labels")
    return records([{name: getattr(one, name) for name in columns} for one in found])


def _check(newest: Estimated | None, policy: Quality, what: str) -> dg.AssetCheckResult:
    limits = policy.estimated
    passed = newest is None or newest.is_good_enough(policy)
    return verdict(
        CHECK,
        passed,
        what,
        limit=limits.floor if limits.floor is not None else limits.ceiling,
        value=newest.value if newest else None,
        low=newest.low if newest else None,
        high=newest.high if newest else None,
        tested=newest.tested if newest else None,
        realized=newest.realized if newest else None,
    )
