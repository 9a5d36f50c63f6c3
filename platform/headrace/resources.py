"""What Dagster's instance works with here: its files, and how it starts runs and knows of lost ones."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Self

import dagster as dg
from dagster import DagsterEventType, DagsterRunStatus, EventLogEntry, RunsFilter
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationPlanned
from dagster._core.events import ASSET_EVENTS
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus
from dagster._core.launcher.default_run_launcher import DefaultRunLauncher
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME, SqliteEventLogStorage
from dagster._core.storage.runs.sqlite.sqlite_run_storage import SqliteRunStorage
from dagster._core.storage.schedules.sqlite.sqlite_schedule_storage import SqliteScheduleStorage
from dagster._core.storage.sql import create_engine
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._serdes import ConfigurableClassData

from headrace.core.errors import Refused
from headrace.core.processes import is_gone
from headrace.store.doctor import Finding

UNDER_WAY = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]


class OpenFile:
    """A SQLite file of Dagster's that stays open.

    Dagster's classes open one anew for whatever they read or write: SQL is compiled each time, and whoever closes a file
    last has its journal written back and waits for the disk.
    """

    def __init__(self, address: str) -> None:
        self._engine = create_engine(address, max_overflow=-1, connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS})

    @contextmanager
    def connect(self) -> Iterator[Any]:
        """Yield a connection in a transaction of its own."""
        with self._engine.connect() as connection, connection.begin():
            yield connection

    def close(self) -> None:
        """Close what is open; the next to connect opens it again."""
        self._engine.dispose()


class RunStorage(SqliteRunStorage):
    """Dagster's own SQLite file of runs, which stays open."""

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:
        """Return the runs of the instance in the folder `base_dir`, where Dagster looks for them too."""
        return cls.from_local(str(Path(config_value["base_dir"], "history")), inst_data)

    @cached_property
    def _file(self) -> OpenFile:
        return OpenFile(self._conn_string)

    @contextmanager
    def connect(self) -> Iterator[Any]:
        """Yield a connection in a transaction of its own."""
        with self._file.connect() as connection:
            yield connection

    def dispose(self) -> None:
        """Close the file."""
        self._file.close()


class ScheduleStorage(SqliteScheduleStorage):
    """Dagster's own SQLite file of what sensors and schedules have said, which stays open."""

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:
        """Return what was said in the instance in the folder `base_dir`, where Dagster looks for it too."""
        opened = cls.from_local(str(Path(config_value["base_dir"], "schedules")), inst_data)
        assert isinstance(opened, cls)
        return opened

    @cached_property
    def _file(self) -> OpenFile:
        return OpenFile(self._conn_string)

    @contextmanager
    def connect(self) -> Iterator[Any]:
        """Yield a connection in a transaction of its own."""
        with self._file.connect() as connection:
            yield connection


class EventLog(SqliteEventLogStorage):
    """Dagster's own SQLite event log, which writes a batch of events in one transaction, and whose index stays open.

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

    @cached_property
    def _index(self) -> OpenFile:
        return OpenFile(self.conn_string_for_shard(INDEX_SHARD_NAME))

    def index_connection(self) -> AbstractContextManager[Any]:
        """Return a connection to what is known across runs, in a transaction of its own."""
        return self._index.connect()

    def dispose(self) -> None:
        """Close the index, and watch no run any more."""
        self._index.close()
        super().dispose()

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
            yield Finding(f"run {run.run_id[:8]}", why, advice, partial(_fail, instance, run, pid))


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
