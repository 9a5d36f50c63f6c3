"""raw/<source> in Dagster: one run for many days, checks that say what is wrong, good files kept."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from headrace.sources.assets import source_assets
from headrace.sources.declaration import Source
from headrace.store.site import Site
from platform_tests.sources.ferries import CROSSINGS, RAW, SHIPS, crossing, csv, ferry_line, land_file, raw_rows

RAW_KEY = dg.AssetKey(["ferry", "raw", "crossings"])


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return ferry_line(tmp_path)


def run(
    site: Site, first: str, last: str, instance: dg.DagsterInstance | None = None, source: Source = CROSSINGS
) -> Any:
    return dg.materialize(
        source_assets(site, {"crossings": source}),
        tags={"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last},
        raise_on_error=False,
        instance=instance,
    )


def check(result: Any, name: str) -> dg.AssetCheckEvaluation:
    return next(e for e in result.get_asset_check_evaluations() if e.check_name == name)


def test_many_days_are_one_step(site: Site) -> None:
    land_file(site, "crossings/a.csv", csv(crossing(n, f"2013-03-{n:02d}") for n in range(1, 11)))
    result = run(site, "2013-03-01", "2013-03-10")
    assert result.success
    assert [e.step_key for e in result.get_step_success_events()].count("ferry__raw__crossings") == 1
    assert check(result, "files").passed
    assert {e.partition for e in result.get_asset_materialization_events()} == {
        f"2013-03-{n:02d}" for n in range(1, 11)
    }


def test_a_refused_file_fails_the_check_with_its_reason_and_the_good_files_are_kept(site: Site) -> None:
    land_file(site, "crossings/a.csv", csv([crossing(1)]))
    land_file(site, "crossings/b.csv", csv([crossing(2)]))
    land_file(site, "crossings/c.csv", "crossing,departs,ship\nc003,2013-03-05T12:00:00,Ada\n")
    result = run(site, "2013-03-05", "2013-03-05")
    files = check(result, "files")
    assert not result.success
    assert (files.passed, files.severity) == (False, dg.AssetCheckSeverity.ERROR)
    refused = files.metadata["refused"].records
    assert [record.data["file"] for record in refused] == ["landing/crossings/c.csv"]
    assert "lacks column 'passengers'" in str(refused[0].data["why"])
    assert raw_rows(site, "crossing") == [("c001",), ("c002",)]


def test_days_without_a_file_are_warned_of_by_name(site: Site) -> None:
    land_file(site, "crossings/a.csv", csv([crossing(1, "2013-03-04"), crossing(2, "2013-03-06")]))
    result = run(site, "2013-03-04", "2013-03-06")
    files = check(result, "files")
    assert result.success
    assert (files.passed, files.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert files.metadata["what"].value == "no file holds rows of 2013-03-05"


def test_a_late_row_makes_its_own_day_new(site: Site) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        land_file(site, "crossings/a.csv", csv([crossing(1, "2013-03-04")]))
        assert run(site, "2013-03-04", "2013-03-04", instance).success
        land_file(site, "crossings/b.csv", csv([crossing(2, "2013-03-04"), crossing(3, "2013-03-05")]))
        assert run(site, "2013-03-05", "2013-03-05", instance).success
        events = instance.fetch_materializations(RAW_KEY, limit=10).records
    materialized = [event.asset_materialization for event in events]
    versions = [m.tags["dagster/data_version"] for m in materialized if m and m.partition == "2013-03-04" and m.tags]
    assert len(versions) == len(set(versions)) == 2


def test_equal_rows_keep_the_data_version_so_that_nothing_downstream_is_stale(site: Site) -> None:
    land_file(site, "crossings/a.csv", csv([crossing(1, "2013-03-04")]))
    versions = set()
    for _ in range(2):
        events = run(site, "2013-03-04", "2013-03-04").get_asset_materialization_events()
        versions |= {e.materialization.tags["dagster/data_version"] for e in events if e.materialization.tags}
    assert len(versions) == 1


def test_nothing_landed_says_where_files_are_expected(site: Site) -> None:
    result = run(site, "2013-03-04", "2013-03-04")
    failure = result.get_step_failure_events()[0].step_failure_data
    assert not result.success
    assert f"no file matches {site.place.root}/landing/crossings/*.csv" in failure.user_failure_data.description
    assert not site.tables.exists(RAW)


def test_an_unpartitioned_source_is_one_table(site: Site) -> None:
    land_file(site, "ships.csv", "ship\nAda\n")
    result = dg.materialize(source_assets(site, {"ships": SHIPS}))
    assert result.success
    assert check(result, "files").passed


@pytest.mark.parametrize(("hours", "passed"), [(1, True), (40, False)])
def test_freshness_is_a_check_that_runs_with_the_data_and_alone(tmp_path: Path, hours: int, passed: bool) -> None:
    site = ferry_line(tmp_path, clock="replay")
    land_file(site, "crossings/a.csv", csv([crossing(1)]))
    site.place.replay_clock.write_text((datetime(2013, 3, 5, 17, tzinfo=UTC) + timedelta(hours=hours)).isoformat())
    source = CROSSINGS.model_copy(update={"fresh_within": timedelta(hours=36)})
    result = run(site, "2013-03-05", "2013-03-05", source=source)
    fresh = check(result, "freshness")
    assert (fresh.passed, fresh.metadata["value"].value, fresh.metadata["limit"].value) == (passed, float(hours), 36.0)
    defs = dg.Definitions(assets=source_assets(site, {"crossings": source}))
    alone = dg.AssetSelection.checks(dg.AssetCheckKey(RAW_KEY, "freshness"))
    job = dg.Definitions.merge(
        defs, dg.Definitions(jobs=[dg.define_asset_job("hourly", selection=alone)])
    ).resolve_job_def("hourly")
    assert check(job.execute_in_process(), "freshness").passed is passed


def test_how_fresh_a_source_should_be_does_not_change_how_it_is_read(site: Site) -> None:
    versions = set()
    for source in (CROSSINGS, CROSSINGS.model_copy(update={"fresh_within": timedelta(hours=1)})):
        versions |= {spec.code_version for spec in source_assets(site, {"crossings": source})[0].specs}
    changed = CROSSINGS.model_copy(update={"nulls": ["?"]})
    assert len(versions) == 1
    assert {spec.code_version for spec in source_assets(site, {"crossings": changed})[0].specs} != versions
