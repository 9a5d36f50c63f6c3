"""What Dagster works with here: the instance's event log, and a product's MLflow run."""

import functools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import dagster as dg
from dagster import DagsterEventType, DagsterRunStatus, EventLogEntry, RunsFilter
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationPlanned
from dagster._core.events import ASSET_EVENTS
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus
from dagster._core.launcher.default_run_launcher import DefaultRunLauncher
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._serdes import ConfigurableClassData

from headrace.core.errors import Refused, StoreError
from headrace.core.failpoints import failpoint
from headrace.core.processes import is_gone
from headrace.store import runs
from headrace.store.doctor import Finding
from headrace.store.story import End, Origin, Story
from headrace.store.tell import prepared, tell_waiting

if TYPE_CHECKING:
    from headrace.store.site import Site

UNDER_WAY = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]

ENDS: dict[DagsterRunStatus, End] = {
    DagsterRunStatus.SUCCESS: "FINISHED",
    DagsterRunStatus.FAILURE: "FAILED",
    DagsterRunStatus.CANCELED: "KILLED",
}
"""How MLflow calls the ends of a Dagster run."""


class EventLog(SqliteEventLogStorage):
    """Dagster's own SQLite event log, which writes a batch of events in one transaction.

    A range of days has an event for each day of each table; Dagster's class opens, commits and closes two files for
    each of them. Files and tables stay as Dagster made them: either class reads what the other wrote. Batches are
    on where `DAGSTER_EVENT_BATCH_SIZE` is set.

    What is planned is one event an asset and one row a check, not one a day: a run that finds a year of days as they
    should be would spend most of its time on saying which days it will look at. The price is Dagster's own:
    days that a failed run left undone are not marked as failed, but stay as they were.
    """

    @property
    def supports_partition_subset_in_asset_materialization_planned_events(self) -> bool:
        """Whether one planned event may stand for many days."""
        return True

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:
        """Return the log of the instance in the folder `base_dir`, where Dagster looks for it too."""
        return cls(str(Path(config_value["base_dir"], "history", "runs")), inst_data)

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store the events of one run: all those of assets at once, the others one by one."""
        of_assets = [event for event in events if event.dagster_event_type in ASSET_EVENTS]
        if of_assets:
            self._store_asset_events(of_assets)
        for event in events:
            if event.dagster_event_type not in ASSET_EVENTS:
                self.store_event(event)

    def _store_asset_check_evaluation_planned(self, event: EventLogEntry, event_id: int | None) -> None:
        """Store one row for a check that looks at many days at once: its result fills that row."""
        dagster_event = event.dagster_event
        planned = dagster_event.event_specific_data if dagster_event else None
        if dagster_event and isinstance(planned, AssetCheckEvaluationPlanned):
            whole = AssetCheckEvaluationPlanned(asset_key=planned.asset_key, check_name=planned.check_name)
            event = event._replace(dagster_event=dagster_event._replace(event_specific_data=whole))
        super()._store_asset_check_evaluation_planned(event, event_id)

    def _store_asset_events(self, events: Sequence[EventLogEntry]) -> None:
        insert = SqlEventLogStorageTable.insert()
        rows = [self._event_to_row(event) for event in events]
        with self.run_connection(events[0].run_id) as run:
            run.execute(insert, rows)
        with self.index_transaction() as index:
            numbers = [index.execute(insert, row).lastrowid for row in rows]
            self._store_asset_event_tags(index, events, numbers)
            # What is known of an asset is its last event: the earlier ones of this batch would be overwritten.
            last = {row["asset_key"]: (event, number) for row, event, number in zip(rows, events, numbers, strict=True)}
            for event, number in last.values():
                self._store_asset_event(index, event, number)


class RunLauncher(DefaultRunLauncher):
    """Dagster's own launcher, which can also say whether the process of a run is still there.

    Dagster's run monitoring asks that of other launchers and fails runs whose process is gone; of its default
    launcher it does not, so that a run whose process was killed stays STARTED until its longest runtime.
    """

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Whether run monitoring may ask."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Return NOT_FOUND for a run whose process is gone."""
        pid = lost_process(self._instance, run)
        if pid is None:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(
            WorkerStatus.NOT_FOUND, f"its process {pid} is gone: killed, or the machine stopped"
        )


def lost_process(instance: dg.DagsterInstance, run: dg.DagsterRun) -> int | None:
    """Return the number of the process of a run that has started, if that process is gone."""
    starts = instance.all_logs(run.run_id, of_type=DagsterEventType.RUN_START)
    pid = starts[-1].dagster_event.pid if starts and starts[-1].dagster_event else None
    if pid is None or not is_gone(pid, datetime.fromtimestamp(starts[-1].timestamp, UTC)):
        return None
    return pid


@contextmanager
def instance_findings() -> Iterator[list[Finding]]:
    """Yield what is wrong with the project's Dagster instance, and may be mended meanwhile."""
    with dg.DagsterInstance.get() as instance:
        yield list(lost_runs(instance))


def lost_runs(instance: dg.DagsterInstance) -> Iterator[Finding]:
    """Yield the runs that Dagster calls started and whose process is gone; mending fails them and frees their slots."""
    for run in instance.get_runs(RunsFilter(statuses=[DagsterRunStatus.STARTED])):
        pid = lost_process(instance, run)
        if pid is not None:
            why = f"Dagster calls it started, but its process {pid} is gone: killed, or the machine stopped"
            advice = "a daemon fails it by itself within seconds, or: headrace doctor --mend"
            yield Finding(f"run {run.run_id[:8]}", why, advice, functools.partial(_fail, instance, run, pid))


def refuse_while_running() -> None:
    """Raise Refused while a run of the project's instance is waiting or under way."""
    with dg.DagsterInstance.get() as instance:
        runs = instance.get_runs(RunsFilter(statuses=UNDER_WAY), limit=1)
    if runs:
        raise Refused(
            f"Run {runs[0].run_id[:8]} is {runs[0].status.value.lower()}. Nothing was changed: wait for it, or terminate it "
            "in Dagster. If its process is gone: headrace doctor --mend"
        )


def refuse_runs_since(moment: datetime) -> None:
    """Raise Refused where a run was asked for after a moment: it may have read what was there before, and write it."""
    with dg.DagsterInstance.get() as instance:
        runs = instance.get_runs(RunsFilter(created_after=moment), limit=1)
    if runs:
        raise Refused(
            f"Run {runs[0].run_id[:8]} began meanwhile, and may have written rows back that it had read before. The work is "
            "done but for that: call this again when the run is over."
        )


def _fail(instance: dg.DagsterInstance, run: dg.DagsterRun, pid: int) -> None:
    instance.report_run_failed(
        run, f"Its process {pid} is gone: killed, or the machine stopped. Failed by headrace doctor."
    )
    if instance.event_log_storage.supports_global_concurrency_limits:
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)


def mlflow_key(product: str) -> str:
    """Return the resource key of a product's MLflow run: each product has its own experiment."""
    return f"mlflow__{product}"


def mlflow_resources(site: "Site") -> dict[str, dg.ResourceDefinition]:
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

    site: "Site"
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
