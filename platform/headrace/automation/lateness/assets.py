"""Dagster's own freshness policies on the assets of a product."""

from datetime import timedelta
from itertools import islice, pairwise

import dagster as dg
from dagster._utils.schedules import cron_string_iterator

from headrace.automation.lateness.windows import Lateness, lateness_of
from headrace.automation.loop import Loop

TICKS = 60
"""How many ticks of a schedule tell its longest pause: five years of one that comes monthly."""
SOME_DAY = 1_704_067_200.0
"""2024-01-01, UTC."""
LEAST = timedelta(minutes=1)
"""Dagster takes no shorter window."""


def with_freshness(made: dg.Definitions, loop: Loop) -> dg.Definitions:
    """Return definitions whose assets bear a freshness policy, where something declared says how old they may be."""
    late = lateness_of(loop, longest_pause(loop.serve.batch.cron, loop.site.product.timezone))

    def bearing(spec: dg.AssetSpec) -> dg.AssetSpec:
        own = late.get((spec.key.path[1], spec.key.path[2]))
        return spec.replace_attributes(freshness_policy=_policy(own)) if own else spec

    if not late:
        return made
    assets = [one.map_asset_specs(bearing) if type(one) is dg.AssetsDefinition else one for one in made.assets or []]
    return dg.Definitions(
        assets=assets,
        asset_checks=made.asset_checks,
        schedules=made.schedules,
        sensors=made.sensors,
        jobs=made.jobs,
        resources=made.resources,
        executor=made.executor,
        loggers=made.loggers,
    )


def longest_pause(cron: str, timezone: str) -> timedelta:
    """Return the longest time between two ticks of a schedule."""
    ticks = islice(cron_string_iterator(SOME_DAY, cron, timezone), TICKS)
    seconds = max(b.timestamp() - a.timestamp() for a, b in pairwise(ticks))
    return timedelta(seconds=seconds)


def _policy(late: Lateness) -> dg.FreshnessPolicy:
    return dg.FreshnessPolicy.time_window(fail_window=max(late.fail, LEAST), warn_window=late.warn)
