"""The watch: which models answer, and since when; a release or a rollback is taken over while requests go on.

A model that is to answer is read by its digest, parsed by a process of its own, asked about its probe rows, and only then
takes over, all at once. One that fails stays out: the one before it goes on answering, and that is said.
"""

import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from headrace.core.attempt import Attempt
from headrace.core.errors import HeadraceError, Refused
from headrace.models.probe import refuse_other_scores
from headrace.models.quick import Quick, load_quick
from headrace.rollout.state import Rollout
from headrace.store.models import Models
from headrace.store.releases import Release

EVERY_SECONDS = 1.0
AGAIN_SECONDS = 15.0
"""After how long a model that was refused is tried again: its files may have been restored."""


class Wanted(NamedTuple):
    """Which releases are to answer."""

    live: Release | None
    """The one that answers all requests outside of a rollout."""
    rollout: Rollout | None = None
    """Which other takes over from it, and how far it has come."""


class Ready(NamedTuple):
    """A released model that is ready to answer."""

    release: Release
    model: Quick


class Lineup(NamedTuple):
    """Who answers."""

    live: Ready
    candidate: Ready | None = None
    """Which model takes over from it, while one does and can be asked."""
    rollout: Rollout | None = None
    refused: str = ""
    """Why another release does not answer; empty where none is refused."""
    over: str = ""
    """Why nobody answers any more; empty while somebody does."""


class Watch:
    """Follows what is to answer for a product."""

    def __init__(self, models: Models, wanted: Callable[[], Wanted], alarm: Callable[[str], None]) -> None:
        """Begin with what is live; raises Refused where nothing is, StoreError where it cannot be loaded."""
        self._models, self._wanted, self._alarm = models, wanted, alarm
        self._known: dict[str, Quick] = {}
        self._refused: dict[int, float] = {}
        live = wanted().live
        if live is None:
            raise Refused("No model is live yet: nothing can be served. Train and release one first.")
        self.lineup = Lineup(self._ready(live))
        self.look()
        self.beside: Callable[[], None] = lambda: None
        """What else is looked at each second."""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="headrace-watch", daemon=True)

    def start(self) -> None:
        """Look each second from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._over.set()

    def look(self) -> None:
        """Take over what is to answer now; what cannot be loaded is said once, and what answers goes on."""
        wanted, line = self._wanted(), self.lineup
        if wanted.live is None:
            self._end()
            return
        if wanted.live.number == line.live.release.number and wanted.rollout == line.rollout:
            if line.refused:
                self.lineup = line._replace(refused="")
            return
        live = self._tried(wanted.live)
        if live is None:
            return
        candidate = self._tried(wanted.rollout.candidate) if wanted.rollout else None
        if wanted.rollout and candidate is None:
            # It may come to be well: until then all requests are the live model's.
            self.lineup = line._replace(live=live, candidate=None, refused=self.lineup.refused)
        else:
            self.lineup = Lineup(live, candidate, wanted.rollout)

    def _end(self) -> None:
        """Let nobody answer any more: the model that was live held a person who was erased, and is gone."""
        if not self.lineup.over:
            why = "No model is live any more: nothing is answered until one is released."
            self._alarm(why)
            self._known = {}
            self.lineup = self.lineup._replace(candidate=None, rollout=None, over=why)

    def _tried(self, release: Release) -> Ready | None:
        """Return a release that is ready to answer; None, and why is said, where it cannot be, or could not be just now."""
        if time.monotonic() < self._refused.get(release.number, 0.0):
            return None
        try:
            return self._ready(release)
        except HeadraceError as error:
            self._refused[release.number] = time.monotonic() + AGAIN_SECONDS
            self._say(f"Release {release.number} (model {release.model[:12]}) does not answer: {error}")
            return None

    def _ready(self, release: Release) -> Ready:
        """Return a release that is ready to answer; of the models that were loaded before the last few are kept."""
        digest = release.model
        if digest not in self._known:
            self._models.verify(digest)
            model = load_quick(self._models, digest)
            refuse_other_scores(self._models, model)
            self._known = {**dict(list(self._known.items())[-2:]), digest: model}
        return Ready(release, self._known[digest])

    def _follow(self) -> None:
        while not self._over.wait(EVERY_SECONDS):
            with Attempt() as attempt:
                self.look()
                self.beside()
            if attempt.error:
                # What answers goes on, and that is said: by its kind alone where nobody has foreseen it.
                is_ours = isinstance(attempt.error, HeadraceError)
                self._say(
                    str(attempt.error) if is_ours else f"Releases cannot be followed: {type(attempt.error).__name__}"
                )

    def _say(self, why: str) -> None:
        if why != self.lineup.refused:
            self._alarm(why)
            self.lineup = self.lineup._replace(refused=why)
