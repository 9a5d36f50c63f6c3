"""A product's MLflow run, as a resource of the steps that have something to tell."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import dagster as dg
from dagster import DagsterEventType, DagsterRunStatus

from headrace.core.errors import StoreError
from headrace.core.failpoints import failpoint
from headrace.resources import lost_process
from headrace.store import runs
from headrace.store.site import Site
from headrace.store.story import End, Origin, Story
from headrace.store.tell import prepared, tell_waiting

ENDS: dict[DagsterRunStatus, End] = {
    DagsterRunStatus.SUCCESS: "FINISHED",
    DagsterRunStatus.FAILURE: "FAILED",
    DagsterRunStatus.CANCELED: "KILLED",
}
"""How MLflow calls the ends of a Dagster run."""


def mlflow_key(product: str) -> str:
    """Return the resource key of a product's MLflow run: each product has its own experiment."""
    return f"mlflow__{product}"


def mlflow_resources(site: Site) -> dict[str, dg.ResourceDefinition]:
    """Return the resource through which a product's trainings reach MLflow."""
    product = site.product.product

    @dg.resource(description=f"MLflow experiment '{product}', one MLflow run a Dagster run.")
    def mlflow(context: dg.InitResourceContext) -> Iterator[Tracking]:
        tracking = Tracking(site, context)
        yield tracking
        tracking.close(failed=_has_failed(context))

    return {mlflow_key(product): mlflow}


@dataclass
class Tracking:
    """The MLflow run of a Dagster run: dagster-mlflow's own, begun by the first step that has something to log.

    Importing MLflow takes seconds, which a run that has nothing to do should not spend. Whatever is told stands on the
    disk first, so that it is told by the next one who comes by where MLflow does not answer now.
    """

    site: Site
    context: dg.InitResourceContext
    started: bool = False
    """Whether dagster-mlflow has the run open."""
    _is_open: bool = False
    """Whether nobody has said how the run ended."""
    _delegate: Any = None

    @property
    def origin(self) -> Origin:
        """Who tells, and when."""
        run = self.context.run
        assert run, "a step has a run"
        return Origin(run=run.run_id, job=run.job_name, at=datetime.now(UTC))

    def start(self) -> None:
        """Tell what waits, find or begin the run, and end those that killed runs have left; a warning where MLflow is away."""
        self._is_open = True
        try:
            self._start()
        except StoreError as error:
            self._warn(error)

    def tell(self, story: Story) -> str:
        """Tell MLflow a story, now or later; return its model's version in the registry, or why there is none yet.

        Raises DiskFull where it cannot even be kept.
        """
        self._is_open = story.end is None
        self.site.spool.put(story)
        try:
            self._start()
            told = tell_waiting(self.site)
            if story.end:
                self._let_go(story.end)
        except StoreError as error:
            self._warn(error)
            return f"not told yet: {error}"
        for trouble in told.troubles:
            dg.get_dagster_logger().warning(trouble)
        return told.versions.get(story.model, "none")

    def close(self, *, failed: bool) -> None:
        """Tell how the run ended, where nobody has yet."""
        end: End = "FAILED" if failed else "FINISHED"
        if self._is_open:
            self.tell(Story(origin=self.origin, part="end", end=end))
        try:
            self._let_go(end)
        except StoreError as error:
            self._warn(error)

    def _let_go(self, end: End) -> None:
        """End the run that dagster-mlflow has open: it is nobody's active run from then on, even where MLflow is away."""
        if self.started:
            self.started = False
            runs.finish(end)

    def _start(self) -> None:
        if self.started:
            return
        mlflow, product = prepared(self.site), self.site.product.product
        tell_waiting(self.site)
        runs.end_lost(product, self._end_of)
        with runs.answering():
            client = mlflow.MlflowClient()
            run = runs.run_of(client, product, self.origin)
        from dagster_mlflow import mlflow_tracking

        uri = self.site.place.mlflow_uri
        config = {"experiment_name": product, "mlflow_tracking_uri": uri, "env": {}, "extra_tags": {}}
        self._delegate = mlflow_tracking.resource_fn(self.context.replace_config(config))
        self.started = True
        with runs.answering():
            next(self._delegate)
            # dagster-mlflow gives a run the name of its job each time it opens it.
            client.update_run(run.info.run_id, name=run.info.run_name)
        failpoint("mlflow_started")

    def _warn(self, error: StoreError) -> None:
        dg.get_dagster_logger().warning(f"{error} What it is to be told waits on the disk, for whoever comes next.")

    def _end_of(self, run_id: str) -> End | None:
        """Return how a Dagster run ended; None while it is at work, and where this instance does not know it."""
        instance = self.context.instance
        run = instance.get_run_by_id(run_id) if instance and run_id else None
        if instance is None or run is None or run_id == self.context.run_id:
            return None
        return ENDS.get(run.status) or ("KILLED" if lost_process(instance, run) else None)


def _has_failed(context: dg.InitResourceContext) -> bool:
    if context.instance is None or context.run is None:
        return False
    return bool(context.instance.all_logs(context.run.run_id, of_type=DagsterEventType.STEP_FAILURE))
