"""Scored rows as they are, one by one, as an asset."""

from collections.abc import Sequence

import dagster as dg

from headrace.core.assets import asset, records, spec, verdict
from headrace.core.fingerprint import code_version
from headrace.features.declaration import Label
from headrace.models.declaration import Model
from headrace.monitoring.declaration import Inputs
from headrace.monitoring.inputs.look import OUTLIER, Strange
from headrace.monitoring.inputs.watch import inputs_table, live_inputs, newest_day
from headrace.store.site import Site

CHECK = "inputs"


def input_assets(site: Site, label: Label, model: Model, policy: Inputs) -> list[dg.AssetsDefinition]:
    """Return monitoring/inputs."""
    product, table = site.product, site.product.table("monitoring", "inputs")

    @asset(
        spec(
            product,
            "monitoring",
            "inputs",
            deps=[product.key("predictions", "batch"), product.key("model", "champion")],
            kinds={"python", "deltalake"},
            code_version=code_version(policy, label, live_inputs),
        ),
        checks={CHECK: "The rows that the live model scores look like those that it was trained on."},
    )
    def inputs(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        """Strange values, lost features, constant scores, degraded answers and outliers among the rows that were scored."""
        live = site.releases.live(product.product)
        found = live_inputs(site, label, model, policy, live) if live else []
        rows = inputs_table(site, found)
        commit = site.tables.replace(table, rows, why=f"run {context.run.run_id}")
        newest = [one for one in newest_day(found) if one.measure != OUTLIER]
        return dg.MaterializeResult(
            data_version=dg.DataVersion(commit.digest),
            metadata={
                "table": table,
                "version": commit.version,
                "dagster/row_count": rows.num_rows,
                "newest": _listed(newest),
                "outliers named": sum(one.measure == OUTLIER for one in found),
            },
            check_results=[_check(newest, bool(live))],
        )

    return [inputs]


def _listed(found: Sequence[Strange]) -> dg.TableMetadataValue:
    columns = ("day", "table", "column", "measure", "value", "limit", "rows")
    worst = sorted(found, key=lambda one: -one.value / one.limit)
    return records([{name: getattr(one, name) for name in columns} for one in worst])


def _check(newest: Sequence[Strange], is_live: bool) -> dg.AssetCheckResult:
    if not newest:
        why = "the live model has not scored a day of 100 rows yet" if is_live else "no model is live yet"
        return verdict(CHECK, True, f"Nothing to look at yet: {why}.")
    worst = sorted((one for one in newest if one.alarms), key=lambda one: -one.value / one.limit)
    most = worst[0] if worst else max(newest, key=lambda one: one.value / one.limit)
    what = "; ".join(map(str, worst[:5])) or f"Nothing is beyond its limit; nearest: {most}."
    return verdict(
        CHECK, not worst, what, value=most.value, limit=most.limit, column=most.column, columns=_listed(newest)
    )
