"""A declaration becomes the graph that it says, or an error that says where it is wrong."""

import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from benchmarks.project import copy_flights
from headrace.core.errors import DeclarationError
from headrace.core.place import Place
from headrace.declaration import ProductDeclaration
from headrace.definitions import load_platform
from headrace.product import build
from headrace.project import Project
from headrace.starter.start import start_project
from platform_tests.end_to_end.shop import make_project

ROOT = Path(__file__).parents[1]
FLIGHTS = ROOT / "platform" / "products" / "flight_delays"
GRAPH = """
raw/flights raw/planes raw/weather
quarantine/flights quarantine/planes quarantine/weather validated/flights validated/planes validated/weather
features/aircraft features/carrier_day features/dest_day features/last_leg features/origin_carrier features/origin_now
features/route features/weather_now
training/set model/candidate model/evaluation model/explanation model/champion model/card predictions/batch monitoring/profiles monitoring/measures monitoring/drift monitoring/quality monitoring/estimated monitoring/inputs monitoring/numbers reports/product
online/features serving/requests predictions/online
"""
CHECKS = """
raw/flights:files raw/flights:freshness raw/flights:volume raw/planes:files raw/weather:files raw/weather:freshness raw/weather:volume
validated/flights:contract validated/planes:contract validated/weather:contract training/set:labels training/set:leakage training/set:suspect
model/evaluation:behaviour model/evaluation:gates model/champion:guarded model/champion:mirrored model/champion:released model/champion:freshness model/card:attached
monitoring/drift:features monitoring/drift:predictions monitoring/quality:auc monitoring/estimated:estimated monitoring/inputs:inputs serving/requests:skew predictions/online:nothing_lost
"""


@pytest.fixture(scope="module")
def flights() -> dg.Definitions:
    return load_platform(ROOT / "platform" / "products")


def test_the_flights_become_the_graph_of_their_declaration(flights: dg.Definitions) -> None:
    graph = flights.resolve_asset_graph()
    assert {key.to_user_string().removeprefix("flight_delays/") for key in graph.get_all_asset_keys()} == set(
        GRAPH.split()
    )
    checks = {f"{k.asset_key.to_user_string().removeprefix('flight_delays/')}:{k.name}" for k in graph.asset_check_keys}
    assert checks == set(CHECKS.split())


def test_every_asset_has_its_layer_as_group_an_owner_a_kind_and_a_code_version(flights: dg.Definitions) -> None:
    for node in flights.resolve_asset_graph().asset_nodes:
        assert node.group_name == node.key.path[1]
        assert node.owners == ["ops-ml@example.com"]
        assert node.kinds
        assert node.code_version


def test_lineage_is_that_of_the_declaration(flights: dg.Definitions) -> None:
    graph = flights.resolve_asset_graph()
    route = graph.get(dg.AssetKey(["flight_delays", "features", "route"]))
    assert {key.path[-1] for key in route.parent_keys} == {"flights"}
    lineage = route.metadata["dagster/column_lineage"].deps_by_column["route_delay_mean_14d"]
    assert {(dep.asset_key.path[1], dep.column_name) for dep in lineage} >= {
        ("validated", "dep_delay"),
        ("validated", "dep_at"),
    }


def test_days_are_local_days_and_one_run_makes_any_number_of_them(flights: dg.Definitions) -> None:
    node = flights.resolve_asset_graph().get(dg.AssetKey(["flight_delays", "raw", "flights"]))
    assert node.partitions_def == dg.DailyPartitionsDefinition("2013-01-01", "2014-01-01", timezone="America/New_York")
    assert node.backfill_policy == dg.BackfillPolicy.single_run()


def test_the_loop_runs_by_itself(flights: dg.Definitions) -> None:
    repository = flights.get_repository_def()
    assert {s.name for s in repository.sensor_defs} >= {"flight_delays__files", "flight_delays__retrain"}
    ours = [s for s in repository.sensor_defs if s.name.startswith("flight_delays")]
    assert {s.default_status for s in ours} == {dg.DefaultSensorStatus.RUNNING}
    assert {s.default_status for s in repository.schedule_defs} == {dg.DefaultScheduleStatus.RUNNING}


def changed(tmp_path: Path, old: str, new: str, file: str = "defs.yaml") -> Project:
    """Return a project with a copy of the flights in which one text is another."""
    project = copy_flights(tmp_path)
    folder = tmp_path / "platform" / "products" / "flight_delays"
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new, 1))
    return project


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            "entity: [origin, carrier]",
            "entitty: [origin, carrier]",
            r"defs.yaml:\d+: .*'entitty'.*Did you mean 'entity'",
        ),
        ("type: string, unique: true", "type: strng, unique: true", r"defs.yaml:\d+: .*'string', 'integer'"),
        ("auc >= 0.70", "acu >= 0.70", r"defs.yaml:\d+: .*no metric 'acu'.*Did you mean 'auc'"),
        ("cooldown: 3d", "cooldown: 3 days", r"defs.yaml:\d+: .*'3 days' is not a duration"),
        ("timezone: America/New_York", "timezone: America/NewYork", "Did you mean 'America/New_York'"),
    ],
)
def test_a_wrong_declaration_names_file_line_key_and_the_nearest_word(
    tmp_path: Path, old: str, new: str, says: str
) -> None:
    project = changed(tmp_path, old, new)
    with pytest.raises(Exception, match=says):
        project.load("flight_delays")


