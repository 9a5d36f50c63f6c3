"""The flights product on a real cluster: its assets make the very tables that the local engine makes."""

import shutil
from datetime import date
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest
from click.testing import CliRunner

from headrace.automation.looks.sensors import RANGE_END, RANGE_START
from headrace.cli import main
from headrace.demo.land import land
from headrace.product import build
from headrace.project import Project
from headrace.store.site import Site
from platform_tests.conformance.both import differing

PRODUCT = Path(__file__).parents[2] / "platform" / "products" / "flight_delays"
FIRST, LAST = date(2013, 1, 1), date(2013, 1, 8)
LAYERS = ("raw", "validated", "features", "training")


def project_with(folder: Path, engine: str) -> Project:
    products = folder / "platform" / "products" / "flight_delays"
    shutil.copytree(PRODUCT, products)
    (folder / "workspace.yaml").write_text("load_from: []\n")
    text = (products / "defs.yaml").read_text()
    (products / "defs.yaml").write_text(text.replace("  clock: replay\n", f"  clock: replay\n  engine: {engine}\n"))
    land(folder / "landing", LAST)
    return Project(folder)


def make_all(project: Project) -> tuple[Site, dict[str, dg.AssetCheckEvaluation]]:
    """Materialize all data of the days; return the site, and what the checks said."""
    declared, site = project.load("flight_delays")
    job = build(declared, site).resolve_implicit_global_asset_job_def()
    assert job.asset_layer
    keys = {key for key in job.asset_layer.executable_asset_keys if key.path[1] in LAYERS}
    tags = {RANGE_START: str(FIRST), RANGE_END: str(LAST)}
    with dg.DagsterInstance.ephemeral() as instance:
        done = job.get_subset(asset_selection=keys).execute_in_process(instance=instance, tags=tags)
    assert done.success
    return site, {f"{said.asset_key.path[-1]} {said.check_name}": said for said in done.get_asset_check_evaluations()}


def in_order(site: Site, name: str) -> pa.Table:
    """Return a table's rows in an order that is told by their cells: a store keeps none."""
    rows = site.tables.read(name)
    return rows.sort_by([(column, "ascending") for column in rows.column_names])


@pytest.fixture
def on_spark(spark_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_SPARK_URL", spark_url)


@pytest.mark.slow
@pytest.mark.usefixtures("on_spark")
def test_the_flights_product_on_spark_makes_the_tables_that_it_makes_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local, said_here = make_all(project_with(tmp_path / "local", "duckdb"))
    project = project_with(tmp_path / "spark", "spark")
    spark, said = make_all(project)
    tables = [name for name in local.tables.names() if name.split("/")[1] in ("features", "training")]
    assert len(tables) == 9
    for name in tables:
        assert not differing(in_order(local, name), in_order(spark, name)), name
    judged = [name for name in local.tables.names() if name.split("/")[1] in ("validated", "quarantine")]
    assert len(judged) == 6
    for name in judged:
        assert not differing(in_order(local, name), in_order(spark, name)), name
    contracts = [name for name in said_here if name.endswith(" contract")]
    assert len(contracts) == 3
    assert {name: said_here[name].description for name in contracts} == {
        name: said[name].description for name in contracts
    }
    assert said["set parity"].passed
    assert said["set leakage"].passed
    monkeypatch.chdir(project.root)
    told = CliRunner().invoke(main, ["parity", "flight_delays", "--rows", "200"])
    assert told.exit_code == 0, told.output
    assert "0 of " in told.output.splitlines()[-1]
    assert [line.split()[3] for line in told.output.splitlines()[1:-1]] == ["0"] * 9
