"""A candidate before its judges: its own test rows, and a duel with the live model on rows that neither could have seen.

Both are asked only what came after the labels of all that either was trained on were known, as when they are in use.
"""

from collections.abc import Sequence
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ValidationError

from headrace.core.errors import Refused
from headrace.features.declaration import Label
from headrace.models.candidate import Candidate, split_version
from headrace.models.declaration import SKEW, Gate, Model
from headrace.models.evaluate import Evaluation, Measured, evaluate
from headrace.models.gate import Duel, Verdict, judge
from headrace.models.predict import load_meta, load_predictor, score_rows
from headrace.models.split import unseen_by
from headrace.online.skew import skewed_features
from headrace.store.site import Site

RECORD = "evaluation"


class Judgement(BaseModel):
    """What was measured of a candidate: kept with the model, read back by the release."""

    model: str
    training_set: str
    version: int
    """Which version of the training set it was trained and tested on."""
    newest: datetime
    """The prediction time of the newest row that it was tested on."""
    evaluation: Evaluation
    champion: str | None
    duel: Duel | None

    def verdicts(self, gates: Sequence[Gate]) -> list[Verdict]:
        """Return the verdicts of the gates on what was measured."""
        return judge(gates, self.evaluation, self.duel)


def judge_candidate(site: Site, label: Label, model: Model, candidate: Candidate, gates: Sequence[Gate]) -> Judgement:
    """Return, and record with the model, how a candidate does on the test rows of its training set."""
    digest = candidate.digest
    test = split_version(site, label, model, candidate.version).test
    slices = sorted({gate.by for gate in gates if gate.by})
    evaluation = _evaluated(site, label, digest, test, slices)
    if any(gate.metric == SKEW for gate in gates):
        evaluation.overall.metrics[SKEW] = float(skewed_features(site))
    live = site.releases.live(site.product.product)
    champion = live.model if live and live.model != digest else None
    judgement = Judgement(
        model=digest,
        training_set=site.product.table("training", "set"),
        version=candidate.version,
        newest=pc.max(test[label.time]).as_py(),
        evaluation=evaluation,
        champion=champion,
        duel=_duel(site, label, (digest, champion), test, slices) if champion else None,
    )
    site.models.record(digest, RECORD, judgement.model_dump(mode="json"))
    return judgement


def recorded_judgement(site: Site, digest: str) -> Judgement:
    """Return what is recorded of a model; raises Refused where nothing is, or it is about another model."""
    facts = site.models.recorded(digest, RECORD)
    if facts is None:
        raise Refused(f"Model {digest[:12]} was never evaluated: materialize model/evaluation first.")
    try:
        judgement = Judgement.model_validate(facts)
    except ValidationError as error:
        raise Refused(
            f"The evaluation of model {digest[:12]} cannot be read: materialize model/evaluation again."
        ) from error
    if judgement.model != digest:
        raise Refused(
            f"The evaluation kept with model {digest[:12]} is about {judgement.model[:12]}: evaluate it again."
        )
    return judgement


def _duel(site: Site, label: Label, models: tuple[str, str], test: pa.Table, slices: Sequence[str]) -> Duel:
    common = unseen_by([load_meta(site.models, digest) for digest in models], test, label)
    if not common.num_rows:
        nothing = Evaluation(
            overall=Measured(rows=0, positives=0, metrics={}, note="no row that neither has trained on")
        )
        return Duel(candidate=nothing, champion=nothing)
    candidate, champion = (_evaluated(site, label, digest, common, slices) for digest in models)
    return Duel(candidate=candidate, champion=champion)


def _evaluated(site: Site, label: Label, digest: str, rows: pa.Table, slices: Sequence[str]) -> Evaluation:
    scores = score_rows(rows, load_predictor(site.models, digest))
    return evaluate(rows, scores, label, slices, site.product.timezone)
