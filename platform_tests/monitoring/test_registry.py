"""The feature registry: every feature of a product, how fresh and complete it is, and what models make of it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from headrace.core.declaration import Identity
from headrace.features.declaration import Feature
from headrace.features.graph import Graph
from headrace.monitoring.listing import WIDTH, ago, listing_facts, listing_text
from headrace.monitoring.registry import Registry, registry_of
from headrace.releases.release import Request, release_model
from headrace.sources.declaration import Source
from headrace.store.site import Site
from platform_tests.models.shop import SPRING, gates, judged, model, orders, shop, trained
from platform_tests.monitoring.watched import at

HABIT = {"from": "orders", "entity": "country", "time": "at", "of": {"price": "price"}, "agg": ["mean"], "over": ["3d"]}
FEATURES = {
    "habit": Feature.model_validate({"windows": HABIT}),
    "gifts": Feature.model_validate({"sql": "gifts.sql", "entity": "order_id", "owner": "gifts@example.com"}),
    "extra": Feature.model_validate({"on_request": "extra.sql"}),
}
NAMES = {"price": "habit_price_mean_3d", "gift": "gifts_gift", "noise": "extra_noise"}


def training_set() -> pa.Table:
    rows = orders()
    return rows.rename_columns([NAMES.get(name, name) for name in rows.column_names])


def graph(**features: Feature) -> Graph:
    return Graph({"orders": Source(files="orders/*.csv", time="at")}, {}, {**FEATURES, **features}, None)


def site_with_features(folder: Path, rows: pa.Table | None = None) -> Site:
    """Return the shop, with features that its models learn from, ten days of them to come."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "gifts.sql").write_text("select order_id, gift from orders")
    (folder / "extra.sql").write_text("select *, amount * 2 as noise from request")
    site = shop(folder, training_set() if rows is None else rows, clock="replay", start=SPRING.date())
    at(site, SPRING + timedelta(days=30))
    times = [SPRING + timedelta(days=day, minutes=1) for day in range(40)]
    steps = {
        "country": ["DE"] * 40,
        "time": times,
        "habit_price_mean_3d": [1.0] * 40,
        "_day": [t.date() for t in times],
    }
    site.tables.replace("shop/features/habit", pa.table(steps))
    site.tables.replace("shop/features/gifts", pa.table({"order_id": ["o00000"], "gifts_gift": [True]}))
    return site


def released(site: Site, trees: int = 20) -> str:
    digest = trained(site, model(trees=trees))
    judged(site, digest, "auc >= 0.6")
    release_model(site, Request(digest, "a person", "a test"), gates("auc >= 0.6"))
    return digest


def found(site: Site) -> Registry:
    return registry_of(site, graph(), {})


def test_before_anything_is_made_the_declaration_tells_which_features_there_are(tmp_path: Path) -> None:
    site = site_with_features(tmp_path)
    bare = Site(Identity(product="bare"), tmp_path, site.place)
    registry = found(bare)
    assert [feature.name for _, feature in registry.features] == ["habit_price_mean_3d", "extra_noise"]
    assert [(table.made, table.newest) for table in registry.tables] == [(False, None)] * 3
    assert "not made yet" in listing_text(registry)
    assert "missing: of nothing: no training set is stored yet" in listing_text(registry)


def test_the_newest_instant_is_the_last_that_is_not_to_come(tmp_path: Path) -> None:
    site = site_with_features(tmp_path)
    habit, gifts, extra = found(site).tables
    assert habit.newest == SPRING + timedelta(days=29, minutes=1)
    assert (gifts.newest, extra.newest) == (None, None)
    assert "newest change 24 h ago, 2024-03-30 00:01 UTC" in listing_text(found(site))


def test_rows_that_are_all_to_come_are_said_to_be(tmp_path: Path) -> None:
    site = site_with_features(tmp_path)
    at(site, SPRING)
    assert found(site).tables[0].newest is None
    assert "no row but of times to come" in listing_text(found(site))


def test_months_without_a_row_by_now_are_passed_over(tmp_path: Path) -> None:
    site = site_with_features(tmp_path)
    at(site, datetime(2024, 4, 1, tzinfo=UTC))
    assert found(site).tables[0].newest == datetime(2024, 3, 31, 0, 1, tzinfo=UTC)


