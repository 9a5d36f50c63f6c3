"""The outbox: notices that wait, what was tried, and what was delivered. A file a notice; a killed process loses none.

A notice is written here before anybody is told, and marked as sent after that: who is killed in between sends it again, with the
same id. So each is delivered at least once, and once where the channel knows the id (a webhook that reads `Idempotency-Key`,
PagerDuty, the folder).
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from headrace.alerts.channels import Deliver, NotDelivered, Post, post_of
from headrace.alerts.declaration import Alert
from headrace.alerts.notice import Notice, Told
from headrace.core.errors import HeadraceError
from headrace.core.failpoints import failpoint
from headrace.incidents.note import picture_of
from headrace.store.publish import make_folder, publish
from headrace.store.site import Site
from headrace.store.turn import turn_in

FIRST_WAIT = timedelta(seconds=30)
LONGEST_WAIT = timedelta(hours=1)
KEPT = timedelta(days=30)
"""How long it is remembered that a notice of a closed incident was sent."""


@dataclass(frozen=True)
class Waiting:
    """A notice in the outbox."""

    id: str
    channel: str
    event: str
    incident: int
    put: str
    """When it was put here, by the clock on the wall."""
    facts: dict[str, Any] = field(repr=False)
    picture: str = ""
    tries: int = 0
    next_try: str = ""
    error: str = ""
    """Why the last try came to nothing."""
    sent: str = ""
    """When it was delivered; empty while it waits."""

    @property
    def title(self) -> str:
        """What it says, in one line."""
        return str(self.facts["title"])


class Outbox:
    """The notices of one product."""

    def __init__(self, site: Site) -> None:
        """Open the outbox of a site's product."""
        self._site = site
        self._folder = site.place.home / "outbox" / site.product.product

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """Yield whether nobody else sends meanwhile."""
        make_folder(self._folder)
        with turn_in(self._folder) as is_ours:
            yield is_ours

    def all(self) -> list[Waiting]:
        """Return all notices, oldest first: those that wait, and those that were sent."""
        found = [Waiting(**json.loads(path.read_bytes())) for path in self._folder.glob("*.json")]
        return sorted(found, key=lambda one: (one.put, one.incident, one.id))

    def told(self) -> dict[str, Told]:
        """Return what was put here, by id."""
        return {one.id: Told(one.event, datetime.fromisoformat(one.put)) for one in self.all()}  # type: ignore[arg-type]

    def put(self, alert: Alert, notice: Notice, now: datetime) -> None:
        """Keep a notice until it is delivered."""
        picture = picture_of(self._site, notice.incident)
        post = post_of(notice, picture)
        at = now.isoformat()
        known = (notice.id, alert.channel, notice.event, notice.incident.number, at, dict(post.facts))
        self._keep(Waiting(*known, picture=str(picture or ""), next_try=at))
        failpoint("notice_put")

    def send(self, alerts: Iterable[Alert], deliver: Deliver, now: datetime) -> list[Waiting]:
        """Try what waits and is due, oldest first, and return all that was tried, as it stands then.

        After a try that fails, later notices of the same channel wait, too: they come in order, and who is away is not asked for each.
        """
        by_channel = {alert.channel: alert for alert in alerts}
        tried, away = [], set()
        for one in self.all():
            if one.sent or one.channel not in by_channel or one.channel in away:
                continue
            if datetime.fromisoformat(one.next_try) <= now:
                one = self._try(one, by_channel[one.channel], deliver, now)  # noqa: PLW2901
                tried.append(one)
            away |= set() if one.sent else {one.channel}
        return tried

    def forget(self, still_open: Iterable[int], now: datetime) -> None:
        """Forget what was sent long ago of incidents that are closed."""
        kept = set(still_open)
        for one in self.all():
            if one.sent and one.incident not in kept and now - datetime.fromisoformat(one.sent) > KEPT:
                (self._folder / f"{one.id}.json").unlink()

    def _try(self, one: Waiting, alert: Alert, deliver: Deliver, now: datetime) -> Waiting:
        try:
            deliver(alert, Post(one.facts, Path(one.picture) if one.picture else None))
        except HeadraceError as error:
            asked = timedelta(seconds=error.wait_s if isinstance(error, NotDelivered) else 0)
            wait = max(asked, min(FIRST_WAIT * 2**one.tries, LONGEST_WAIT))
            done = replace(one, tries=one.tries + 1, next_try=(now + wait).isoformat(), error=str(error))
        else:
            failpoint("notice_delivered")
            done = replace(one, tries=one.tries + 1, sent=now.isoformat(), error="")
        self._keep(done)
        return done

    def _keep(self, one: Waiting) -> None:
        publish(self._folder / f"{one.id}.json", json.dumps(asdict(one), indent=1).encode(), "a notice was not kept")
