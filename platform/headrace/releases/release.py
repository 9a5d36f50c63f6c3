"""Release: our own step, keyed by the model's content; only a model whose own evaluation passes becomes champion."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from headrace.core.errors import Refused
from headrace.evaluation.declaration import Gate, under_load
from headrace.evaluation.gate import Verdict
from headrace.evaluation.judgement import Judgement, recorded_judgement
from headrace.evaluation.underload import load_facts
from headrace.store.releases import Outcome, Release, live_of, rolled_back_from, waiting_of
from headrace.store.site import Site


@dataclass(frozen=True)
class Request:
    """Who wants a model released, and why it was trained."""

    model: str
    who: str
    why: str
    by_name: bool = False
    """Whether a person asks for this very model: one that was rolled back is released again by that alone."""


@dataclass(frozen=True)
class Answer:
    """What somebody says to a candidate that waits."""

    who: str
    why: str = ""
    agrees: bool = True
    to: int | None = None
    """The number of the decision that was read; None for whichever waits."""


def release_model(site: Site, request: Request, gates: Sequence[Gate]) -> Release:
    """Release a model, let it wait for approval, or refuse it; write the decision into the log, and return it.

    The gates are held against the evaluation that is stored with the model, now. A model that is live already stays so,
    and a decision that was made before on the same evidence is not made again. Raises Refused if another decision came
    between, or if the model was compared with one that is no longer live.
    """
    decisions = site.releases.all(site.product.product)
    live = live_of(decisions)
    if live and live.model == request.model:
        return live
    evidence, failed = _held(site, request.model, gates)
    back = None if request.by_name else rolled_back_from(decisions, request.model)
    known = [d for d in decisions if (d.model, d.evidence) == (request.model, evidence)]
    before = _made_before(known, decisions, by_name=request.by_name, refuses=bool(failed or back))
    if before:
        return before
    _refuse_other_champion(recorded_judgement(site, request.model), live)
    outcome, what = _outcome(site, request.model, failed, back)
    decision = {"outcome": outcome, "model": request.model, "who": request.who, "evidence": evidence}
    return _decided(site, decision | {"why": f"{request.why}; {what}"}, decisions)


def _made_before(
    known: Sequence[Release], decisions: Sequence[Release], *, by_name: bool, refuses: bool
) -> Release | None:
    """Return the decision that was made before of the same model on the same evidence, and still says what is to be said."""
    waiting = waiting_of(decisions)
    if waiting in known and not refuses:
        return waiting
    declined = next((d for d in reversed(known) if d.outcome == "refused" and d.approver), None)
    if declined and not by_name:
        return declined
    last = decisions[-1] if decisions else None
    return last if last in known and refuses and last and last.outcome == "refused" else None


def _outcome(site: Site, model: str, failed: Sequence[Verdict], back: Release | None) -> tuple[Outcome, str]:
    """Return what becomes of a model, and why."""
    product = site.product.product
    if failed:
        return "refused", _in_words(failed)
    if back:
        again = f"To release it all the same: headrace release {product} --model {model[:12]}"
        return "refused", f"all gates passed, but it was rolled back by {back.who}: {back.why}. {again}"
    if site.product.approval == "required":
        return "waiting", f"all gates passed; waits for approval: headrace approve {product} --by <name>"
    return "released", "all gates passed"


def answer_waiting(site: Site, answer: Answer, gates: Sequence[Gate]) -> Release:
    """Release the candidate that waits for approval, or refuse it, as somebody says; write it down, and return the decision.

    The gates are held against its evaluation once more. Raises Refused where nothing waits, or another decision than the one
    that was read, nobody is named, the gates refuse it by now or the evidence is another, or another model is live than the
    one that it was compared with.
    """
    product = site.product.product
    decisions = site.releases.all(product)
    waiting = waiting_of(decisions)
    if waiting is None:
        raise Refused(f"Nothing of {product} waits for approval.")
    if answer.to not in (None, waiting.number):
        raise Refused(
            f"Decision {waiting.number} waits by now, and the answer is to {answer.to}: read it, and answer again."
        )
    if not answer.who.strip():
        raise Refused("Nobody is named: say who approves, --by <name>.")
    if not answer.agrees:
        why = f"{waiting.why}; {answer.who} said no: {answer.why or 'without a reason'}"
        return _answered(site, waiting, {"outcome": "refused", "why": why, "approver": answer.who}, decisions)
    evidence, failed = _held(site, waiting.model, gates)
    if failed:
        raise Refused(f"Model {waiting.model[:12]} waits, but the gates of now refuse it: {_in_words(failed)}.")
    if evidence != waiting.evidence:
        raise Refused(
            f"Model {waiting.model[:12]} was evaluated again, or has other gates, since decision {waiting.number}: "
            f"headrace release {product} decides anew, and shows what there is by now."
        )
    _refuse_other_champion(recorded_judgement(site, waiting.model), live_of(decisions))
    said = f": {answer.why}" if answer.why else ""
    why = f"{waiting.why.rpartition('; waits')[0]}; approved by {answer.who}{said}"
    return _answered(site, waiting, {"outcome": "released", "why": why, "approver": answer.who}, decisions)


def _held(site: Site, model: str, gates: Sequence[Gate]) -> tuple[dict[str, Any], list[Verdict]]:
    """Return the evidence about a model, and the gates that it fails; raises DigestMismatch for bytes that were edited."""
    site.models.verify(model)
    judgement = recorded_judgement(site, model)
    verdicts = judgement.verdicts(gates, load_facts(site, model) if under_load(gates) else {})
    metric = judgement.evaluation.headline
    evidence = {
        "metric": metric,
        metric: judgement.evaluation.overall.metrics.get(metric),
        "rows": judgement.evaluation.overall.rows,
        "training_set": judgement.training_set,
        "version": judgement.version,
        "gates": [asdict(verdict) for verdict in verdicts],
    }
    return evidence, [verdict for verdict in verdicts if not verdict.passed]


def _answered(site: Site, waiting: Release, said: dict[str, Any], decisions: Sequence[Release]) -> Release:
    asked = {"model": waiting.model, "who": waiting.who, "evidence": waiting.evidence}
    return _decided(site, asked | said, decisions)


def _decided(site: Site, decision: dict[str, Any], decisions: Sequence[Release]) -> Release:
    live = live_of(decisions)
    replaces = {"replaces": live.number} if live and decision["outcome"] == "released" else {}
    staged = {"stages": list(site.product.stages)} if replaces and site.product.stages else {}
    facts = {**decision, **replaces, **staged, "at": site.clock.now()}
    decided = site.releases.decide(site.product.product, facts, after=len(decisions))
    site.releases.anchor(site.models, site.product.product, decided)
    return decided


def _refuse_other_champion(judgement: Judgement, live: Release | None) -> None:
    if judgement.champion != (live.model if live else None):
        raise Refused(
            f"Model {judgement.model[:12]} was compared with {(judgement.champion or 'no champion')[:12]}, but "
            f"{(live.model if live else 'none')[:12]} is live now: materialize model/evaluation again."
        )


def _in_words(failed: Sequence[Verdict]) -> str:
    return "refused by " + ", ".join(f"{verdict.gate} ({verdict.why})" for verdict in failed)
