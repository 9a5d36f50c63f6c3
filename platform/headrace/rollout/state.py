"""Which rollout is under way, and which release answers outside of it: a pure function of two logs.

The release log says what went live, and by which steps it takes over; the log of rollouts says how far it has come. A
release is under way from the moment at which it is written down: no request and no batch gets it by mistake before anybody looks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Literal

from headrace.rollout.declaration import SHADOW, share_of
from headrace.store.log import Log
from headrace.store.releases import Release, live_of

if TYPE_CHECKING:
    from headrace.store.site import Site  # it loads DuckDB, which who answers requests needs none of

What = Literal["begun", "step", "promoted", "rolled back"]
"""What an entry of the log of rollouts says. Each has `release`, `against` (its champion), `step` (which one it is in from
then on), `at` (by the wall clock), `who`, `why` and `evidence`."""
ENDS = ("promoted", "rolled back")
Arm = Literal["champion", "candidate"]
Entry = Mapping[str, Any]
HASHED = 8
"""Bytes of the hash that decides who gets which model."""


@dataclass(frozen=True)
class Rollout:
    """A release on its way to everybody."""

    candidate: Release
    champion: Release
    """The release before it, which answers all requests outside the share, and is what its scores are held against."""
    step: int
    """Which step it is in, from 0."""
    share: float
    """The part of the entities whose requests it answers; 0 in a shadow step."""
    shadow: bool
    """Whether it scores every request beside the champion, and nobody gets its answers."""
    since: datetime
    """When this step began, by the wall clock; until somebody has noted that it began, when it was released."""
    starts: tuple[datetime, ...] = ()
    """When each step so far began; empty until somebody has noted that the first one did."""

    @property
    def stages(self) -> tuple[str, ...]:
        """Its steps, as they were declared when it was released."""
        return self.candidate.stages

    @property
    def is_last(self) -> bool:
        """Whether everything is next."""
        return self.step + 1 >= len(self.stages)

    @cached_property
    def key(self) -> bytes:
        """What makes the drawing of this rollout another than that of the next."""
        return blake2b(f"{self.candidate.number}.{self.candidate.model}".encode(), digest_size=32).digest()

    @cached_property
    def below(self) -> int:
        """The candidate answers entities whose hash is below this."""
        return int(self.share * 256.0**HASHED)


def current(site: "Site") -> Rollout | None:
    """Return the rollout that is under way, if one is; raises StoreError where a log is not as it was written."""
    return rollout_of(site.releases.all(site.product.product), rollouts_log(site).entries())


def primary(site: "Site") -> Release | None:
    """Return the release that answers batches, and every request outside a rollout's share; None where nothing is live."""
    return primary_of(site.releases.all(site.product.product), rollouts_log(site).entries())


def assigned(rollout: Rollout, entity: bytes | None) -> Arm:
    """Return which model answers an entity: always the same within a step, and whoever had the candidate keeps it as shares grow.

    `entity` is the text of the declared column in UTF-8, or the request's id where it has none; None goes to the champion. A
    keyed hash (BLAKE2b, RFC 7693) draws: evenly, without memory, the same in every process and in each rollout anew.
    """
    if entity is None:
        return "champion"
    drawn = int.from_bytes(blake2b(entity, digest_size=HASHED, key=rollout.key).digest())
    return "candidate" if drawn < rollout.below else "champion"


def rollouts_log(site: "Site") -> Log:
    """Return the log of a product's rollouts."""
    return site.releases.rollouts(site.product.product)


def rollout_of(decisions: Sequence[Release], entries: Sequence[Entry]) -> Rollout | None:
    """Return the rollout that is under way after some decisions and what was noted of rollouts."""
    live = live_of(decisions)
    if live is None or not live.stages or ended(live, entries):
        return None
    champion = primary_of(decisions[: live.number - 1], entries)
    if champion is None or champion.model == live.model:
        return None
    own = [entry for entry in entries if entry["release"] == live.number]
    starts = tuple(datetime.fromisoformat(entry["at"]) for entry in own)
    step = own[-1]["step"] if own else 0
    stage = live.stages[step]
    since = starts[-1] if starts else live.at
    return Rollout(live, champion, step, share_of(stage), stage == SHADOW, since, starts)


def primary_of(decisions: Sequence[Release], entries: Sequence[Entry]) -> Release | None:
    """Return the release that answers outside of a rollout, after some decisions and what was noted of rollouts.

    One that was refused by its rollout is none, also before the release log says that the one before it is live again.
    """
    live = live_of(decisions)
    rollout = rollout_of(decisions, entries)
    if rollout:
        return rollout.champion
    end = ended(live, entries) if live and live.stages else None
    if live and end and end["what"] == "rolled back":
        return primary_of(decisions[: live.number - 1], entries)
    return live


def ended(release: Release, entries: Sequence[Entry]) -> Entry | None:
    """Return how the rollout of a release ended, if it did."""
    return next((e for e in entries if e["release"] == release.number and e["what"] in ENDS), None)
