"""What an evaluation is made of."""

from collections.abc import Mapping, Sequence, Set
from typing import Any

from headrace.core.fingerprint import Parts, code_parts, installed
from headrace.core.recipe import Recipe
from headrace.evaluation.declaration import Gate, before_load
from headrace.evaluation.facts import broken_contracts
from headrace.evaluation.judgement import judge_candidate
from headrace.features.declaration import Label
from headrace.models.candidate import Candidate, recorded_tuning, the_candidate
from headrace.models.declaration import Model
from headrace.models.trainer import trainer_of
from headrace.models.words import CONTRACTS, SKEW
from headrace.online.skew import skewed_features
from headrace.store.evaluations import fault_of, recorded
from headrace.store.site import Site

NO_MODEL = "none"


def evaluation_recipe(site: Site, label: Label, model: Model, gates: Sequence[Gate]) -> Recipe:
    """Return what the evaluation is made of: the candidate, with the rows that it was split from, and the live model."""
    candidate = latest_candidate(site)
    return Recipe(
        table=site.product.table("model", "evaluation"),
        parts=evaluation_parts(label, model, gates),
        facts=candidate_facts(site, candidate, _known(site, candidate))
        | _faulty(site, candidate)
        | _declared_of(site, model, candidate)
        | _found(site, {gate.metric for gate in gates}),
    )


def latest_candidate(site: Site) -> Candidate | None:
    """Return the product's candidate; None if nothing was ever trained."""
    return the_candidate(site) if site.tables.exists(site.product.table("model", "candidate")) else None


def candidate_facts(site: Site, candidate: Candidate | None, known: Mapping[str, Any]) -> dict[str, str]:
    """Return which candidate is looked at, and the model that it is held against, as is `known` of it once it is live."""
    digest = candidate.digest if candidate else NO_MODEL
    return {
        "candidate": f"{digest} of version {candidate.version}" if candidate else NO_MODEL,
        "live model": _opponent_of(site, digest, known),
    }


def _known(site: Site, candidate: Candidate | None) -> Mapping[str, Any]:
    """Return what is recorded of the candidate, as far as it is as it was written."""
    is_readable = candidate and not fault_of(site, candidate.digest)
    return (recorded(site, candidate.digest) if candidate and is_readable else None) or {}


def _faulty(site: Site, candidate: Candidate | None) -> dict[str, str]:
    """Return that the candidate's record is not as it was written: it is made again then."""
    fault = fault_of(site, candidate.digest) if candidate else ""
    return {"record": fault} if fault else {}


def _declared_of(site: Site, model: Model, candidate: Candidate | None) -> dict[str, str]:
    """Return the model of the declared parameters that a tuned candidate is held against."""
    tuning = recorded_tuning(site, candidate.digest) if model.tune and candidate else None
    return {"declared parameters": tuning["default"]} if tuning else {}


def _found(site: Site, metrics: Set[str]) -> dict[str, str]:
    """Return what checks found last that gates ask for: another finding is another evaluation."""
    skew = {SKEW: f"{skewed_features(site)}"} if SKEW in metrics else {}
    return skew | ({CONTRACTS: f"{broken_contracts(site)}"} if CONTRACTS in metrics else {})


def evaluation_parts(label: Label, model: Model, gates: Sequence[Gate]) -> Parts:
    """Return the code and declarations behind an evaluation."""
    learner = trainer_of(model.learner).libraries
    return code_parts(
        model.split,
        model.evaluation,
        *([model.costs] if model.costs else []),
        label,
        judge_candidate,
        *before_load(gates),
    ) | installed(learner)


def _opponent_of(site: Site, candidate: str, known: Mapping[str, Any]) -> str:
    """Return the model that the candidate is held against: once it is live itself, the one that its record says."""
    live = site.releases.live(site.product.product)
    if live is None or live.model != candidate:
        return live.model if live else NO_MODEL
    return known.get("champion") or NO_MODEL
