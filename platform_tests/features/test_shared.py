"""A feature table of another product, used by name: made once, joined by instants, and checked for leaks on its owner's sources."""

import re
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from headrace.automation.memory import Memory
from headrace.automation.plan import plan
from headrace.automation.retraining.sensors import _late
from headrace.cli import main
from headrace.core.declaration import Identity
from headrace.core.errors import DeclarationError
from headrace.definitions import load_platform
from headrace.features.declaration import Feature
from headrace.features.readers import readers_of
from headrace.features.training import training_rows
from headrace.features.usable import usable_days
from headrace.neighbours import users_of
from headrace.online.lookup import OnlineFeatures
from headrace.product import build, loop_of
from headrace.project import Project
from headrace.recipes import recipes_of
from headrace.store.online import open_online
from platform_tests.end_to_end.shop import land_days
from platform_tests.features.leaky import RETURNS_OF_A_CUSTOMER, said
from platform_tests.features.neighbours import land_calls, make, make_care, make_shop, neighbours

TRAINING = dg.AssetKey(["care", "training", "set"])
HABIT = dg.AssetKey(["shop", "features", "habit"])
MORE = "    more: {sql: more.sql, entity: customer, time: known_at}\n"


def declare(project: Project, product: str, old: str, new: str) -> None:
    file = project.root / "platform" / "products" / product / "defs.yaml"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new, 1))


def shop_shares_more(project: Project, sql: str) -> None:
    """Let the shop have a table `more` in SQL, and the care desk share it."""
    (project.root / "platform" / "products" / "shop" / "more.sql").write_text(sql)
    declare(project, "shop", "  label:", f"{MORE}  label:")
    declare(project, "care", "  label:", "    more: {shared: shop}\n  label:")


def planned(project: Project, product: str) -> dict[str, tuple[str, ...]]:
    declared, site = project.load(product)
    return {p.table: p.why for p in plan(site, declared.sources, list(recipes_of(declared, site)))}


@pytest.mark.parametrize("timezone", ["UTC", "Pacific/Kiritimati", "Etc/GMT+12"])
def test_a_shared_table_is_joined_as_of_each_prediction_whatever_the_calendars(tmp_path: Path, timezone: str) -> None:
    project = neighbours(tmp_path / "project", timezone=timezone)
    land_calls(project.root, 6, minutes=600)  # the last of them lies in the day before in the west
    make_shop(project)
    assert make_care(project, days=7).success
    _, site = project.load("care")
    orders = site.tables.read("shop/validated/orders").to_pylist()
    rows = site.tables.read("care/training/set").to_pylist()
    assert len(rows) > 100
    for row in rows:
        at = row["called_at"]
        amounts = [
            order["amount"]
            for order in orders
            if order["customer"] == row["customer"] and at - timedelta(days=3) < order["ordered_at"] <= at
        ]
        assert row["habit_count_3d"] == len(amounts)
        assert row["habit_amount_mean_3d"] == (pytest.approx(sum(amounts) / len(amounts)) if amounts else None)
    assert not site.tables.exists("care/features/habit")


ZONES = ["UTC", "Pacific/Kiritimati", "Etc/GMT+12", "America/New_York", "Asia/Kathmandu"]


@given(
    st.sampled_from(ZONES),
    st.datetimes(datetime(2023, 1, 1), datetime(2025, 1, 1)),
    st.integers(0, 40 * 86400),
    st.integers(1, 14 * 86400),
    st.floats(0, 1),
)
def test_no_row_that_may_be_used_lies_outside_of_the_owners_days_that_are_read(
    zone: str, first: datetime, span_s: int, reach_s: int, place: float
) -> None:
    first = first.replace(tzinfo=UTC)
    last = first + timedelta(seconds=span_s)
    windows = {"from": "a", "entity": "b", "time": "c", "of": {"d": "d"}, "agg": ["mean"], "over": [f"{reach_s}s"]}
    owner = Identity(product="shop", timezone=zone, start="2020-01-01")
    days = usable_days(owner, Feature.model_validate({"windows": windows}), (first, last))
    used = first - timedelta(seconds=reach_s) + place * (last - first + timedelta(seconds=reach_s))
    assert days is not None
    assert days.first <= used.astimezone(ZoneInfo(zone)).date() <= days.last


