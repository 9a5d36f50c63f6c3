"""The sensor that keeps a product's incidents, from Dagster's instance and our own logs.

Nothing is skipped: the cursor moves behind what was noted, each alarm carries what raised it, and what was noted already is
not noted again. So a look that was killed is looked again.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cache
from json import dumps, loads

import dagster as dg
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph

from headrace.core.errors import HeadraceError
from headrace.core.pace import NOW_AND_THEN_S, every
from headrace.core.resources import instance_of
from headrace.incidents.decisions import decision_alarms, evidence_of
from headrace.incidents.declaration import Incidents
from headrace.incidents.incident import Incident, Line, Moment
from headrace.incidents.keep import Passed, keep
from headrace.incidents.note import Alarm
from headrace.incidents.past import own_past
from headrace.incidents.resources import Known, check_news, moment, run_news, tick_news, upstream_lines
from headrace.store.releases import Release
from headrace.store.site import Site


@dataclass(frozen=True)
class Seen:
    """How far a look has come: the decision, the evaluation of each check, the moment of runs."""

    decision: int = 0
    checks: dict[str, int] = field(default_factory=dict)
    runs: float = 0.0


def incident_automation(site: Site, policy: Incidents) -> list[dg.SensorDefinition]:
    """Return the sensor that opens, joins and closes a product's incidents."""

    @dg.sensor(
        name=f"{site.product.product}__incidents",
        minimum_interval_seconds=every(site.place.root, NOW_AND_THEN_S),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Opens an incident for a check that fails, a refusal, a rollback or a failed run, and closes what has recovered.",
    )
    def look(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        try:
            known, seen = look_once(site, policy, context)
        except HeadraceError as error:
            return dg.SkipReason(str(error))
        context.update_cursor(dumps(asdict(seen)))
        still = [f"{one.number} ({one.kind})" for one in known if one.is_open]
        return dg.SkipReason(f"Open incidents: {', '.join(still)}." if still else "No incident is open.")

    return [look]


def look_once(site: Site, policy: Incidents, context: dg.SensorEvaluationContext) -> tuple[list[Incident], Seen]:
    """Note all that is new to a sensor's cursor, and return the incidents and how far the look has come."""
    seen, instance = Seen(**loads(context.cursor or "{}")), instance_of(context)
    assert context.repository_def, "a sensor looks for its own code"
    graph, product = context.repository_def.asset_graph, site.product.product
    steps, checks = _own(graph, product)
    now = datetime.now(UTC)
    decisions = site.releases.all(product)
    said, marks = check_news(site, instance, checks, seen.checks)
    refused = {evidence_of(decision): decision.why for decision in decisions if decision.outcome == "refused"}
    ended, looked = run_news(site, instance, seen.runs, Known(steps, refused))
    decided = map(_decided, decision_alarms(site, decisions, seen.decision, now))

    def background(alarm: Alarm) -> Iterator[Line]:
        yield from upstream_lines(site, instance, graph, alarm, policy.look_back)
        yield from own_past(site, alarm.moment.at, policy.look_back)

    found = [*decided, *said, *ended, *tick_news(site, instance)]
    known = keep(site, found, policy.recovered_after, moment(site, now.timestamp()), background)
    return known, Seen(len(decisions), marks, looked)


@cache
def _own(graph: AssetGraph, product: str) -> tuple[Mapping[str, str], Sequence[dg.AssetCheckKey]]:
    """Return the asset of each step of a product, and its checks: a graph of many products takes long to look through."""
    keys = (key for key in graph.get_all_asset_keys() if key.path[0] == product)
    checks = sorted(key for key in graph.asset_check_keys if key.asset_key.path[0] == product)
    return {"__".join(key.path): "/".join(key.path[1:]) for key in keys}, checks


def _decided(found: Alarm | Release) -> Alarm | Passed:
    """Return a release as what it ends: the refusals before it."""
    if isinstance(found, Alarm):
        return found
    return Passed("gate_failed", "", f"Release {found.number} went live.", Moment(found.at, datetime.now(UTC)))
