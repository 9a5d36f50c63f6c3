"""How long ago each asset may have been made, from what is declared of its sources and its schedule.

Only by the clock on the wall, and while history goes on: when a replayed day was made says nothing about the days in it.
An asset that is made for a reason and not in time (a training set, a model, an explanation) is never late.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from headrace.automation.loop import Loop
from headrace.core.days import local_day
from headrace.features.graph import sources_behind

MAKING = timedelta(hours=1)
"""How long a run may take that makes what has landed, with another try."""
SCORING = timedelta(hours=3)
"""How long the run of a schedule may take, with an hour for the change to summer time."""
Name = tuple[str, str]
"""Layer and name of an asset."""


@dataclass(frozen=True)
class Lateness:
    """How long ago an asset may have been made."""

    fail: timedelta
    warn: timedelta | None = None


def lateness_of(loop: Loop, between_scores: timedelta) -> dict[Name, Lateness]:
    """Return what is expected of each asset that has something declared to expect; `between_scores` is the schedule's longest pause."""
    product = loop.site.product
    if product.clock != "wall" or (product.end and product.end <= local_day(loop.site.clock.now(), product.timezone)):
        return {}
    return dict([*_of_data(loop), *(_of_scores(loop, between_scores) if loop.model else ())])


def _of_data(loop: Loop) -> Iterator[tuple[Name, Lateness]]:
    """Yield raw, validated and feature tables.

    A row is landed after its time, so that a newest row within `fresh_within` was landed within it. A feature table is made
    again when any of its sources has landed: the one that must come most often says when.
    """
    limits = {name: source.fresh_within for name, source in loop.sources.items() if source.fresh_within}
    for name, limit in limits.items():
        yield ("raw", name), Lateness(limit)
        yield ("validated", name), Lateness(limit + MAKING)
    for name, feature in loop.features.items():
        if not (feature.on_request or feature.shared):
            behind = [limits[source] for source in sources_behind(loop.site, loop.features, name) if source in limits]
            if behind:
                yield ("features", name), Lateness(min(behind) + MAKING)


def _of_scores(loop: Loop, between: timedelta) -> Iterator[tuple[Name, Lateness]]:
    """Yield what the schedule makes once a model is live: a warning after one run that did not come, a failure after two."""
    for _, layer, name in loop.live_keys:
        yield (layer, name), Lateness(2 * between + SCORING, between + SCORING)
