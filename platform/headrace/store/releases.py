"""The release log: which model is live, since when, why, on what evidence. The truth; MLflow's alias is its mirror."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from headrace.core.errors import Refused
from headrace.store.log import Fault, Log
from headrace.store.models import LEAST_PREFIX, Models

Outcome = Literal["released", "waiting", "refused", "rolled back", "erased"]
"""`waiting`: every gate passed, and somebody has to approve it. `rolled back`: a model that was released before is live
again. `erased`: the live model held a person who was erased, and is gone; nothing is live from then on."""
GOES_LIVE = frozenset({"released", "rolled back"})
ENDS_LIVE = GOES_LIVE | {"erased"}


@dataclass(frozen=True)
class Release:
    """One decision about one model."""

    number: int
    outcome: Outcome
    model: str
    at: datetime
    who: str
    """Who asked for it."""
    why: str
    evidence: dict[str, Any]
    approver: str = ""
    """Who approved it, or said no; empty where nobody was asked."""
    replaces: int | None = None
    """The release that was live before, if one was."""
    back_to: int | None = None
    """The release whose model is live again, of what was rolled back."""
    stages: tuple[str, ...] = ()
    """The steps by which it takes over from the release before it: "shadow", or a share such as "5%"; none: at once."""

    @property
    def measured(self) -> tuple[str, float | None]:
        """The metric that counts first for its task, and what the model reached; None where that was not measured."""
        metric = str(self.evidence.get("metric", "auc"))
        return metric, self.evidence.get(metric)

    @property
    def goes_live(self) -> bool:
        """Whether its model is live from then on."""
        return self.outcome in GOES_LIVE


class Releases:
    """The release logs of all products; what each should hold stands in the folder `witnesses`, too."""

    def __init__(self, folder: Path, witnesses: Path) -> None:
        self._folder = folder
        self._witnesses = witnesses

    def all(self, product: str) -> list[Release]:
        """Return every decision, oldest first; raises StoreError where one is not as it was written."""
        return [_release(entry) for entry in self.log(product).entries()]

    def live(self, product: str, at: datetime | None = None) -> Release | None:
        """Return the release that is live now, or was live at a past moment."""
        return live_of([r for r in self.all(product) if at is None or r.at <= at])

    def waiting(self, product: str) -> Release | None:
        """Return the decision that waits for somebody's approval, if one does."""
        return waiting_of(self.all(product))

    def named(self, product: str, word: str) -> Release:
        """Return the decision that a word names: its number, or the newest about a model by six or more of its digest.

        Raises Refused where none is named so, or more than one model is.
        """
        decisions = self.all(product)
        if word.isdigit() and 0 < int(word) <= len(decisions):
            return decisions[int(word) - 1]
        found = [d for d in decisions if len(word) >= LEAST_PREFIX and d.model.startswith(word.casefold())]
        if len({decision.model for decision in found}) > 1:
            raise Refused(f"'{word}' begins the digests of several models of {product}: write more of it.")
        if not found:
            raise Refused(
                f"No release of {product} is named '{word}': write its number (there are {len(decisions)} decisions), or "
                f"{LEAST_PREFIX} or more characters of the model's digest. List them: headrace releases list {product}"
            )
        return next((d for d in reversed(found) if d.goes_live), found[-1])

    def named_or_live(self, product: str, word: str) -> Release:
        """Return the decision that a word names; where none is said the live release, or else the newest decision."""
        if word:
            return self.named(product, word)
        decisions = self.all(product)
        if not decisions:
            raise Refused(f"Nothing was decided about {product} yet.")
        return live_of(decisions) or decisions[-1]

    def decide(self, product: str, decision: dict[str, Any], *, after: int) -> Release:
        """Append a decision behind entry `after`; raises Refused if another came first.

        `decision` holds outcome, model, at (datetime), who, why and evidence, and what else a Release may have.
        """
        facts = {**decision, "at": decision["at"].isoformat()}
        return _release(self.log(product).append(facts, after=after))

    def anchor(self, models: Models, product: str, release: Release) -> None:
        """Keep with a model which entry of the log decided about it."""
        facts = {"number": release.number, "digest": self.log(product).digest_of(release.number)}
        models.record(release.model, anchor_of(product, release), facts)

    def faults(self, product: str) -> list[Fault]:
        """Return the entries that are not as they were written."""
        return self.log(product).faults()

    def log(self, product: str) -> Log:
        """Return the log of a product."""
        return Log(self._folder / product / "releases", self._witnesses / product / "releases")

    def rollouts(self, product: str) -> Log:
        """Return the log of how releases of a product took over in steps."""
        return Log(self._folder / product / "rollouts", self._witnesses / product / "rollouts")

    def unproven(self, product: str) -> frozenset[int]:
        """Return the releases that were to take over in steps and have not come to the end of these."""
        promoted = {entry["release"] for entry in self.rollouts(product).entries() if entry["what"] == "promoted"}
        return frozenset(d.number for d in self.all(product) if d.stages and d.number not in promoted)


def anchor_of(product: str, release: Release) -> str:
    """Return the kind of the record by which a model keeps which entry decided about it."""
    return f"release.{product}.{release.number}"


def live_of(decisions: Sequence[Release]) -> Release | None:
    """Return the release that is live after some decisions, if one is."""
    last = next((decision for decision in reversed(decisions) if decision.outcome in ENDS_LIVE), None)
    return last if last and last.goes_live else None


def waiting_of(decisions: Sequence[Release]) -> Release | None:
    """Return the decision that waits: nothing went live, waits or was refused of the same model since."""
    for place, decision in reversed(list(enumerate(decisions))):
        if decision.outcome == "waiting":
            since = decisions[place + 1 :]
            is_over = any(d.outcome in ENDS_LIVE or d.model == decision.model for d in since)
            return None if is_over else decision
    return None


def before_live(decisions: Sequence[Release], unproven: Collection[int] = ()) -> Release | None:
    """Return the newest release of another model than the live one that was live before it, if there is one.

    Passed over are those that were to take over in steps and never did so wholly: `unproven`.
    """
    live = live_of(decisions)
    known = [d for d in decisions if d.number not in unproven]
    others = (d for d in reversed(known) if d.goes_live and live and d.number < live.number)
    return next((d for d in others if live and d.model != live.model), None)


def rolled_back_from(decisions: Sequence[Release], model: str) -> Release | None:
    """Return the decision that took a model out of use, if nobody has released it again since."""
    by_number = {decision.number: decision for decision in decisions}
    for decision in reversed(decisions):
        if decision.goes_live and decision.model == model:
            return None
        replaced = by_number.get(decision.replaces or 0)
        if decision.outcome == "rolled back" and replaced and replaced.model == model:
            return decision
    return None


def _release(entry: dict[str, Any]) -> Release:
    return Release(
        number=entry["number"],
        outcome=entry["outcome"],
        model=entry["model"],
        at=datetime.fromisoformat(entry["at"]),
        who=entry["who"],
        why=entry["why"],
        evidence=entry["evidence"],
        approver=entry.get("approver", ""),
        replaces=entry.get("replaces"),
        back_to=entry.get("back_to"),
        stages=tuple(entry.get("stages", ())),
    )
