"""The search for parameters: trials, each judged fold after fold, until the budget is spent; what came of it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Any

import pyarrow as pa

from headrace.core.failpoints import failpoint
from headrace.core.fingerprint import code_parts, installed, version_of
from headrace.core.user_code import load_function
from headrace.features.declaration import Label
from headrace.models.declaration import Evaluating, Model
from headrace.models.headline import NUMBERS, is_better
from headrace.models.split import Split
from headrace.models.trainer import Say, trainer_for
from headrace.models.tuning.cluster import running_on_ray
from headrace.models.tuning.declaration import Tune
from headrace.models.tuning.folds import FOLDS, Task, default_value, validation_folds
from headrace.models.tuning.lanes import Done, HereLanes, Lanes
from headrace.models.tuning.study import Study, Trial, open_study
from headrace.store.site import Site

RECORD = "tuning"
DEFAULT = -1
"""The number under which the declared parameters are judged: they are no trial."""


@dataclass(frozen=True)
class Found:
    """What came of a search."""

    metric: str
    default: float
    """What the declared parameters reach on the folds, in the mean."""
    trials: Sequence[Trial]
    importances: Mapping[str, float]
    """Parameter → its share in what made trials good or bad."""
    seconds: float
    """How long all trials took, over all attempts."""
    resumed: int
    """How many trials an earlier attempt had made."""
    params: dict[str, Any] = field(default_factory=dict)
    """The best parameters; none where no trial did better than those declared."""

    @property
    def best(self) -> float:
        """What the model that was chosen reaches on the folds, in the mean."""
        finished = [trial.value for trial in self.trials if trial.params == self.params and trial.value is not None]
        return finished[0] if self.params else self.default

    @property
    def said(self) -> str:
        """What was found, in a sentence."""
        tried = f"{len(self.trials)} trials, {self.pruned} of them pruned"
        if not self.params:
            return f"{tried}: none did better on the training rows than the declared parameters, {self.metric} {self.default:.4f}."
        words = ", ".join(
            f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
            for name, value in self.params.items()
        )
        return f"{tried}: {words}; {self.metric} {self.best:.4f} on spans of the training rows, {self.default:.4f} as declared."

    @property
    def pruned(self) -> int:
        """How many trials were given up before their last fold."""
        return sum(trial.value is None for trial in self.trials)

    def listed(self) -> list[dict[str, Any]]:
        """Return a row for each trial."""
        return [trial.listed(self.metric) for trial in self.trials]


def search(site: Site, rows: pa.Table, task: Task, version: int, say: Say) -> Found:
    """Return what a search over training rows of a version of the training set has found, going on where one was killed.

    Raises NoRows and DataError where the rows are too few, DeclarationError for parameters that the trainer refuses.
    """
    model = task.model
    assert model.tune
    folds, metric = validation_folds(rows, task.label, model.split), NUMBERS[model.task][0]
    path = site.place.studies / site.product.product / f"{study_key(site, task.label, model, version)}.db"
    with open_study(path, metric, model.seed) as study, lanes_of(site, folds, task) as lanes:
        resumed, default = len(study.counted()), _default(study, lanes, task)
        _spend(study, lanes, model.tune, say)
        found = Found(metric, default, study.counted(), study.importances(), study.seconds, resumed)
    return replace(found, params=_best(found))


def study_key(site: Site, label: Label, model: Model, version: int) -> str:
    """Return what tells studies apart: rows, code, declarations and libraries; not the budget, which may grow."""
    assert model.tune
    space = repr(sorted(model.tune.space.items()))
    rows = f"{site.product.table('training', 'set')}@{version}"
    learned, trainer = model.model_copy(update={"evaluation": Evaluating(), "tune": None}), trainer_for(model)
    written = [load_function(site.folder, site.product.product, place) for place in model.functions]
    parts = code_parts(learned, label, search, type(trainer), *written, space, rows)
    return version_of(parts | installed([*trainer.libraries, "optuna"]))


@contextmanager
def lanes_of(site: Site, folds: Sequence[Split], task: Task) -> Iterator[Lanes]:
    """Yield what the declaration says that trials run on."""
    assert task.model.tune
    if task.model.tune.on == "here":
        yield HereLanes(folds, task)
        return
    with running_on_ray(site.place.ray_address, folds, task) as lanes:
        yield lanes


def _default(study: Study, lanes: Lanes, task: Task) -> float:
    """Return the mean over the folds of what the declared parameters reach; raises DataError where that cannot be told."""
    if study.default is not None:
        return study.default
    for fold in range(FOLDS):
        lanes.start(DEFAULT, fold, {})
    done = sorted((lanes.next() for _ in range(FOLDS)), key=lambda one: one.fold)
    study.default = mean = sum(default_value(one.value, one.fold, task) for one in done) / FOLDS
    return mean


def _spend(study: Study, lanes: Lanes, tune: Tune, say: Say) -> None:
    """Make trials until the budget is spent; those that were begun by then are finished."""
    begun, before = monotonic(), study.seconds
    while True:
        while len(study.running) < lanes.count and _is_left(study, tune):
            trial = study.ask(tune.space)
            lanes.start(trial, 0, study.running[trial].params)
        if not study.running:
            return
        _take(study, lanes, lanes.next(), say)
        study.seconds = before + monotonic() - begun
        failpoint("fold_judged")


def _is_left(study: Study, tune: Tune) -> bool:
    in_time = tune.within is None or study.seconds < tune.within.total_seconds()
    return in_time and len(study.counted()) + len(study.running) < tune.trials


def _take(study: Study, lanes: Lanes, done: Done, say: Say) -> None:
    """Write down what a fold has said, and begin the next one of its trial, if that is still worth it."""
    params = study.running[done.trial].params
    if study.goes_on(done):
        lanes.start(done.trial, done.fold + 1, params)
    else:
        say(f"trial {len(study.counted())}: {params}")


def _best(found: Found) -> dict[str, Any]:
    """Return the parameters of the trial that did best, the first of equals; none where those declared did as well."""
    best, params = found.default, dict[str, Any]()
    for trial in found.trials:
        if trial.value is not None and is_better(found.metric, trial.value, best):
            best, params = trial.value, dict(trial.params)
    return params
