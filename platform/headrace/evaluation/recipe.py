"""What an evaluation is made of."""

from collections.abc import Sequence, Set

from headrace.core.fingerprint import Parts, code_parts, installed
from headrace.core.recipe import Recipe
from headrace.evaluation.declaration import Gate
from headrace.evaluation.facts import broken_contracts
from headrace.evaluation.judgement import RECORD, judge_candidate
from headrace.features.declaration import Label
from headrace.models.candidate import Candidate, recorded_tuning, the_candidate
from headrace.models.declaration import Model
from headrace.models.trainer import trainer_of
from headrace.models.words import CONTRACTS, SKEW
from headrace.online.skew import skewed_features
from headrace.store.site import Site

NO_MODEL = "none"


def evaluation_recipe(site: Site, label: Label, model: Model, gates: Sequence[Gate]) -> Recipe:
    """Return what the evaluation is made of: the candidate, with the rows that it was split from, and the live model."""
    there = site.tables.exists(site.product.table("model", "candidate"))
    candidate = the_candidate(site) if there else None
    return Recipe(
        table=site.product.table("model", "evaluation"),
        parts=evaluation_parts(label, model, gates),
        facts={
            "candidate": f"{candidate.digest} of version {candidate.version}" if candidate else NO_MODEL,
            "live model": opponent_of(site, candidate.digest if candidate else NO_MODEL, RECORD),
        }
        | _declared_of(site, model, candidate)
        | _found(site, {gate.metric for gate in gates}),
    )


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
        model.split, model.evaluation, *([model.costs] if model.costs else []), label, judge_candidate, *gates
    ) | installed(learner)


def opponent_of(site: Site, candidate: str, record: str) -> str:
    """Return the model that the candidate is held against: once it is live itself, the one that its record says."""
    live = site.releases.live(site.product.product)
    if live is None or live.model != candidate:
        return live.model if live else NO_MODEL
    judged = site.models.recorded(candidate, record) or {}
    return judged.get("champion") or NO_MODEL
