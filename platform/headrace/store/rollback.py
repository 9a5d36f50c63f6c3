"""Rollback: a model that was released before is live again. Nothing is trained, nothing is judged, nothing is lost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from headrace.core.errors import Refused
from headrace.store.models import Models
from headrace.store.releases import Release, Releases, before_live, live_of


@dataclass(frozen=True)
class Return:
    """Back to which release (None: the one that was live before), who wants that, why, and when."""

    who: str
    why: str
    at: datetime
    to: str | None = None
    instead_of: int | None = None
    """Which release is to be live no longer; None for whichever is live."""
    found: Mapping[str, Any] = field(default_factory=dict)
    """What was found that speaks for it: kept with the decision, beside the evidence about the model itself."""


def roll_back(releases: Releases, models: Models, product: str, wanted: Return) -> Release:
    """Let an earlier release's model be live again, write it down, and return the decision.

    Its files are held against their digests first. Raises Refused where nothing is live, nothing was before, the model
    was never released, is live already or is gone; DigestMismatch where its files were edited.
    """
    decisions = releases.all(product)
    live = live_of(decisions)
    if live is None:
        raise Refused(f"No model of {product} is live: there is nothing to roll back.")
    if wanted.instead_of not in (None, live.number):
        raise Refused(
            f"Release {live.number} of {product} is live by now, and not release {wanted.instead_of}: look again."
        )
    for what, said in (("why", wanted.why), ("who", wanted.who)):
        if not said.strip():
            raise Refused(f"A rollback is written down: say {what}, --{'by' if what == 'who' else what} <text>.")
    target = releases.named(product, wanted.to) if wanted.to else before_live(decisions, releases.unproven(product))
    if target is None:
        raise Refused(f"Release {live.number} is the first of {product}: no other model was live before it.")
    _refuse(product, target, live, decisions)
    target = next(d for d in reversed(decisions) if d.goes_live and d.model == target.model)
    if not models.exists(target.model):
        raise Refused(
            f"The files of model {target.model[:12]} (release {target.number}) are gone: it cannot be live again. "
            f"Those that are there: headrace releases list {product}"
        )
    models.verify(target.model)
    decision = {
        "outcome": "rolled back",
        "model": target.model,
        "at": wanted.at,
        "who": wanted.who,
        "why": f"{wanted.why}; back from release {live.number} to release {target.number}",
        "evidence": {**target.evidence, **wanted.found},
        "replaces": live.number,
        "back_to": target.number,
    }
    decided = releases.decide(product, decision, after=len(decisions))
    releases.anchor(models, product, decided)
    return decided


def _refuse(product: str, target: Release, live: Release, decisions: Sequence[Release]) -> None:
    if not any(d.goes_live and d.model == target.model for d in decisions):
        raise Refused(
            f"Decision {target.number} of {product} is '{target.outcome}': model {target.model[:12]} was never live, and a "
            f"rollback goes back to what was. To release it by its gates: headrace release {product} --model "
            f"{target.model[:12]}"
        )
    if target.model == live.model:
        raise Refused(f"Model {target.model[:12]} is live already (release {live.number} of {product}).")
