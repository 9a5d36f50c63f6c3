"""A service over what lies at a place: the models, the release log, the online features, the clock."""

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from headrace.core.clock import Clock, clock_of
from headrace.core.place import Place
from headrace.online.log import RequestLog
from headrace.rollout.state import primary_of, rollout_of
from headrace.serving.breaker import Guarded
from headrace.serving.call import Records
from headrace.serving.journal import Journal, journal_folder
from headrace.serving.meter import Meter
from headrace.serving.served import Served
from headrace.serving.service import Service
from headrace.serving.watch import Wanted, Watch
from headrace.store.models import Models
from headrace.store.online import open_online
from headrace.store.publish import publish
from headrace.store.releases import Release, Releases

WAIT_SECONDS = 0.1
"""How long the online store may take to answer."""
ASK_SECONDS = 1.0
SECRET_BYTES = 32


def open_service(served: Served, place: Place, alarm: Callable[[str], None], counts: Path | None = None) -> Service:
    """Return a service that is ready to answer; raises Refused where nothing is live or published.

    `alarm` is told what is wrong while it answers; `counts` is where the workers of one server count together.
    """
    store = Guarded(open_online(place, served.product, wait_s=WAIT_SECONDS), served.when_down)
    releases = Releases(place.logs, place.witness)

    def wanted() -> Wanted:
        if served.only:
            return the_one(served.only)
        decisions, entries = releases.all(served.product), releases.rollouts(served.product).entries()
        return Wanted(primary_of(decisions, entries), rollout_of(decisions, entries))

    watch = Watch(Models(place.models), wanted, alarm)
    clock = clock_of(served.clock, place.replay_clock)
    clock = SteadyClock(clock) if served.clock == "replay" else clock
    sample = RequestLog(place.online / "requests" / served.product) if served.sampled else None
    service = Service(served, store, watch, clock, Records(_journal(served, place), sample))
    service.meter = Meter(counts)
    # What requests are read by is made now, if that can be: the first request does not wait for it.
    service.why_not_ready()
    watch.beside = service.lookups.follow
    watch.start()
    return service


def the_one(digest: str) -> Wanted:
    """Return that one model answers, of which the release log need not know: as release 0."""
    at = datetime.fromtimestamp(0, UTC)
    return Wanted(Release(0, "released", digest, at, "a test", "to see how a server of it does", {}))


def _journal(served: Served, place: Place) -> Journal | None:
    if not served.logged:
        return None
    secret = hashing_secret(place) if served.hashed else b""
    return Journal(journal_folder(place, served.product), hashed=served.hashed, entity=served.entity, secret=secret)


def hashing_secret(place: Place) -> bytes:
    """Return the secret by which personal values are hashed, made when it is needed first."""
    path = place.hashing_key
    if not path.exists():
        publish(path, os.urandom(SECRET_BYTES), "no value can be hashed", mode=0o600)
    return path.read_bytes()


class SteadyClock:
    """A clock that lies in a file, looked at once a second at most."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._told, self._until = clock.now(), 0.0

    def now(self) -> datetime:
        """Return the present moment, aware, in UTC."""
        if time.monotonic() > self._until:
            self._told, self._until = self._clock.now(), time.monotonic() + ASK_SECONDS
        return self._told
