"""Drift beyond one column as an asset, with a check for each kind that is declared."""

from collections.abc import Sequence

import dagster as dg

from headrace.core.assets import asset, records, spec, verdict
from headrace.core.fingerprint import code_version
from headrace.features.declaration import Label
from headrace.monitoring.declaration import Drift
from headrace.monitoring.drift import window_start
from headrace.monitoring.shifts.shift import Shift, most_shifted
from headrace.monitoring.shifts.watch import Shifted, live_shifts, shifts_table
from headrace.store.site import Site

MOST_SHOWN, MOST_SAID = 60, 3
NOT_LIVE = "no model is live yet"
_CHECKS = {
    "domain_classifier": "No classifier tells the newest window from the training set better than its limit.",
    "pca": "The components of the training set reconstruct the newest window as well as usual.",
    "slices": "No feature has moved further than its limit within a slice.",
    "label": "The labels of the newest window that are known have not moved further than their limit.",
}


def shift_assets(site: Site, label: Label, policy: Drift) -> list[dg.AssetsDefinition]:
    """Return monitoring/shifts; nothing where none of its checks is declared."""
    return [_shifts(site, label, policy)] if policy.shift_checks else []


def _shifts(site: Site, label: Label, policy: Drift) -> dg.AssetsDefinition:
    product, table = site.product, site.product.table("monitoring", "shifts")

    @asset(
        spec(
            product,
            "monitoring",
            "shifts",
            deps=[product.key("predictions", "batch"), product.key("model", "champion")],
            kinds={"python", "deltalake"},
            code_version=code_version(policy, label, live_shifts),
        ),
        checks={name: _CHECKS[name] for name in policy.shift_checks},
    )
    def shifts(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        """How far the newest window lies from the training set beyond one column: all columns together, slices, labels."""
        live = site.releases.live(product.product)
        found = live_shifts(site, live, label, policy) if live else Shifted([], {})
        rows = shifts_table(site, found.shifts, live.model if live else "")
        commit = site.tables.replace(table, rows, why=f"run {context.run.run_id}")
        return dg.MaterializeResult(
            data_version=dg.DataVersion(commit.digest),
            metadata={
                "table": table,
                "version": commit.version,
                "dagster/row_count": rows.num_rows,
                "shifts": _listed(found.shifts),
                "thresholds": dg.MetadataValue.json({str(kind): words for kind, words in found.words.items()}),
            },
            check_results=[_check(name, found, policy) for name in policy.shift_checks],
        )

    return shifts


def _listed(found: Sequence[Shift]) -> dg.TableMetadataValue:
    worst = sorted(found, key=lambda one: -one.ratio)[:MOST_SHOWN]
    columns = ("kind", "measure", "column", "by", "part", "value", "low", "limit", "rows")
    return records([{name: getattr(one, name) for name in columns} for one in worst])


def _check(name: str, found: Shifted, policy: Drift) -> dg.AssetCheckResult:
    own = [one for one in found.shifts if one.kind == name]
    said = next((words for kind, words in found.words.items() if kind == name), NOT_LIVE)
    most = most_shifted(own)
    if most is None:
        return verdict(name, True, f"Nothing to compare yet: {said}.")
    alarms = sorted((one for one in own if one.alarms), key=lambda one: -one.ratio)
    told = "; ".join(map(str, alarms[:MOST_SAID] or [most]))
    more = len(alarms) - MOST_SAID
    return verdict(
        name,
        not alarms,
        told + (f"; and {more} more beyond their limits" if more > 0 else ""),
        value=most.value,
        low=most.low,
        limit=most.limit,
        told_by=", ".join(most.told_by) or None,
        days=f"{window_start(most.day, policy.window)} to {most.day}",
        shifts=_listed(own),
        threshold=said,
    )
