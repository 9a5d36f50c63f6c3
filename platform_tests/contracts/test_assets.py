"""validated/<source> and quarantine/<source> in Dagster, with the contract as a check."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from headrace.contracts.assets import contract_assets
from headrace.contracts.declaration import Contract
from headrace.sources.assets import source_assets
from headrace.store.site import Site
from platform_tests.sources.ferries import CROSSINGS, SHIPS, crossing, csv, ferry_line, land_file

VALIDATED, ASIDE = "ferry/validated/crossings", "ferry/quarantine/crossings"
DECLARED: dict[str, Any] = {
    "columns": {
        "crossing": {"type": "string", "unique": True},
        "passengers": {"type": "integer", "min": 0, "max": 500},
    }
}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return ferry_line(tmp_path)


def run(site: Site, first: str = "2013-03-05", last: str = "2013-03-05", **more: Any) -> Any:
    sources, contracts = {"crossings": CROSSINGS}, {"crossings": Contract.model_validate(DECLARED | more)}
    return dg.materialize(
        [*source_assets(site, sources), *contract_assets(site, sources, contracts)],
        tags={"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last},
        raise_on_error=False,
    )


def contract_check(result: Any) -> dg.AssetCheckEvaluation:
    return next(e for e in result.get_asset_check_evaluations() if e.check_name == "contract")


def test_good_rows_pass(site: Site) -> None:
    land_file(site, "crossings/a.csv", csv([crossing(1), crossing(2)]))
    result = run(site)
    assert result.success
    assert contract_check(result).passed
    assert site.tables.read(VALIDATED).column_names == ["crossing", "passengers", "_day"]
    assert site.tables.read(ASIDE).num_rows == 0


def test_bad_rows_go_aside_with_counts_and_examples(site: Site) -> None:
    land_file(
        site,
        "crossings/a.csv",
        csv([*(crossing(n) for n in range(98)), crossing(98, passengers="-1"), crossing(99, passengers="?")]),
    )
    result = run(site)
    found = contract_check(result)
    assert result.success
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert (found.metadata["value"].value, found.metadata["limit"].value) == (0.02, 0.05)
    assert (
        found.metadata["what"].value
        == "2 of 100 rows break the contract, most by passengers min: passengers: -1 breaks min 0.0"
    )
    assert [record.data for record in found.metadata["failures"].records] == [
        {
            "column": "passengers",
            "rule": rule,
            "rows": 1,
            "examples": example,
            "on_fail": "quarantine",
            "severity": "share",
        }
        for rule, example in {
            "min": "passengers: -1 breaks min 0.0",
            "type": "passengers: '?' is no integer",
        }.items()
    ]
    assert (site.tables.read(VALIDATED).num_rows, site.tables.read(ASIDE).num_rows) == (98, 2)


def test_too_many_bad_rows_break_the_contract(site: Site) -> None:
    land_file(site, "crossings/a.csv", csv([crossing(1), crossing(2, passengers="?")]))
    result = run(site)
    assert result.success
    assert contract_check(result).severity == dg.AssetCheckSeverity.ERROR


@pytest.mark.parametrize("on_fail", ["quarantine", "fail"])
def test_whether_a_contract_is_broken_is_written_down_for_gates(site: Site, on_fail: str) -> None:
    assert site.findings.found("contract_crossings") is None
    for name, passengers, found in (("a", "?", 1), ("b", "5", 0)):
        land_file(site, "crossings/a.csv", csv([crossing(1), crossing(2, passengers=passengers)]))
        run(site, on_fail=on_fail)
        assert site.findings.found("contract_crossings") == found, name


def test_with_fail_nothing_goes_on_and_what_was_there_stays(site: Site) -> None:
    land_file(site, "crossings/a.csv", csv([crossing(1)]))
    assert run(site, on_fail="fail").success
    land_file(site, "crossings/b.csv", csv([crossing(2, passengers="?")]))
    result = run(site, on_fail="fail")
    assert not result.success
    assert (contract_check(result).passed, contract_check(result).severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert site.tables.read(VALIDATED)["crossing"].to_pylist() == ["c001"]


def test_only_the_days_of_the_run_are_replaced(site: Site) -> None:
    land_file(site, "crossings/a.csv", csv([crossing(1, "2013-03-05"), crossing(2, "2013-03-06")]))
    assert run(site, "2013-03-05", "2013-03-06").success
    land_file(site, "crossings/b.csv", csv([crossing(3, "2013-03-05"), crossing(4, "2013-03-06")]))
    assert run(site, "2013-03-06", "2013-03-06").success
    assert sorted(site.tables.read(VALIDATED)["crossing"].to_pylist()) == ["c001", "c002", "c004"]


def test_a_day_without_a_file_makes_empty_tables_and_no_failure(site: Site) -> None:
    land_file(site, "crossings/a.csv", csv([crossing(1, "2013-03-05")]))
    assert run(site, "2013-03-09", "2013-03-09").success
    assert site.tables.read(VALIDATED).num_rows == site.tables.read(ASIDE).num_rows == 0


def test_the_ui_shows_the_rules_as_constraints(site: Site) -> None:
    land_file(site, "crossings/a.csv", csv([crossing(1)]))
    events = run(site).get_asset_materialization_events()
    made = next(e.materialization for e in events if e.asset_key and e.asset_key.path == VALIDATED.split("/"))
    columns = {column.name: column for column in made.metadata["dagster/column_schema"].value.columns}
    assert columns["crossing"].constraints.unique
    assert columns["passengers"].type == "integer"
    assert columns["passengers"].constraints.other == ["min 0.0", "max 500.0"]


def test_equal_rows_keep_the_data_version(site: Site) -> None:
    land_file(site, "crossings/a.csv", csv([crossing(1)]))
    versions = set()
    for _ in range(2):
        for event in run(site).get_asset_materialization_events():
            if event.asset_key and event.asset_key.path == VALIDATED.split("/"):
                versions.add(event.materialization.tags["dagster/data_version"])
    assert len(versions) == 1


def test_a_single_rule_that_says_fail_lets_nothing_go_on(site: Site) -> None:
    land_file(site, "crossings/a.csv", csv([*(crossing(n) for n in range(9)), crossing(9, passengers="600")]))
    columns = DECLARED["columns"] | {"passengers": {"type": "integer", "max": 500, "on_fail": {"max": "fail"}}}
    result = run(site, columns=columns)
    assert not result.success
    assert contract_check(result).severity == dg.AssetCheckSeverity.ERROR
    assert not site.tables.exists(VALIDATED)


def test_a_day_with_too_few_rows_is_told_though_no_row_is_bad(site: Site) -> None:
    rows = [*(crossing(n, "2013-03-05") for n in range(10)), crossing(11, "2013-03-06")]
    land_file(site, "crossings/a.csv", csv(rows))
    result = run(site, "2013-03-05", "2013-03-06", volume={"over": "28d", "min_share": 0.5})
    found = contract_check(result)
    assert result.success
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert found.metadata["what"].value.startswith("No single row is bad, but 2013-03-06: 1 rows, 0.10 of the median")


def test_the_ui_shows_rules_of_the_row(site: Site) -> None:
    land_file(site, "crossings/a.csv", csv([crossing(1)]))
    more = {"rules": {"named": "crossing <> ''"}, "unique": ["crossing", "passengers"]}
    events = run(site, **more).get_asset_materialization_events()
    made = next(e.materialization for e in events if e.asset_key and e.asset_key.path == VALIDATED.split("/"))
    schema = made.metadata["dagster/column_schema"].value
    assert schema.constraints.other == ["unique crossing, passengers", "named: crossing <> ''"]


def test_small_memory_makes_more_commits_of_the_same_rows(site: Site) -> None:
    rows = [crossing(n, f"2013-03-{n % 9 + 1:02d}", ship="s" * 500) for n in range(900)]
    land_file(site, "crossings/a.csv", csv(rows))
    assert run(site, "2013-03-01", "2013-03-09", memory="1MiB").success
    assert len(site.tables.history(VALIDATED)) > 3
    assert sorted(site.tables.read(VALIDATED)["crossing"].to_pylist()) == sorted(row["crossing"] for row in rows)


def test_a_source_is_validated_after_those_that_it_references(site: Site) -> None:
    columns = {"ship": {"type": "string", "references": "ships.ship"}}
    contracts = {
        "crossings": Contract.model_validate({"columns": columns}),
        "ships": Contract.model_validate({"columns": {"ship": {"type": "string"}}}),
    }
    sources = {"crossings": CROSSINGS, "ships": SHIPS}
    land_file(site, "ships.csv", "ship\nAda\n")
    land_file(site, "crossings/a.csv", csv([crossing(1), crossing(2, ship="Bea")]))
    made = [*source_assets(site, sources), *contract_assets(site, sources, contracts)]
    graph = dg.Definitions(made).resolve_asset_graph()
    key = dg.AssetKey(VALIDATED.split("/"))
    assert "ferry/validated/ships" in {parent.to_user_string() for parent in graph.get(key).parent_keys}
    ships = [made_by for made_by in made if "ships" in str(made_by.keys)]
    assert dg.materialize(ships).success
    crossings = [made_by for made_by in made if made_by not in ships]
    days = {f"dagster/asset_partition_range_{end}": "2013-03-05" for end in ("start", "end")}
    assert dg.materialize(crossings, tags=days).success
    assert site.tables.read(ASIDE)["_reason"].to_pylist() == ["ship: Bea is not in ships.ship"]


def test_every_version_names_the_run_that_committed_it(site: Site) -> None:
    land_file(site, "crossings/a.csv", csv([crossing(1)]))
    made = run(site)
    for table in ("ferry/raw/crossings", VALIDATED, ASIDE):
        version = site.tables.versions(table)[-1]
        assert (version.run, version.days) == (made.run_id, "2013-03-05")
