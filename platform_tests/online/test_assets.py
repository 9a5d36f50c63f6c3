"""The published features as an asset: made again when a feature table changes, and only then."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner, Result

from headrace.cli import main
from headrace.core.assets import SKIPPED
from headrace.core.errors import DeclarationError
from headrace.online.gather import log_folder
from headrace.online.log import RequestLog
from headrace.online.lookup import OnlineFeatures
from headrace.online.skew import skewed_features
from headrace.product import build, loop_of
from headrace.project import Project
from headrace.recipes import recipes_of
from headrace.store.online import open_online
from platform_tests.end_to_end.shop import land_days
from platform_tests.online.project import DATA, DEFS, ONLINE, make_shop, materialize
from platform_tests.online.redis_server import PASSWORD

pytestmark = pytest.mark.slow


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.delenv("HEADRACE_HOME", raising=False)
    project = make_shop(tmp_path / "shop")
    monkeypatch.chdir(project.root)
    return project


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def headrace(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


def published(instance: dg.DagsterInstance) -> dict[str, object]:
    event = instance.get_latest_materialization_event(dg.AssetKey(["shop", "online", "features"]))
    assert event
    assert event.asset_materialization
    return {name: value.value for name, value in event.asset_materialization.metadata.items()}


def stale(project: Project) -> set[str]:
    return set(loop_of(*project.load("shop")).stale())


def test_it_is_published_with_the_tables_that_it_stands_on_and_skipped_while_they_stay(
    project: Project, instance: dg.DagsterInstance
) -> None:
    assert materialize(project, instance, *DATA).success
    first = published(instance)
    assert first["store"] == "sqlite"
    assert first["entities written"] == 20
    assert stale(project) == set()
    again = materialize(project, instance, "online/features")
    [observed] = again.get_asset_observation_events()
    assert SKIPPED in observed.asset_observation_data.asset_observation.metadata
    assert published(instance) == first


def test_a_new_day_publishes_the_entities_that_it_touches(project: Project, instance: dg.DagsterInstance) -> None:
    materialize(project, instance, *DATA)
    land_days(project.root, 10, 10, rows=3)
    materialize(project, instance, *DATA[:-1], first=9, last=14)
    assert stale(project) == {"shop/online/features"}
    materialize(project, instance, "online/features")
    assert 0 < published(instance)["entities written"] <= 20  # type: ignore[operator]
    assert published(instance)["written as a whole"] == "none"
    assert stale(project) == set()


def test_the_sensor_asks_for_it_with_the_features(project: Project) -> None:
    assert loop_of(*project.load("shop")).data_keys(["orders"])[-1] == ["shop", "online", "features"]


def test_the_sensor_asks_for_it_only_once_every_table_is_there_or_made(project: Project) -> None:
    more = ONLINE.replace("  contracts:", '    people: {files: "landing/people.csv"}\n  contracts:')
    more = more.replace("  label:", "    person: {sql: person.sql, entity: customer}\n  label:")
    (project.root / DEFS).write_text(more)
    (project.root / "platform/products/shop/person.sql").write_text("select customer, name from people")
    loop = loop_of(*project.load("shop"))
    online = ["shop", "online", "features"]
    assert online not in loop.data_keys(["orders"])
    assert online in loop.data_keys(["orders", "people"])


def test_a_store_that_is_gone_is_published_anew(project: Project, instance: dg.DagsterInstance) -> None:
    materialize(project, instance, *DATA)
    for path in project.place.online.glob("shop.sqlite*"):
        path.unlink()
    declared, site = project.load("shop")
    recipe = next(r for r in recipes_of(declared, site) if r.table == "shop/online/features")
    assert site.ledger.work(recipe).reasons == {"all": ("its files are gone",)}
    materialize(project, instance, "online/features")
    assert published(instance)["entities written"] == 20


def test_it_is_published_again_where_the_environment_says_another_place(
    project: Project, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, redis_address: str
) -> None:
    materialize(project, instance, *DATA)
    monkeypatch.setenv("HEADRACE_ONLINE_URL", redis_address)
    materialize(project, instance, "online/features")
    told = published(instance)
    assert told["store"] == "redis"
    assert told["entities written"] == 20
    assert PASSWORD not in str(told)
    assert headrace("features", "get", "shop", "customer=c3").output.startswith("habit_count_3d")


def test_the_command_shows_what_is_served_with_version_and_instant(
    project: Project, instance: dg.DagsterInstance
) -> None:
    materialize(project, instance, *DATA)
    shown = headrace("features", "get", "shop", "customer=c3", "--at", "2024-01-10T20:00")
    assert shown.exit_code == 0, shown.output
    lines = shown.output.splitlines()
    assert [line.split()[0] for line in lines] == ["habit_count_3d", "habit_amount_mean_3d"]
    assert lines[0].split()[2] == "habit@0"
    assert lines[0].split()[3] <= "2024-01-10T20:00"
    [told] = json.loads(headrace("features", "get", "shop", "customer=c3", "--at", "2024-01-10T20:00", "--json").output)
    assert told["table"] == "shop/features/habit"
    assert str(told["values"]["habit_count_3d"]) == lines[0].split()[1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["shop", "custmer=c3"],
            "No feature table of shop is looked up by 'custmer'; there are customer. Did you mean 'customer'?",
        ),
        (["shopp", "customer=c3"], "no product 'shopp'"),
        (["shop", "customer"], "write COLUMN=VALUE"),
        (["shop", "customer=c3", "--at", "noon"], "'noon' is no instant"),
        (["shop", "customer=c3", "--at", "2024-01-01"], "is no longer published"),
    ],
)
def test_the_command_says_what_is_wrong(
    project: Project, instance: dg.DagsterInstance, words: list[str], said: str
) -> None:
    materialize(project, instance, *DATA)
    shown = headrace("features", "get", *words)
    assert shown.exit_code
    assert said in shown.output


def test_an_erased_person_is_no_longer_served(
    project: Project, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, address: str | None
) -> None:
    if address:
        monkeypatch.setenv("HEADRACE_ONLINE_URL", address)
    (project.root / "landing/orders/2024-01-10b.csv").write_text(
        "order_id,customer,ordered_at,settled_at,amount,returned\n"
        "x1,c-10482,2024-01-10T10:00:00+00:00,2024-01-10T12:00:00+00:00,50,false\n"
    )
    materialize(project, instance, *DATA)
    asked = ("features", "get", "shop", "customer=c-10482", "--at", "2024-01-10T20:00")
    assert headrace(*asked).output.splitlines()[0].split()[1] == "1"
    assert (
        "online features: 1 entities would go"
        in headrace("erase", "shop", "--entity", "customer=c-10482", "--dry-run").output
    )
    erased = headrace("erase", "shop", "--entity", "customer=c-10482", "--landing")
    assert "online features: 1 entities erased" in erased.output
    assert "still holds the value" not in erased.output
    assert headrace(*asked).output.splitlines()[0].split()[1] == "0"
    assert stale(project) >= {"shop/online/features"}
    materialize(project, instance, *DATA)
    assert headrace(*asked).output.splitlines()[0].split()[1] == "0"
    assert stale(project) == set()


def test_the_command_says_that_nothing_is_published(project: Project) -> None:
    shown = headrace("features", "get", "shop", "customer=c3")
    assert shown.exit_code == 1
    assert "No features of shop are published yet" in shown.output


LOGGED = ONLINE.replace("back: 1d", "back: 2d, log: 100%").replace(
    "gates: [auc >= 0.6,", "gates: [skew == 0, auc >= 0.6,"
)


def serve_some(project: Project) -> None:
    _, site = project.load("shop")
    store, log = open_online(site.place, "shop"), RequestLog(log_folder(site))
    online, at = OnlineFeatures(store, "shop", log), datetime(2024, 1, 10, 20, tzinfo=UTC)
    for number in range(20):
        online.one({"customer": f"c{number}", "amount": 12.5}, at)
    log.close()
    store.close()


def skew_said(done: dg.ExecuteInProcessResult) -> dg.AssetCheckEvaluation:
    [said] = [said for said in done.get_asset_check_evaluations() if said.check_name == "skew"]
    return said


def test_what_was_served_is_held_against_training_by_command_check_and_gate(
    project: Project, instance: dg.DagsterInstance
) -> None:
    (project.root / DEFS).write_text(LOGGED)
    declared, site = project.load("shop")
    assert ["shop", "serving", "requests"] in loop_of(declared, site).live_keys
    assert ["shop", "predictions", "online"] in loop_of(declared, site).live_keys
    assert headrace("skewcheck", "shop").output == "No request is logged yet.\n"
    materialize(project, instance, *DATA)
    serve_some(project)
    honest = headrace("skewcheck", "shop")
    assert (honest.exit_code, honest.output) == (0, "20 requests, 80 values: nothing differs.\n")
    assert skew_said(materialize(project, instance, "serving/requests")).passed
    assert skewed_features(site) == 0

    calendar = project.root / "platform/products/shop/calendar.sql"
    calendar.write_text(calendar.read_text().replace("amount *", "amount +"))
    skewed = headrace("skewcheck", "shop")
    assert skewed.exit_code == 1
    assert "20 requests, 80 values: 1 features differ." in skewed.output
    assert "calendar_worth (calendar) differs in 20 requests" in skewed.output
    assert "likely cause: SQL: calendar.sql was edited since it was published" in skewed.output
    said = skew_said(materialize(project, instance, "serving/requests"))
    assert not said.passed
    assert said.severity == dg.AssetCheckSeverity.ERROR
    assert json.loads(headrace("skewcheck", "shop", "--json").output)["skews"][0]["feature"] == "calendar_worth"
    assert skewed_features(project.load("shop")[1]) == 1


def test_a_log_without_a_label_is_refused(project: Project) -> None:
    text = LOGGED[: LOGGED.index("    calendar:")] + "  serve: {online: {log: 1%}}\n"
    (project.root / DEFS).write_text(text)
    with pytest.raises(DeclarationError, match="`log` needs `label:`"):
        build(*project.load("shop"))


def test_an_erased_person_leaves_the_logged_requests(project: Project, instance: dg.DagsterInstance) -> None:
    (project.root / DEFS).write_text(LOGGED)
    materialize(project, instance, *DATA)
    _, site = project.load("shop")
    store, log = open_online(site.place, "shop"), RequestLog(log_folder(site))
    online = OnlineFeatures(store, "shop", log)
    for customer in ("c-10482", "c3"):
        online.one({"customer": customer, "amount": 1.0}, datetime(2024, 1, 10, 20, tzinfo=UTC))
    log.close()
    store.close()
    erased = headrace("erase", "shop", "--entity", "customer=c-10482")
    assert "still holds the value" not in erased.output, erased.output
    assert headrace("skewcheck", "shop").output.startswith("1 requests, ")