@pytest.mark.parametrize(
    ("old", "new", "file", "says"),
    [
        ("late: dep_delay > 15}, agg: [mean, count], over: [3h]", "late: dep_dely > 15}, agg: [mean], over: [3h]", "defs.yaml", r"no column of 'flights' 'dep_dely'.*Did you mean 'dep_delay'"),
        ("from: flights, entity: carrier", "from: fligths, entity: carrier", "defs.yaml", r"no source 'fligths'.*Did you mean 'flights'"),
        ("seats", "seat", "aircraft.sql", r"aircraft.sql:1: no column 'seat'.*Did you mean 'seats'"),
        ("from weather", "frm weather", "weather_now.sql", r"weather_now.sql:\d: this is not SQL"),
        ("  distance,", "  dep_delay,", "label.sql", r"'dep_delay' is made of flights.dep_delay, which is known at 'dep_at'"),
        ("sql: aircraft.sql", "sql: aircrafts.sql", "defs.yaml", r"'aircrafts.sql', which is not there. Did you mean 'aircraft.sql'"),
        (", floor: 0.68", "", "defs.yaml", r"'quality' would never fire: it has no limit. Say one, such as"),
        ("when: [drift", "when: [shifts, drift", "defs.yaml", r"'shifts' would never fire: it has no limit. Say one, such"),
    ],
)  # fmt: skip
def test_names_that_lead_nowhere_are_found_before_any_data_are_read(
    tmp_path: Path, old: str, new: str, file: str, says: str
) -> None:
    declared, site = changed(tmp_path, old, new, file).load("flight_delays")
    with pytest.raises(Exception, match=says):
        build(declared, site)


def test_a_model_without_a_label_is_refused(tmp_path: Path) -> None:
    label = "  label: {sql: label.sql, entity: flight_id, time: predict_at, column: late, known_after: 1d}\n"
    declared, site = changed(tmp_path, label, "").load("flight_delays")
    with pytest.raises(DeclarationError, match="a model needs `label:`") as no:
        build(declared, site)
    assert no.value.path == ("model",)


def test_a_product_of_ten_lines_loads(tmp_path: Path) -> None:
    start_project(tmp_path / "new")
    declared, site = Project(tmp_path / "new").load("returns")
    assert len((site.folder / "defs.yaml").read_text().splitlines()) <= 13
    assert isinstance(declared, ProductDeclaration)
    assert build(declared, site).resolve_asset_graph().get_all_asset_keys()
    assert site.place == Place.at(tmp_path / "new")


@pytest.mark.slow
@pytest.mark.parametrize("command", ["check yaml", "check defs", "list defs", "list components"])
def test_dg_understands_the_platform(command: str) -> None:
    dg_command = Path(sys.executable).parent / "dg"
    done = subprocess.run(
        [dg_command, *command.split()], cwd=ROOT / "platform", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("trainer", "passes"),
    [
        ("{lightgbm: {on: ray, workers: 2}}", True),
        ("{lightgbm: {on: dask, workers: 2}}", False),
        ("{lightgbm: {on: ray, wrokers: 2}}", False),
        ("{xgboost: {on: ray, workers: 2}}", False),
    ],
)
def test_dg_understands_a_trainer_on_a_cluster_and_nothing_like_it(tmp_path: Path, trainer: str, passes: bool) -> None:
    changed(tmp_path, "  model:\n", f"  model:\n    trainer: {trainer}\n")
    dg_command = Path(sys.executable).parent / "dg"
    done = subprocess.run(
        [dg_command, "check", "yaml"], cwd=tmp_path / "platform", capture_output=True, text=True, check=False
    )
    assert (done.returncode == 0) is passes, done.stdout + done.stderr


def with_serve(root: Path, serve: str) -> dg.Definitions:
    """Return what the shop becomes with something to say about serving."""
    make_project(root)
    defs = root / "platform" / "products" / "shop" / "defs.yaml"
    defs.write_text(f"{defs.read_text()}  serve: {serve}\n")
    declared, site = Project(root).load("shop")
    return build(declared, site)


def test_a_canary_adds_the_sensor_that_judges_rollouts_and_without_one_there_is_none(tmp_path: Path) -> None:
    without = with_serve(tmp_path / "without", "{online: {}}")
    with_one = with_serve(tmp_path / "with", "{online: {}, canary: {}}")
    assert {s.name for s in with_one.sensors or ()} - {s.name for s in without.sensors or ()} == {"shop__rollout"}


def test_a_canary_without_requests_is_refused_where_it_stands(tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match="none are served") as error:
        with_serve(tmp_path / "shop", "{canary: {}}")
    assert error.value.path == ("serve", "canary")
