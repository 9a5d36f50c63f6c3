"""Release: our own step, keyed by the model's content; only a model whose own evaluation passes becomes champion."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from headrace.core.errors import Refused
from headrace.models.declaration import Gate
from headrace.models.gate import Verdict
from headrace.models.judgement import Judgement, recorded_judgement
from headrace.models.predict import stored_file
from headrace.store.releases import Release
from headrace.store.site import Site


@dataclass(frozen=True)
class Request:
    """Who wants a model released, and why it was trained."""

    model: str
    who: str
    why: str


def release_model(site: Site, request: Request, gates: Sequence[Gate]) -> Release:
    """Release a model or refuse it, write the decision into the log, and return it.

    The gates are held against the evaluation that is stored with the model, now. A model that is live already stays so,
    and a decision that was made before on the same evidence is not made again. Raises Refused if another decision came
    between, or if the model was compared with one that is no longer live.
    """
    product = site.product.product
    decisions = site.releases.all(product)
    live = site.releases.live(product)
    if live and live.model == request.model:
        return live
    stored_file(site.models, request.model)
    judgement = recorded_judgement(site, request.model)
    verdicts = judgement.verdicts(gates)
    evidence = {
        "auc": judgement.evaluation.overall.metrics.get("auc"),
        "rows": judgement.evaluation.overall.rows,
        "training_set": judgement.training_set,
        "version": judgement.version,
        "gates": [asdict(verdict) for verdict in verdicts],
    }
    last = decisions[-1] if decisions else None
    if last and last.outcome == "refused" and (last.model, last.evidence) == (request.model, evidence):
        return last
    _refuse_other_champion(judgement, live)
    failed = [verdict for verdict in verdicts if not verdict.passed]
    return site.releases.decide(
        product,
        {
            "outcome": "refused" if failed else "released",
            "model": request.model,
            "at": site.clock.now(),
            "who": request.who,
            "why": f"{request.why}; {_in_words(failed) if failed else 'all gates passed'}",
            "evidence": evidence,
        },
        after=len(decisions),
    )


def _refuse_other_champion(judgement: Judgement, live: Release | None) -> None:
    if judgement.champion != (live.model if live else None):
        raise Refused(
            f"Model {judgement.model[:12]} was compared with {(judgement.champion or 'no champion')[:12]}, but "
            f"{(live.model if live else 'none')[:12]} is live now: materialize model/evaluation again."
        )


def _in_words(failed: Sequence[Verdict]) -> str:
    return "refused by " + ", ".join(f"{verdict.gate} ({verdict.why})" for verdict in failed)
