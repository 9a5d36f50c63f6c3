"""The rollout as a sensor: a release that is worse than the one before it is noticed, and goes back, without anybody looking."""

from datetime import UTC, datetime

import dagster as dg

from headrace.core.errors import HeadraceError
from headrace.core.pace import NOW_AND_THEN_S, every
from headrace.rollout.advance import Standing, advance
from headrace.rollout.evidence import Plan
from headrace.store.site import Site

_DONE = {
    "go_on": "takes its next step",
    "promote": "has taken over",
    "roll_back": "went back",
    "wait": "waits",
}


def rollout_automation(site: Site, plan: Plan) -> list[dg.SensorDefinition]:
    """Return the sensor that judges a release on its way to everybody, and lets it go on or back."""

    @dg.sensor(
        name=f"{site.product.product}__rollout",
        minimum_interval_seconds=every(site.place.root, NOW_AND_THEN_S),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Judges a release on its way to everybody against the one before it: next step, takes over, or back.",
    )
    def look(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        try:
            standing = advance(site, plan, datetime.now(UTC))
        except HeadraceError as error:
            return dg.SkipReason(str(error))
        if standing is None:
            return dg.SkipReason("No rollout is under way.")
        if standing.judgement.verdict == "roll_back":
            context.log.warning(said(standing))
        return dg.SkipReason(said(standing))

    return [look]


def said(standing: Standing) -> str:
    """Return what became of a rollout as a sentence."""
    rollout, judgement = standing.rollout, standing.judgement
    where = f"step {rollout.step + 1} of {len(rollout.stages)} ({rollout.stages[rollout.step]})"
    return f"Release {rollout.candidate.number} in {where} {_DONE[judgement.verdict]}: {'; '.join(judgement.reasons)}"