def test_until_a_model_is_live_statistics_are_those_of_the_stored_training_set(tmp_path: Path) -> None:
    registry = found(site_with_features(tmp_path))
    assert registry.of == "all 2,000 rows of the stored training set, version 0"
    [price] = [feature for _, feature in registry.features if feature.name == "habit_price_mean_3d"]
    assert price.statistics is not None
    assert 0.03 < price.statistics.missing_share < 0.07
    assert price.live is None


def test_with_a_live_model_they_are_those_of_the_rows_that_it_learned_from(tmp_path: Path) -> None:
    site = site_with_features(tmp_path)
    released(site)
    site.tables.replace("shop/training/set", training_set().slice(0, 10))
    registry = found(site)
    assert registry.of == "the 1,450 rows that release 1 was trained on, of 2024-03-01 to 2024-03-29"
    assert {f.statistics.rows for _, f in registry.features if f.statistics} == {1450}


def test_each_released_model_says_what_it_makes_of_a_feature(tmp_path: Path) -> None:
    site = site_with_features(tmp_path)
    released(site)
    released(site, trees=10)
    features = {feature.name: feature for _, feature in found(site).features}
    weights = features["habit_price_mean_3d"].weights
    assert [(weight.release, weight.live, weight.rank) for weight in weights] == [(1, False, 1), (2, True, 1)]
    assert sum(f.live.share for f in features.values() if f.live) + sum(
        weight.share for weight in found(site).others
    ) == pytest.approx(1)


def test_inputs_that_are_no_features_are_counted_as_those_of_the_request(tmp_path: Path) -> None:
    site = site_with_features(tmp_path)
    released(site)
    assert "1 more inputs of the live model are columns of the request itself" in listing_text(found(site))


def test_a_table_that_another_reads_says_so(tmp_path: Path) -> None:
    site = site_with_features(tmp_path)
    (tmp_path / "more.sql").write_text("select country, time as at, habit_price_mean_3d as habit from habit")
    more = Feature.model_validate({"sql": "more.sql", "entity": "country", "time": "at"})
    registry = registry_of(site, graph(more=more), {})
    assert registry.tables[0].read_by == ["more"]
    assert "used by features/more" in listing_text(registry)


def test_every_line_fits_a_terminal_and_columns_are_aligned(tmp_path: Path) -> None:
    site = site_with_features(tmp_path)
    released(site)
    windows = {**HABIT, "of": {"a_value_whose_name_is_as_long_as_a_name_in_a_declaration_may_be": "price"}}
    long = Feature.model_validate({"windows": {**windows, "entity": [f"entity_{i}" for i in range(20)]}})
    lines = listing_text(registry_of(site, graph(a_table_whose_name_is_long_too=long), {})).splitlines()
    assert max(map(len, lines)) <= WIDTH
    head = next(line for line in lines if line.startswith("  feature"))
    place = head.index("missing") + len("missing")
    assert {line[place - 1] for line in lines if line.startswith(("  habit_", "  gifts_", "  extra_"))} == {"%"}


def test_programs_get_one_object_for_each_feature(tmp_path: Path) -> None:
    site = site_with_features(tmp_path)
    released(site)
    facts = {fact["feature"]: fact for fact in listing_facts(found(site))}
    price = facts["habit_price_mean_3d"]
    assert (price["product"], price["table"], price["kind"], price["entity"]) == (
        "shop",
        "habit",
        "windows",
        ["country"],
    )
    assert (price["type"], price["rank"], price["releases"], price["used_by"]) == ("number", 1, [1], ["shop"])
    assert (price["newest"], price["age_seconds"]) == ("2024-03-30T00:01:00+00:00", 86340)
    assert facts["gifts_gift"]["kind"] == "sql"
    assert facts["extra_noise"]["kind"] == "on_request"


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (timedelta(minutes=119), "119 min ago"),
        (timedelta(hours=2), "2 h ago"),
        (timedelta(hours=48), "2 d ago"),
        (timedelta(days=1234), "1,234 d ago"),
    ],
)
def test_ages_are_told_in_a_unit_that_people_can_read(span: timedelta, words: str) -> None:
    assert ago(span) == words
