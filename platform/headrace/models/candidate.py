"""A candidate: trained on one version of the training set, stored under the digest of its content."""

from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pyarrow as pa

from headrace.core.errors import Refused
from headrace.features.declaration import Label
from headrace.features.statistics import STATISTICS, as_facts, statistics_of
from headrace.models.baselines import RECORD as BASELINES
from headrace.models.baselines import Baseline, baselines
from headrace.models.calibrate import held_out, is_tuned
from headrace.models.declaration import Model
from headrace.models.encode import encode
from headrace.models.federated.compared import compared
from headrace.models.fit import fit_model
from headrace.models.folds import RECORD as FOLDS
from headrace.models.folds import asked_of, fold_of, judged_on, older_folds, summary
from headrace.models.harden import RECORD as ROBUSTNESS
from headrace.models.harden import robustness
from headrace.models.meta import Input, Meta
from headrace.models.origin import Cost, measured
from headrace.models.predict import SCORE, load_predictor
from headrace.models.probe import RECORD as PROBE
from headrace.models.probe import probe_of
from headrace.models.profile import profile_of
from headrace.models.split import Split, canonical, split_rows
from headrace.models.spread.trainer import BoostedTogether
from headrace.models.train import Trained, importance
from headrace.models.trainer import Beside, Say
from headrace.models.trainers.federated import RECORD as FEDERATED
from headrace.models.trainers.federated import FromSites
from headrace.models.tuning.folds import Task, with_params
from headrace.models.tuning.search import RECORD as TUNING
from headrace.models.tuning.search import Found, search
from headrace.store.addition import Commit
from headrace.store.models import Training
from headrace.store.site import Site

MANUAL = "started by hand"


@dataclass(frozen=True)
class Candidate:
    """Which model waits to be judged: trained when, on which version, why."""

    digest: str
    version: int
    at: datetime
    reason: str


@dataclass(frozen=True)
class Tuning:
    """A search, the model of the declared parameters on the same rows, and what both took."""

    found: Found
    default: str
    """The digest of the model of the declared parameters."""
    cost: Cost
    """What the search took in this process, this time."""
    rows: int

    def facts(self) -> dict[str, Any]:
        """Return what is kept of it with the model, and what it cost."""
        found = self.found
        return {
            "default": self.default,
            "params": found.params,
            "metric": found.metric,
            "declared": found.default,
            "best": found.best,
            "trials": found.listed(),
            "importances": dict(found.importances),
            "cost": self.costs(),
        }

    def costs(self) -> dict[str, Any]:
        """Return what the search took: this time, and over all attempts."""
        found = self.found
        counts = {"trials": len(found.trials), "pruned": found.pruned, "resumed": found.resumed}
        return asdict(self.cost) | {"rows": self.rows, **counts, "seconds_of_all_attempts": round(found.seconds, 3)}


@dataclass(frozen=True)
class Made:
    """A model that was trained and stored, and what was found out about it on the way."""

    digest: str
    meta: Meta
    importance: dict[str, float]
    """Each input's share of the gain; nothing where the model does not say."""
    baselines: list[dict[str, Any]]
    """The candidate itself, and each baseline, on the same test rows."""
    robustness: dict[str, dict[str, Any]]
    """Of a hardened model and of the plain one: how test rows come true, as they are and moved against it; else empty."""
    folds: dict[str, Any]
    """Each fold, with mean and spread of the task's first number."""
    tuning: Tuning | None = None
    """How its parameters were found, if they were searched for."""
    workers: list[dict[str, Any]] = field(default_factory=list)
    """Where each worker of a cluster was, and what it took; none where no cluster learned."""
    federated: dict[str, Any] = field(default_factory=dict)
    """Of a model of several sites: what each has sent, and what is not promised; else empty."""


def train_candidate(site: Site, label: Label, model: Model, version: int, say: Say) -> Made:
    """Train on a version of the training set, and store model, meta, profile, statistics, baselines and folds.

    Where the declaration says to tune, parameters are searched for first, and a model of the declared ones is stored, too.
    """
    rows = training_set(site, label, version)
    split, folder = split_rows(rows, label, model.split), beside_of(site)
    task = Task(label, model, folder)
    tuning = _tuned(site, split, task, version, say) if model.tune else None
    model = with_params(model, tuning.found.params) if tuning else model
    trained, digest = _stored(site, split.train, replace(task, model=model), version, say)
    predictor = load_predictor(site.models, digest)
    scores = predictor.predict(split.test)
    scored = split.test.append_column(SCORE, pa.array(scores))
    profile = profile_of(split.train, trained.meta.inputs) | profile_of(scored, [Input(name=SCORE, kind="numeric")])
    found = judged_on(split.test, label, model, scores)
    beside = [
        Baseline("candidate", digest[:12], found),
        *_untuned(site, split, task, tuning),
        *compared(split, label, model),
        *baselines(site, split, label, model, trained.meta.inputs),
    ]
    made = Made(
        digest,
        trained.meta,
        importance(trained),
        [baseline.listed(model.task) for baseline in beside],
        _robustness(trained, split.test, label, model),
        summary([*older_folds(rows, label, model, say, folder), fold_of(split, label, found)], model),
        tuning,
        trained.fitted.listed() if isinstance(trained.fitted, BoostedTogether) else [],
        dict(trained.fitted.told) if isinstance(trained.fitted, FromSites) else {},
    )
    site.models.record(digest, "profile", profile)
    site.models.record(digest, PROBE, probe_of(predictor, profile))
    site.models.record(digest, STATISTICS, as_facts(statistics_of(split.train)))
    _record(site, made)
    if tuning:
        site.models.record(digest, f"{TUNING}.{site.product.product}", tuning.facts())
    return made


