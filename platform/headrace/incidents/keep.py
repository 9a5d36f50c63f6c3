"""Keep: what failed and what passed, in the order in which it did, makes and ends incidents."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from headrace.incidents.incident import Incident, Moment
from headrace.incidents.kinds import Kind
from headrace.incidents.note import Alarm, Background, close_recovered, incidents, is_told, note_alarm, note_pass
from headrace.store.site import Site


@dataclass(frozen=True)
class Passed:
    """Something that passes."""

    kind: Kind
    of: str
    """What passes; empty for all of the kind."""
    what: str
    moment: Moment
    assets: frozenset[str] | None = None
    """Of a run: what it has made; None for all."""

    def covers(self, incident: Incident) -> bool:
        """Return whether what failed in an incident is what passes."""
        if incident.kind != self.kind or (self.of and incident.cause != f"{self.kind}:{self.of}"):
            return False
        return self.assets is None or self.assets.issuperset(incident.assets)


def keep(
    site: Site, found: Iterable[Alarm | Passed], after: timedelta, now: Moment, background: Background
) -> list[Incident]:
    """Note what was found, oldest first, close what is over by `now`, and return all incidents.

    `after` says how long something must pass until its incident is over. Raises StoreError where the log is not as it was written.
    """
    known = incidents(site)
    for one in found:
        if any(incident.is_open and incident.passed for incident in known):
            close_recovered(site, after, one.moment)
            known = incidents(site)
        if isinstance(one, Passed):
            causes = [i.cause for i in known if i.is_open and not i.passed and one.covers(i)]
            for cause in causes:
                note_pass(site, cause, one.moment, one.what)
            known = incidents(site) if causes else known
        elif not any(is_told(one, incident) or _goes_on(one, incident) for incident in known):
            note_alarm(site, one, background)
            known = incidents(site)
    close_recovered(site, after, now)
    return incidents(site)


def _goes_on(alarm: Alarm, incident: Incident) -> bool:
    """Return whether a sensor fails that has failed before: that it still does is nothing new."""
    is_same = incident.is_open and not incident.passed and incident.cause == alarm.cause
    return is_same and alarm.kind == "failed_sensor"
