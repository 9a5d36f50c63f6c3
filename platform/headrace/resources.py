"""What Dagster works with here: the instance's event log, and a product's MLflow run."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import dagster as dg
from dagster import DagsterEventType, EventLogEntry
from dagster._core.events import ASSET_EVENTS
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._serdes import ConfigurableClassData

from headrace.store import runs

if TYPE_CHECKING:
    from headrace.store.site import Site


class EventLog(SqliteEventLogStorage):
    """Dagster's own SQLite event log, which writes a batch of events in one transaction.

    A range of days has an event for each day of each table; Dagster's class opens, commits and closes two files for
    each of them. Files and tables stay as Dagster made them: either class reads what the other wrote. Batches are
    on where `DAGSTER_EVENT_BATCH_SIZE` is set.
    """

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
        if tracking.started:
            runs.finish(failed=_has_failed(context))

    return {mlflow_key(product): mlflow}


@dataclass
class Tracking:
    """The MLflow run of a Dagster run: dagster-mlflow's own, begun by the first step that has something to log.

    Importing MLflow takes seconds, which a run that has nothing to do should not spend.
    """

    site: "Site"
    context: dg.InitResourceContext
    started: bool = False
    _delegate: Any = None

    def start(self) -> None:
        """Find or begin the run."""
        if self.started:
            return
        product, place = self.site.product.product, self.site.place
        runs.prepare(place.mlflow_uri, product, place.home / "mlflow" / product)
        from dagster_mlflow import mlflow_tracking

        config = {"experiment_name": product, "mlflow_tracking_uri": place.mlflow_uri, "env": {}, "extra_tags": {}}
        self._delegate = mlflow_tracking.resource_fn(self.context.replace_config(config))
        next(self._delegate)
        self.started = True


def _has_failed(context: dg.InitResourceContext) -> bool:
    if context.instance is None or context.run is None:
        return False
    return bool(context.instance.all_logs(context.run.run_id, of_type=DagsterEventType.STEP_FAILURE))