def test_a_shared_table_is_its_owners_asset_and_no_other_is_made_of_it(tmp_path: Path) -> None:
    project = neighbours(tmp_path / "project")
    definitions = build(*project.load("care"))
    specs = {spec.key: spec for spec in definitions.resolve_all_asset_specs()}
    assert dg.AssetKey(["care", "features", "habit"]) not in specs
    for user in (TRAINING, dg.AssetKey(["care", "predictions", "batch"])):
        assert HABIT in {dep.asset_key for dep in specs[user].deps}
    lineage = specs[TRAINING].metadata["dagster/column_lineage"].deps_by_column
    assert lineage["habit_amount_mean_3d"] == [dg.TableColumnDep(HABIT, "habit_amount_mean_3d")]


def test_both_products_load_into_one_graph_though_their_calendars_differ(tmp_path: Path) -> None:
    project = neighbours(tmp_path / "project", timezone="Asia/Tokyo")
    both = dg.Definitions.merge(*(build(*project.load(product)) for product in ("shop", "care")))
    graph = both.resolve_asset_graph()
    assert TRAINING in graph.get(HABIT).child_keys


@pytest.fixture
def one_platform(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let Dagster load another platform than the project's in this process, and forget it afterwards."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.partition(".")[0] == "products":
            del sys.modules[name]


@pytest.mark.usefixtures("one_platform")
def test_dagster_loads_both_from_their_files_and_says_where_a_wrong_name_stands(tmp_path: Path) -> None:
    project = neighbours(tmp_path / "project", timezone="America/New_York")
    graph = load_platform(project.root / "platform" / "products").resolve_asset_graph()
    assert HABIT in graph.get(TRAINING).parent_keys
    unknown_product(project)
    file = project.root / "platform" / "products" / "care" / "defs.yaml"
    line = 1 + next(i for i, text in enumerate(file.read_text().splitlines()) if "shared: shops" in text)
    with pytest.raises(dg.DagsterInvalidDefinitionError, match="Did you mean 'shop'") as error:
        load_platform(project.root / "platform" / "products")
    assert str(error.value).startswith(f"{file}:{line}: features.habit.shared: ")


def test_a_changed_column_of_the_owners_source_touches_the_users_training_set(tmp_path: Path) -> None:
    project = neighbours(tmp_path / "project")
    declared, site = project.load("shop")
    users = users_of(project.root, "shop")
    assert users == {"habit": ["care"]}
    touched = ["features/habit", "label", "training/set", "care/training/set"]
    assert readers_of(site, declared.graph, users, "orders", "amount") == touched
    assert readers_of(site, declared.graph, users, "orders", "returned") == ["label", "training/set"]


def test_other_rows_of_the_owners_table_make_the_training_set_stale(tmp_path: Path) -> None:
    project = neighbours(tmp_path / "project")
    assert planned(project, "care")["care/training/set"] == ("never made",)
    make_shop(project)
    assert make_care(project).success
    assert "care/training/set" not in planned(project, "care")
    land_days(project.root, 0, 5, shift=50.0, rows=30)
    make_shop(project)
    assert planned(project, "care")["care/training/set"] == ("other content of shop/features/habit",)
    declare(project, "shop", "agg: [mean, count]", "agg: [mean, count, max]")
    [why] = planned(project, "care")["care/training/set"][:1]
    assert why.startswith("changed: features.habit")


def test_a_leak_that_was_planted_in_a_shared_table_stops_the_users_training_set(tmp_path: Path) -> None:
    project = neighbours(tmp_path / "project")
    shop_shares_more(project, RETURNS_OF_A_CUSTOMER.format(time="ordered_at", last="current row"))
    make_shop(project, "features/more")
    made = make_care(project)
    assert not made.success
    check = said(made, "leakage")
    assert {record.data["feature"] for record in check.metadata["leaks"].value.records} == {"more_returns"}
    assert not project.load("care")[1].tables.exists("care/training/set")


def test_leakcheck_names_the_rows_of_the_owners_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = neighbours(tmp_path / "project")
    shop_shares_more(project, RETURNS_OF_A_CUSTOMER.format(time="ordered_at", last="current row"))
    make_shop(project, "features/more")
    make_care(project)
    declared, site = project.load("care")
    assert declared.label
    site.tables.replace("care/training/set", training_rows(site, declared.features, declared.label))
    monkeypatch.delenv("HEADRACE_HOME", raising=False)
    monkeypatch.chdir(project.root)
    shown = CliRunner().invoke(main, ["leakcheck", "care", "--most", "3"])
    assert shown.exit_code == 1
    assert "more_returns differs in" in shown.output
    assert re.search(r"made of shop\.orders: order_id 2024-01-0\d-\d+, known at 2024-01-0", shown.output)


def test_an_honest_shared_table_of_the_same_sources_passes(tmp_path: Path) -> None:
    project = neighbours(tmp_path / "project")
    shop_shares_more(project, RETURNS_OF_A_CUSTOMER.format(time="settled_at", last="current row"))
    make_shop(project, "features/more")
    made = make_care(project)
    assert made.success
    assert said(made, "leakage").passed


def test_a_table_that_reads_another_of_its_owner_can_be_shared_alone(tmp_path: Path) -> None:
    project = neighbours(tmp_path / "project")
    sql = "select customer, time as known_at, habit_amount_mean_3d * 2 as twice from habit"
    shop_shares_more(project, sql)
    declare(project, "care", "    habit: {shared: shop}\n", "")
    make_shop(project, "features/more")
    made = make_care(project)
    assert made.success
    twice = project.load("care")[1].tables.read("care/training/set")["more_twice"].to_pylist()
    assert sum(value is not None for value in twice) > 50


def test_both_may_share_from_each_other(tmp_path: Path) -> None:
    mood = "    mood: {windows: {from: orders, entity: customer, time: called_at, of: {minutes: minutes}, agg: [count], over: [2d]}}\n"
    project = neighbours(tmp_path / "project", features=mood)
    declare(project, "shop", "  label:", "    mood: {shared: care}\n  label:")
    make_shop(project)
    assert make_care(project, "features/mood").success
    assert make(project, "shop", "training/set").success
    names = project.load("shop")[1].tables.schema("shop/training/set").names
    assert {"habit_count_3d", "mood_count_2d"} <= set(names)


def test_a_shared_table_is_served_online_by_its_user_and_published_again_when_it_changes(tmp_path: Path) -> None:
    project = neighbours(tmp_path / "project")
    declare(project, "care", "  model:", "  serve: {online: {back: 2d}}\n  model:")
    make_shop(project)
    assert make(project, "care", "raw/orders", "validated/orders", "online/features").success
    _, site = project.load("care")
    steps = [row for row in site.tables.read("shop/features/habit").to_pylist() if row["customer"] == "c1"]
    at = datetime(2024, 1, 6, 18, tzinfo=UTC)
    newest = max((row for row in steps if row["time"] <= at), key=lambda row: row["time"])
    store = open_online(site.place, "care")
    try:
        online = OnlineFeatures(store, "care")
        [told] = online.tables_of(online.request({"customer": "c1"}), at)
    finally:
        store.close()
    assert told.table.table == "shop/features/habit"
    assert dict(told.values) == {name: newest[name] for name in ("habit_count_3d", "habit_amount_mean_3d")}
    land_days(project.root, 0, 5, shift=50.0, rows=30)
    make_shop(project)
    assert planned(project, "care")["care/online/features"] == ("other content of shop/features/habit",)


def unknown_product(project: Project) -> None:
    declare(project, "care", "shared: shop", "shared: shops")


def unknown_table(project: Project) -> None:
    declare(project, "care", "habit: {shared: shop}", "habits: {shared: shop}")


def itself(project: Project) -> None:
    declare(project, "care", "shared: shop", "shared: care")


def on_request(project: Project) -> None:
    (project.root / "platform" / "products" / "shop" / "more.sql").write_text("select amount * 2 as twice from request")
    declare(project, "shop", "  label:", "    more: {on_request: more.sql}\n  label:")
    declare(project, "care", "habit: {shared: shop}", "more: {shared: shop}")


def shared_again(project: Project) -> None:
    declare(project, "shop", "  label:", "    mood: {shared: other}\n  label:")
    declare(project, "care", "habit: {shared: shop}", "mood: {shared: shop}")


def more_than_shared(project: Project) -> None:
    declare(project, "care", "{shared: shop}", "{shared: shop, ttl: 3d}")


def read_by_sql(project: Project) -> None:
    sql = "select customer, time as known_at, habit_amount_mean_3d * 2 as twice from habit"
    (project.root / "platform" / "products" / "care" / "more.sql").write_text(sql)
    declare(project, "care", "  label:", f"{MORE}  label:")


def broken_owner(project: Project) -> None:
    declare(project, "shop", "over: [3d]", "over: [three]")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (unknown_product, "no other product 'shops' in this project; there are shop. Did you mean 'shop'?"),
        (unknown_table, "product 'shop' has no feature table 'habits'; it has habit. Did you mean 'habit'?"),
        (itself, "'care' is this product itself"),
        (on_request, "'more' of 'shop' is computed from each request and is no table"),
        (shared_again, "'shop' shares 'mood' from 'other' itself: say `shared: other`"),
        (more_than_shared, "`shared` stands alone"),
        (read_by_sql, "'habit' is shared from 'shop': it goes into the training set as it is"),
        (broken_owner, "what 'shop' shares is not known: "),
    ],
)
def test_what_cannot_be_shared_is_an_error_in_words_while_loading(
    tmp_path: Path, spoil: Callable[[Project], None], words: str
) -> None:
    project = neighbours(tmp_path / "project")
    spoil(project)
    with pytest.raises(DeclarationError) as error:
        build(*project.load("care"))
    assert words in str(error.value)
    if spoil is not read_by_sql:
        assert f"{project.root / 'platform' / 'products' / 'care' / 'defs.yaml'}:" in str(error.value)


