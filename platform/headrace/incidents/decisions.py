"""Refusals and rollbacks in the release log, as alarms; a release ends refusals."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from headrace.incidents.incident import Moment
from headrace.incidents.note import Alarm
from headrace.rollout.advance import ITSELF
from headrace.store.releases import Release
from headrace.store.site import Site

JUDGED = ("model/evaluation",)


def evidence_of(decision: Release) -> str:
    """Return what an alarm about a decision was raised by."""
    return f"decision {decision.number};"


def decision_alarms(site: Site, decisions: Sequence[Release], after: int, now: datetime) -> Iterator[Alarm | Release]:
    """Yield an alarm for each refusal by a gate and each rollback behind decision `after`, and the releases, in order.

    A rollback by the canary is written down by the rollout itself, and a no that a person has said is nothing that failed.
    """
    by_number = {decision.number: decision for decision in decisions}
    for decision in decisions[after:]:
        moment = Moment(decision.at, decision.at if site.product.clock == "wall" else now.astimezone(UTC))
        if decision.outcome == "released":
            yield decision
        elif decision.outcome == "refused" and not decision.approver:
            yield Alarm("gate_failed", _failed(decision), _said(decision), moment, evidence_of(decision), assets=JUDGED)
        elif decision.outcome == "rolled back" and decision.who != ITSELF:
            harmful = by_number.get(decision.replaces or 0)
            yield Alarm(
                "rolled_back",
                f"release {decision.replaces}",
                f"Release {decision.replaces} was taken back by {decision.who}: {decision.why}",
                moment,
                evidence_of(decision),
                harmful.at if harmful else None,
                ("model/champion",),
                ending=f"Release {decision.back_to} is live again.",
            )


def _failed(decision: Release) -> str:
    """Return which gates have said no; where none has, the model had been rolled back before."""
    gates = sorted(gate["gate"] for gate in decision.evidence.get("gates", []) if not gate["passed"])
    return ", ".join(gates) or "rolled back before"


def _said(decision: Release) -> str:
    return f"Decision {decision.number}: model {decision.model[:12]} was refused: {decision.why}"
