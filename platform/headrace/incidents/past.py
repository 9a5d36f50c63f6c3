"""What our own logs say had happened before an alarm: decisions, trainings, and what became of rollouts."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from headrace.incidents.incident import Line
from headrace.rollout.state import rollouts_log
from headrace.store.site import Site


def own_past(site: Site, now: datetime, back: timedelta) -> Iterator[Line]:
    """Yield what was decided, trained and rolled out in the time before a moment, both by the product's clock."""
    for decision in site.releases.all(site.product.product):
        if now - back <= decision.at <= now:
            what = f"decision {decision.number}: model {decision.model[:12]} {decision.outcome} by {decision.who}: {decision.why}"
            yield Line(decision.at, what, "decision")
    for training in site.trainings.entries():
        at = datetime.fromisoformat(training["at"])
        if now - back <= at <= now:
            yield Line(at, f"training {training['number']}: {'; '.join(training['reasons'])}", "training")
    for entry in rollouts_log(site).entries():
        at = datetime.fromisoformat(entry["at"])
        if now - back <= at <= now:
            yield Line(at, f"rollout of release {entry['release']}: {entry['what']} by {entry['who']}", "rollout")
