"""A study: the trials that were made, in a file of their own, so that a killed search goes on where it was.

Each trial's chance is seeded by its own number: a search that was killed and went on tries what one that was not tries.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock

from headrace.core.errors import DeclarationError
from headrace.models.headline import MORE_IS_BETTER
from headrace.models.tuning.folds import FOLDS
from headrace.models.tuning.lanes import Done
from headrace.models.tuning.space import Dimension, Range
from headrace.store.studies import lock_of

if TYPE_CHECKING:
    import optuna

NAME = "study"
DEFAULT, SECONDS, VALUES, WHERE = "default", "seconds", "values", "where"
LEAST_FOR_IMPORTANCES = 4
"""Fewer trials say nothing about what made them good or bad."""


@dataclass(frozen=True)
class Trial:
    """One set of parameters, and how it did."""

    number: int
    """From 0 on, in the order in which trials were begun; those that were killed do not count."""
    params: Mapping[str, Any]
    folds: list[float | None]
    """The value on each fold, as far as it came."""
    value: float | None
    """The mean over all folds; None for a trial that was given up."""
    begun: datetime
    ended: datetime
    where: list[str]
    """Where each fold was computed: `here`, or the nodes of the cluster."""

    @property
    def seconds(self) -> float:
        """How long it took."""
        return (self.ended - self.begun).total_seconds()

    def listed(self, metric: str) -> dict[str, Any]:
        """Return the trial as a row of a table."""
        state = "judged" if self.value is not None else f"pruned after fold {len(self.folds)}"
        folds = ", ".join("no number" if value is None else f"{value:.4f}" for value in self.folds)
        told = {metric: "" if self.value is None else self.value, "folds": folds, "seconds": round(self.seconds, 2)}
        return {"trial": self.number, "state": state, **told, **self.params}


class Study:
    """The trials of one search, as Optuna keeps them."""

    def __init__(self, study: "optuna.Study", seed: int) -> None:
        self._study, self._seed = study, seed
        self.running: dict[int, optuna.Trial] = {}

    @property
    def default(self) -> float | None:
        """What the declared parameters reach; None as long as they were not judged."""
        found: float | None = self._study.user_attrs.get(DEFAULT)
        return found

    @default.setter
    def default(self, value: float) -> None:
        self._study.set_user_attr(DEFAULT, value)

    @property
    def seconds(self) -> float:
        """How long trials have taken so far, over all attempts."""
        return float(self._study.user_attrs.get(SECONDS, 0.0))

    @seconds.setter
    def seconds(self, value: float) -> None:
        self._study.set_user_attr(SECONDS, value)

    def counted(self) -> list[Trial]:
        """Return the trials that came to an end, in the order in which they were begun."""
        ended = [
            trial for trial in self._study.get_trials(deepcopy=False) if trial.state.name in ("COMPLETE", "PRUNED")
        ]
        return [_trial(number, trial) for number, trial in enumerate(ended)]

    def ask(self, space: Mapping[str, Dimension]) -> int:
        """Begin a trial, and return its number here."""
        from optuna.samplers import TPESampler

        place = len(self.counted()) + len(self.running)
        [seed] = np.random.SeedSequence([self._seed, place]).generate_state(1)
        self._study.sampler = TPESampler(seed=int(seed))
        trial = self._study.ask({name: _distribution(dimension) for name, dimension in space.items()})
        self.running[trial.number] = trial
        return trial.number

    def goes_on(self, done: Done) -> bool:
        """Write down what a fold of a trial has said, and return whether its next fold is worth it."""
        from optuna.trial import TrialState

        trial = self.running[done.trial]
        values = [*trial.user_attrs.get(VALUES, []), done.value]
        trial.set_user_attr(VALUES, values)
        trial.set_user_attr(WHERE, [*trial.user_attrs.get(WHERE, []), done.where])
        if done.value is None:
            self._study.tell(trial, state=TrialState.PRUNED)
        else:
            mean = sum(values) / len(values)
            trial.report(mean, done.fold)
            if len(values) == FOLDS:
                self._study.tell(trial, mean)
            elif trial.should_prune():
                self._study.tell(trial, state=TrialState.PRUNED)
            else:
                return True
        del self.running[done.trial]
        return False

    def importances(self) -> dict[str, float]:
        """Return each parameter's share in what made trials good or bad (PED-ANOVA), the greatest first; none of few trials.

        Source: S. Watanabe, A. Bansal, F. Hutter, PED-ANOVA (IJCAI 2023).
        """
        from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

        judged = [trial for trial in self.counted() if trial.value is not None]
        if len(judged) < LEAST_FOR_IMPORTANCES or len({trial.value for trial in judged}) < 2:
            return {}
        return {
            name: float(share)
            for name, share in get_param_importances(self._study, evaluator=PedAnovaImportanceEvaluator()).items()
        }


@contextmanager
def open_study(path: Path, metric: str, seed: int) -> Iterator[Study]:
    """Yield the study in a file, for one process at a time; trials that nobody makes any more have failed.

    Raises DeclarationError where Optuna is not installed.
    """
    if find_spec("optuna") is None:
        raise DeclarationError("Optuna is not installed: pip install 'headrace[tune]'", ("model", "tune"))
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(lock_of(path.parent)):
        storage = optuna.storages.RDBStorage(f"sqlite:///{path}")
        study = optuna.create_study(
            storage=storage,
            study_name=NAME,
            load_if_exists=True,
            direction="maximize" if metric in MORE_IS_BETTER else "minimize",
            pruner=optuna.pruners.MedianPruner(),
        )
        for trial in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
            study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
        try:
            yield Study(study, seed)
        finally:
            storage.remove_session()
            storage.engine.dispose()


def _distribution(dimension: Dimension) -> "optuna.distributions.BaseDistribution":
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if not isinstance(dimension, Range):
        return CategoricalDistribution(dimension.values)
    if dimension.is_whole:
        return IntDistribution(int(dimension.least), int(dimension.greatest), log=dimension.is_log)
    return FloatDistribution(float(dimension.least), float(dimension.greatest), log=dimension.is_log)


def _trial(number: int, trial: "optuna.trial.FrozenTrial") -> Trial:
    assert trial.datetime_start
    assert trial.datetime_complete
    return Trial(
        number=number,
        params=trial.params,
        folds=trial.user_attrs.get(VALUES, []),
        value=trial.value if trial.state.name == "COMPLETE" else None,
        begun=trial.datetime_start.astimezone(UTC),
        ended=trial.datetime_complete.astimezone(UTC),
        where=trial.user_attrs.get(WHERE, []),
    )
