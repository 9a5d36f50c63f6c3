"""The event log in batches answers as Dagster's own does."""

import gc
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from headrace.project import EVENTS_AT_ONCE
from headrace.resources import EventLog, RunStorage, ScheduleStorage

ROOT = Path(__file__).parents[1]
DAYS = dg.DailyPartitionsDefinition("2024-01-01", end_date="2024-02-01")
SINGLE = dg.BackfillPolicy.single_run()


@dg.asset(partitions_def=DAYS, backfill_policy=SINGLE)
def orders(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
    """Orders."""
    return dg.MaterializeResult(
        metadata={"days": len(context.partition_keys)},
        data_version=dg.DataVersion("abc"),
        tags={"kind": "test"},
    )


@dg.asset_check(asset=orders)
def rows() -> dg.AssetCheckResult:
    """Rows are there."""
    return dg.AssetCheckResult(passed=True)


@dg.asset(partitions_def=DAYS, backfill_policy=SINGLE, deps=[orders], code_version="1")
def habits(context: dg.AssetExecutionContext) -> None:
    """Habits; one day of them fails when the run's tag says so."""
    if "fail" in context.run.tags:
        raise dg.Failure("planned and not made")


DEFS = dg.Definitions(assets=[orders, habits], asset_checks=[rows], jobs=[dg.define_asset_job("all", "*")])


def settings() -> dict[str, Any]:
    text: dict[str, Any] = yaml.safe_load((ROOT / "dagster.yaml").read_text())
    return text


def instance_at(home: Path, text: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> dg.DagsterInstance:
    home.mkdir(exist_ok=True)
    (home / "dagster.yaml").write_text(yaml.safe_dump(text))
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    return dg.DagsterInstance.get()


def run(instance: dg.DagsterInstance, first: str, last: str, **tags: str) -> str:
    ranged = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last, **tags}
    job = DEFS.resolve_job_def("all")
    return job.execute_in_process(instance=instance, tags=ranged, raise_on_error=False).run_id


def known(instance: dg.DagsterInstance, runs: list[str]) -> dict[str, Any]:
    """Return what the UI and the sensors ask an instance for."""
    logs = [entry for run_id in runs for entry in instance.all_logs(run_id) if entry.dagster_event]
    answers: dict[str, Any] = {"events": Counter(entry.get_dagster_event().event_type_value for entry in logs)}
    for key in (orders.key, habits.key):
        last = instance.get_latest_materialization_event(key)
        record = instance.get_asset_records([key])[0].asset_entry
        answers[key.to_user_string()] = {
            "made": instance.get_materialized_partitions(key),
            "last": last.partition if (last := last and last.asset_materialization) else None,
            "tags": {k: (last.tags or {}).get(k) for k in ("kind", "dagster/data_version")} if last else None,
            "last_run": runs.index(record.last_run_id) if record.last_run_id else None,
            "counts": instance.event_log_storage.get_materialized_partitions(key),
            "planned": len(
                instance.event_log_storage.get_event_records(
                    dg.EventRecordsFilter(dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED, asset_key=key)
                )
            ),
            "failed": instance.event_log_storage.get_latest_asset_partition_materialization_attempts_without_materializations(
                key
            ).keys(),
        }
    check = instance.event_log_storage.get_latest_asset_check_execution_by_key([dg.AssetCheckKey(orders.key, "rows")])
    answers["check"] = [record.status.value for record in check.values()]
    return answers


def history(instance: dg.DagsterInstance) -> list[str]:
    return [
        run(instance, "2024-01-01", "2024-01-20"),
        run(instance, "2024-01-18", "2024-01-31", fail="yes"),
    ]


@pytest.mark.slow
def test_what_is_written_in_batches_reads_as_what_dagster_writes_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", EVENTS_AT_ONCE)
    with instance_at(tmp_path / "ours", settings(), monkeypatch) as instance:
        assert isinstance(instance.event_log_storage, EventLog)
        assert isinstance(instance.run_storage, RunStorage)
        assert isinstance(instance.schedule_storage, ScheduleStorage)
        runs = history(instance)
        ours = known(instance, runs)

    theirs_settings = {name: value for name, value in settings().items() if not name.endswith("_storage")}
    monkeypatch.delenv("DAGSTER_EVENT_BATCH_SIZE")
    monkeypatch.setenv("DAGSTER_EMIT_PARTITION_SUBSET_IN_PLANNED_EVENTS", "true")
    with instance_at(tmp_path / "theirs", theirs_settings, monkeypatch) as instance:
        theirs = known(instance, history(instance))
    assert ours == theirs
    assert len(ours["orders"]["made"]) == 31
    assert not ours["habits"]["failed"], "days of a failed run stay as they were: the price of one event for all days"

    with instance_at(tmp_path / "ours", theirs_settings, monkeypatch) as instance:
        assert not isinstance(instance.event_log_storage, EventLog)
        assert known(instance, runs) == ours


def open_files(home: Path) -> set[str]:
    here = (os.path.realpath(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd"))
    return {Path(path).name for path in here if path.startswith(f"{home}/") and path.endswith(".db")}


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are listed by Linux alone")
def test_files_stay_open_until_the_instance_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with instance_at(tmp_path / "home", settings(), monkeypatch) as instance:
        instance.get_runs()
        instance.all_instigator_state()
        instance.get_asset_keys()
        assert open_files(tmp_path / "home") == {"runs.db", "schedules.db", "index.db"}
    del instance
    gc.collect()  # Dagster does not say to the storage of schedules that its instance is closed.
    assert not open_files(tmp_path / "home")


def test_threads_may_read_and_write_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        instance_at(tmp_path / "home", settings(), monkeypatch) as instance,
        ThreadPoolExecutor(8) as threads,
    ):

        def note(number: int) -> None:
            name = f"of {number}"
            instance.run_storage.set_cursor_values({name: str(number)})
            assert instance.run_storage.get_cursor_values({name}) == {name: str(number)}
            instance.report_runless_asset_event(dg.AssetMaterialization(name.replace(" ", "_")))
            assert not instance.all_instigator_state()

        list(threads.map(note, range(40)))
        assert len(instance.get_asset_keys()) == 40