def test_no_model_is_trained_until_the_shared_table_is_made(tmp_path: Path) -> None:
    project = neighbours(tmp_path / "project")
    assert make(project, "care", "raw/orders", "validated/orders").success
    loop = loop_of(*project.load("care"))
    assert loop.lacks() == "'shop/features/habit' of another product is not made yet"
    make_shop(project)
    assert "another product" not in loop.lacks()


def test_a_late_source_behind_a_shared_table_counts_as_late(tmp_path: Path) -> None:
    project = neighbours(tmp_path / "project")
    make_shop(project)
    assert make(project, "care", "raw/orders", "validated/orders").success
    loop = loop_of(*project.load("care"))
    assert list(_late(loop, Memory())) == []
    project.place.replay_clock.write_text("2024-01-09T00:00:00+00:00")
    [late] = _late(loop_of(*project.load("care")), Memory())
    assert late.startswith("shop: newest row of 'orders' is 48.1 h old")
    assert loop.data_keys(["orders"]) == [["care", layer, "orders"] for layer in ("raw", "validated", "quarantine")]


def test_until_the_owner_has_made_its_table_the_user_hears_which_is_lacking(tmp_path: Path) -> None:
    project = neighbours(tmp_path / "project")
    made = make_care(project)
    assert not made.success
    failure = next(e.step_failure_data for e in made.all_events if e.is_step_failure)
    assert failure.user_failure_data
    assert "'shop/features/habit'" in (failure.user_failure_data.description or "")
