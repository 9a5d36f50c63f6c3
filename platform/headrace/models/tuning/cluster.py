"""Trials on a Ray cluster: each fold of each trial is a task, over rows that are put into the cluster once."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from headrace.core.errors import StoreError
from headrace.models.cluster import connected
from headrace.models.split import Split
from headrace.models.tuning.folds import Task, fold_value
from headrace.models.tuning.lanes import Done
from headrace.store.code import code_files

ON = ("model", "tune", "on")


class RayLanes:
    """As many folds at once as the cluster has processors."""

    def __init__(self, folds: Sequence[Split], task: Task) -> None:
        """Put the rows, and the user's own code where the trainer is, into the cluster that this process is connected to."""
        import ray

        self.count = max(1, int(ray.cluster_resources().get("CPU", 1)))
        self._compute = ray.remote(num_cpus=1)(fold_on_node)
        self._folds = [ray.put(fold) for fold in folds]
        # A trial is a task on one node: a model that workers learn together is learned by that one alone there.
        alone = task.model.model_copy(update={"tune": None, "trainer": task.model.learner})
        self._task = ray.put(replace(task, model=alone))
        self._code = ray.put(code_files(task.beside.folder) if task.model.functions else {})
        self._running: dict[Any, tuple[int, int]] = {}

    def start(self, trial: int, fold: int, params: Mapping[str, Any]) -> None:
        """Hand the fold to the cluster."""
        started = self._compute.remote(self._folds[fold], self._task, self._code, dict(params))
        self._running[started] = (trial, fold)

    def next(self) -> Done:
        """Wait for the fold that is ready first."""
        import ray

        [ready], _ = ray.wait(list(self._running), num_returns=1)
        trial, fold = self._running.pop(ready)
        try:
            value, node = ray.get(ready)
        except ray.exceptions.RayTaskError as error:
            raise error.cause from error
        except ray.exceptions.RayError as error:
            raise StoreError(
                f"Fold {fold + 1} of trial {trial} was lost on the Ray cluster: {error}. Run this again: the study goes on."
            ) from error
        return Done(trial, fold, value, node)


def fold_on_node(
    fold: Split, task: Task, code: Mapping[str, bytes], params: Mapping[str, Any]
) -> tuple[float | None, str]:
    """Return the value of a fold, and the node of the cluster that computed it."""
    import ray

    node = str(ray.get_runtime_context().get_node_id())
    if not code:
        return fold_value(fold, task, params), node
    with tempfile.TemporaryDirectory(prefix="headrace-trial-") as folder:
        for name, data in code.items():
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return fold_value(fold, replace(task, beside=replace(task.beside, folder=Path(folder))), params), node


@contextmanager
def running_on_ray(address: str | None, folds: Sequence[Split], task: Task) -> Iterator[RayLanes]:
    """Yield lanes on the cluster at an address, `host:port`, as long as they are used; raises as `connected`."""
    with connected(address, ON):
        yield RayLanes(folds, task)
