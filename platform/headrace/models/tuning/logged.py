"""Trials as MLflow shows them."""

from headrace.models.tuning.search import Found
from headrace.models.tuning.study import Trial
from headrace.store.story import LoggedTrial


def logged_trials(found: Found) -> list[LoggedTrial]:
    """Return the trials of a search as runs: a metric for each fold, and the mean of those that were not given up."""
    return [_logged(trial, found.metric) for trial in found.trials]


def _logged(trial: Trial, metric: str) -> LoggedTrial:
    folds = [(f"{metric}_of_fold", step, value) for step, value in enumerate(trial.folds) if value is not None]
    mean = [] if trial.value is None else [(metric, 0, trial.value)]
    where = ", ".join(dict.fromkeys(trial.where))
    return LoggedTrial(
        name=f"trial {trial.number}",
        params={name: str(value) for name, value in trial.params.items()},
        metrics=[*folds, *mean],
        begun=trial.begun,
        ended=trial.ended,
        end="KILLED" if trial.value is None else "FINISHED",
        tags={"state": "pruned" if trial.value is None else "judged", "where": where},
    )
