"""Where folds of trials are computed: here, one at a time, or on a cluster."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from headrace.models.split import Split
from headrace.models.tuning.folds import Task, fold_value


@dataclass(frozen=True)
class Done:
    """A fold of a trial that was computed: which, with what number, where."""

    trial: int
    fold: int
    value: float | None
    where: str


class Lanes(Protocol):
    """Who computes folds of trials."""

    @property
    def count(self) -> int:
        """How many folds at once."""

    def start(self, trial: int, fold: int, params: Mapping[str, Any]) -> None:
        """Begin a fold of a trial."""

    def next(self) -> Done:
        """Return a fold that was begun and is ready now; raises what went wrong with it."""


class HereLanes:
    """One fold at a time, in this process."""

    count = 1

    def __init__(self, folds: Sequence[Split], task: Task) -> None:
        self._folds, self._task = folds, task
        self._waiting: list[tuple[int, int, Mapping[str, Any]]] = []

    def start(self, trial: int, fold: int, params: Mapping[str, Any]) -> None:
        """Remember the fold."""
        self._waiting.append((trial, fold, params))

    def next(self) -> Done:
        """Compute the fold that was begun first."""
        trial, fold, params = self._waiting.pop(0)
        return Done(trial, fold, fold_value(self._folds[fold], self._task, params), "here")