def _record(site: Site, made: Made) -> None:
    """Keep what was found out about a model on the way."""
    site.models.record(made.digest, "importance", {"shares": list(made.importance.items())})
    site.models.record(made.digest, BASELINES, {"baselines": made.baselines})
    site.models.record(made.digest, FOLDS, made.folds)
    if made.robustness:
        site.models.record(made.digest, ROBUSTNESS, made.robustness)
    if made.federated:
        site.models.record(made.digest, FEDERATED, made.federated)


def beside_of(site: Site) -> Beside:
    """Return what a trainer may need of a site."""
    product = site.product.product
    place = site.place
    return Beside(site.folder, product, place.ray_address, place.lessons / product, place.flower_python)


def _tuned(site: Site, split: Split, task: Task, version: int, say: Say) -> Tuning:
    """Return what a search over the training rows has found; what calibration is learned on takes no part in it."""
    rows = held_out(split.train, task.label, task.model.split).train if is_tuned(task.model) else split.train
    with measured() as cost:
        found = search(site, rows, task, version, say)
    _, default = _stored(site, split.train, replace(task, model=with_params(task.model, {})), version, say)
    return Tuning(found, default, cost, rows.num_rows)


def _stored(site: Site, rows: pa.Table, task: Task, version: int, say: Say) -> tuple[Trained, str]:
    """Return a model that was trained on rows of a version and stored, and its digest."""
    fit = fit_model(rows, task.label, task.model, say, task.beside)
    digest = site.models.put(fit.files)
    site.models.record_training(digest, _training(site, version))
    return fit.trained, digest


def _untuned(site: Site, split: Split, task: Task, tuning: Tuning | None) -> list[Baseline]:
    """Return the model of the declared parameters as a baseline of one whose parameters were searched for."""
    if tuning is None:
        return []
    scores = load_predictor(site.models, tuning.default).predict(split.test)
    found = judged_on(split.test, task.label, task.model, scores)
    return [Baseline("declared parameters", tuning.default[:12], found)]


def _robustness(trained: Trained, test: pa.Table, label: Label, model: Model) -> dict[str, dict[str, Any]]:
    if trained.plain is None or not test.num_rows:
        return {}
    models = {"plain": trained.plain, "hardened": trained.fitted}
    answers = asked_of(test, label, model).answers
    return robustness(models, encode(test, trained.meta.inputs), answers, trained.meta)


def recorded_tuning(site: Site, digest: str) -> dict[str, Any] | None:
    """Return what is kept of the search behind a model: see `Tuning.facts`; None where nothing is."""
    return site.models.recorded(digest, f"{TUNING}.{site.product.product}")


def _training(site: Site, version: int) -> Training:
    table = site.product.table("training", "set")
    inputs = site.tables.versions(table)[version].inputs
    return Training(site.product.product, table, version, inputs, datetime.now(UTC).isoformat())


def split_version(site: Site, label: Label, model: Model, version: int) -> Split:
    """Return the rows of one version of the training set that a model learns from, and those it is judged on."""
    return split_rows(training_set(site, label, version), label, model.split)


def training_set(site: Site, label: Label, version: int) -> pa.Table:
    """Return one version of the training set in canonical order."""
    return canonical(site.tables.read(site.product.table("training", "set"), version=version), label)


def remember(site: Site, candidate: Candidate) -> Commit:
    """Make a model the product's candidate."""
    table = site.product.table("model", "candidate")
    return site.tables.replace(table, pa.Table.from_pylist([asdict(candidate)]), why=candidate.reason)


def the_candidate(site: Site) -> Candidate:
    """Return the product's candidate; raises Refused if nothing was ever trained."""
    table = site.product.table("model", "candidate")
    if not site.tables.exists(table):
        raise Refused("There is no candidate: materialize model/candidate first. Nothing is released by hand.")
    # Arrow's own reader of folders of files would import pandas, which takes longer than a command may.
    return Candidate(**pl.read_parquet(site.tables.files(table)).to_dicts()[0])
