"""The guard as a sensor: what somebody did beside the gate is noticed within a minute."""

from collections.abc import Sequence

import dagster as dg

from headrace.core.assets import verdict
from headrace.core.errors import HeadraceError
from headrace.core.pace import NOW_AND_THEN_S, every
from headrace.releases.guard import guard
from headrace.releases.incidents import Trouble
from headrace.store.site import Site

GUARDED = "guarded"


def guarded(found: Sequence[Trouble]) -> dg.AssetCheckResult:
    """Return what the guard has found, as the check of model/champion."""
    what = "; ".join(map(str, found)) or "Everything is as it was released."
    return verdict(GUARDED, not found, what, severe=not all(trouble.mended for trouble in found))


def guard_automation(site: Site) -> list[dg.SensorDefinition]:
    """Return the sensor that holds the release log, the live model's files and MLflow's alias against each other."""
    product = site.product

    @dg.sensor(
        name=f"{product.product}__guard",
        minimum_interval_seconds=every(site.place.root, NOW_AND_THEN_S),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Mends what was done beside the gate: entries of the release log, files of the live model, MLflow's alias.",
    )
    def look(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        try:
            found = guard(site)
        except HeadraceError as error:
            return dg.SkipReason(str(error))
        result = guarded(found)
        if result.description == context.cursor or not (found or context.cursor):
            return dg.SkipReason(result.description)
        said = dg.AssetCheckEvaluation(
            asset_key=dg.AssetKey(product.key("model", "champion")),
            check_name=str(result.check_name),
            passed=result.passed,
            severity=result.severity,
            description=result.description,
            metadata=result.metadata,
        )
        return dg.SensorResult(asset_events=[said], cursor=result.description)

    return [look]
