"""A candidate before its judges: its own test rows, and a duel with the live model on rows that neither could have seen.

Both are asked only what came after the labels of all that either was trained on were known, as when they are in use.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ValidationError

from headrace.core.errors import DeclarationError, Refused
from headrace.core.names import did_you_mean
from headrace.evaluation.behaviour import Behaviour, Subject, behaviours
from headrace.evaluation.declaration import Gate
from headrace.evaluation.duel import Difference, Duel, compare, differences
from headrace.evaluation.evaluate import Evaluation, Measured, Measuring, Sampling, evaluation_of, sample
from headrace.evaluation.facts import Asked, Fact, facts_of
from headrace.evaluation.gate import Verdict, judge
from headrace.evaluation.metrics import HALF, Aim, Decision
from headrace.evaluation.weak import Searched, Weak, losses_of, weak_slices
from headrace.features.declaration import Label
from headrace.models.blocks import blocks_of
from headrace.models.candidate import Candidate, recorded_tuning, split_version
from headrace.models.declaration import Model
from headrace.models.headline import MORE_IS_BETTER
from headrace.models.meta import load_meta
from headrace.models.predict import Predictor, load_predictor, score_rows
from headrace.models.split import unseen_by
from headrace.store.digest import rows_digest
from headrace.store.evaluations import record, recorded
from headrace.store.site import Site


class Worth(BaseModel):
    """What a search for parameters was worth: the candidate against the model of the declared ones, on the same test rows."""

    default: str
    """The model of the declared parameters."""
    metric: str
    params: dict[str, Any]
    """The parameters that were found; none where no trial did better than those declared."""
    tuned: float | None
    declared: float | None
    """What each model reaches on the test rows."""
    difference: Difference | None
    """How far the candidate's metric lies above the other's, with what chance may have added; None where that has no meaning."""

    @property
    def said(self) -> str:
        """The answer, in a sentence."""
        if not self.params:
            return "Tuning found nothing better than the declared parameters: the model is theirs."
        if self.difference is None or self.tuned is None or self.declared is None:
            return f"Whether tuning was worth it cannot be told: {self.metric} of the test rows has no difference with an interval."
        of, rises = self.difference, self.metric in MORE_IS_BETTER
        better, worse = (of.low > 0, of.high < 0) if rises else (of.high < 0, of.low > 0)
        verdict = (
            "Tuning was worth it"
            if better
            else "Tuning did harm"
            if worse
            else "Tuning made no difference beyond chance"
        )
        return (
            f"{verdict}: {self.metric} {self.tuned:.4f} on the test rows, {self.declared:.4f} with the declared parameters, "
            f"a difference of {of.value:+.4f} ({of.low:+.4f} to {of.high:+.4f})."
        )


class Judgement(BaseModel):
    """What was measured of a candidate: kept with the model, read back by the release."""

    model: str
    training_set: str
    version: int
    """Which version of the training set it was trained and tested on."""
    newest: datetime
    """The prediction time of the newest row that it was tested on."""
    rows: str = ""
    """A digest of the rows that it was tested on: their names, times and labels."""
    evaluation: Evaluation
    threshold: float | None = None
    """From which score on a row is decided as positive; None where scores are no chances."""
    weakest: list[Weak] = []
    """The slices, searched over all inputs, that it does worse on than on all other rows."""
    behaviours: list[Behaviour] = []
    """What the generated tests found."""
    champion: str | None
    duel: Duel | None
    tuning: Worth | None = None
    """What the search for its parameters was worth, if there was one."""

    def verdicts(self, gates: Sequence[Gate], later: Mapping[str, Fact] = MappingProxyType({})) -> list[Verdict]:
        """Return the verdicts of the gates on what was measured, and on what was found out `later`, by metric."""
        return judge(gates, _with(self.evaluation, later), self.duel)

    def facts(self) -> dict[str, Any]:
        """Return what was found of all rows, in words and numbers."""
        overall, deciding = self.evaluation.overall, self.threshold
        return self.evaluation.measured() | {
            "rows": overall.rows,
            "positives": overall.positives,
            **({"decides from": deciding} if deciding is not None else {}),
            "compared with": self.champion or "no model is live yet",
            **({"tuning": self.tuning.said} if self.tuning else {}),
        }

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """Return what was found of parts of the rows, as rows of tables."""
        weakest = [weak.model_dump() for weak in self.weakest]
        return {"slices": self.evaluation.listed(), "gaps": self.evaluation.gaps_listed(), "weakest slices": weakest}


def _with(evaluation: Evaluation, later: Mapping[str, Fact]) -> Evaluation:
    overall = evaluation.overall
    metrics = overall.metrics | {metric: fact.value for metric, fact in later.items()}
    notes = overall.notes | {metric: fact.why for metric, fact in later.items()}
    return evaluation.model_copy(update={"overall": overall.model_copy(update={"metrics": metrics, "notes": notes})})


def judge_candidate(site: Site, label: Label, model: Model, candidate: Candidate, gates: Sequence[Gate]) -> Judgement:
    """Return, and record with the model, how a candidate does on the test rows of its training set."""
    digest = candidate.digest
    test = split_version(site, label, model, candidate.version).test
    measuring = measuring_of(site, label, model, gates)
    sampled = _sampled(site, digest, test, measuring)
    evaluation = evaluation_of(test, sampled, measuring)
    found = behaviours_of(site, digest, test, model)
    for metric, fact in facts_of(Asked(site, candidate, test, found), gates).items():
        evaluation.overall.metrics[metric] = fact.value
        evaluation.overall.notes[metric] = fact.why
    live = site.releases.live(site.product.product)
    champion = live.model if live and live.model != digest else None
    judgement = Judgement(
        model=digest,
        training_set=site.product.table("training", "set"),
        version=candidate.version,
        newest=pc.max(test[label.time]).as_py(),
        rows=rows_digest(test.select([label.entity, label.time, label.column])),
        evaluation=evaluation,
        threshold=_threshold(load_predictor(site.models, digest)) if model.task == "classification" else None,
        weakest=weakest_of(site, digest, test, measuring),
        behaviours=found,
        champion=champion,
        duel=_duel(site, (digest, champion), test, measuring) if champion else None,
        tuning=_worth(site, digest, test, sampled, measuring) if model.tune else None,
    )
    record(site, digest, judgement.model_dump(mode="json"))
    return judgement


def recorded_judgement(site: Site, digest: str) -> Judgement:
    """Return what is recorded of a model; raises Refused where nothing is, StoreError where it is not as it was written."""
    facts = recorded(site, digest)
    if facts is None:
        raise Refused(f"Model {digest[:12]} was never evaluated: materialize model/evaluation first.")
    try:
        return Judgement.model_validate(facts)
    except ValidationError as error:
        raise Refused(
            f"The evaluation of model {digest[:12]} cannot be read: materialize model/evaluation again."
        ) from error


def sliced_by(model: Model, gates: Sequence[Gate]) -> list[str]:
    """Return the columns by whose values a model is looked at: those that are declared, and those that gates are by."""
    return sorted({gate.by for gate in gates if gate.by} | {*model.evaluation.slices, *model.evaluation.protected})


def measuring_of(site: Site, label: Label, model: Model, gates: Sequence[Gate]) -> Measuring:
    """Return how models of the product are measured: by the slices that are declared, and those that gates are by."""
    slices = sliced_by(model, gates)
    costs = (model.costs.false_positive, model.costs.false_negative) if model.costs else ()
    aim = Aim(model.task, Decision(HALF, *costs), model.quantile or HALF)
    return Measuring(label, site.product.timezone, slices, model.evaluation.confidence, aim, model.group)


def behaviours_of(site: Site, digest: str, rows: pa.Table, model: Model) -> list[Behaviour]:
    """Return what the generated tests find; raises DeclarationError where a hint is about no numeric input."""
    predictor = load_predictor(site.models, digest)
    threshold = _threshold(predictor) if model.task == "classification" else None
    subject = Subject(partial(score_rows, predictor=predictor), predictor.inputs, rows, threshold, model.seed)
    for name in model.evaluation.monotonic:
        if name not in subject.numeric:
            raise DeclarationError(
                f"`monotonic` names '{name}', which is no numeric input of the model.{did_you_mean(name, subject.numeric)}",
                ("model", "evaluation", "monotonic", name),
            )
    return behaviours(subject, model.evaluation.monotonic)


def weakest_of(site: Site, digest: str, rows: pa.Table, measuring: Measuring) -> list[Weak]:
    """Return the slices by one input or two that a model does worst on; none where its scores are no numbers."""
    predictor = load_predictor(site.models, digest)
    scores, answers = score_rows(rows, predictor), rows[measuring.label.column].cast(pa.float64()).to_numpy()
    losses = losses_of(answers, scores, measuring.aim) if np.isfinite(scores).all() else None
    if losses is None:
        return []
    searched = Searched(rows, losses, blocks_of(rows[measuring.label.time], measuring.timezone))
    return weak_slices(searched, list(dict.fromkeys([*(i.name for i in predictor.inputs), *measuring.slices])))


def _duel(site: Site, models: tuple[str, str], test: pa.Table, measuring: Measuring) -> Duel:
    label = measuring.label
    common = unseen_by([load_meta(site.models, digest) for digest in models], test, label)
    if not common.num_rows:
        nothing = Evaluation(
            overall=Measured(rows=0, positives=0, metrics={}, note="no row that neither has trained on")
        )
        return Duel(candidate=nothing, champion=nothing)
    candidate, champion = (_sampled(site, digest, common, measuring) for digest in models)
    return compare(common, candidate, champion, measuring)


def _worth(site: Site, digest: str, test: pa.Table, ours: Sampling, measuring: Measuring) -> Worth | None:
    """Return what tuning was worth on the test rows; None where the other model is there no more."""
    tuning = recorded_tuning(site, digest)
    if tuning is None or not site.models.exists(tuning["default"]):
        return None
    theirs, metric = _sampled(site, tuning["default"], test, measuring), tuning["metric"]
    tuned, declared = (each.overall.values.get(metric) for each in (ours, theirs))
    return Worth(
        default=tuning["default"],
        metric=metric,
        params=tuning["params"],
        tuned=None if tuned is None else float(tuned[0]),
        declared=None if declared is None else float(declared[0]),
        difference=differences(ours, theirs, measuring.confidence).get(metric),
    )


def _sampled(site: Site, digest: str, rows: pa.Table, measuring: Measuring) -> Sampling:
    """Return a model's metrics of the rows, deciding by its own threshold."""
    predictor = load_predictor(site.models, digest)
    decision = replace(measuring.aim.decision, threshold=_threshold(predictor))
    own = replace(measuring, aim=replace(measuring.aim, decision=decision))
    return sample(rows, score_rows(rows, predictor), own)


def _threshold(predictor: Predictor) -> float:
    threshold = predictor.tuned.threshold
    return HALF if threshold is None else threshold
