"""The page of features: one file that loads nothing, at every stage, and never runs what a user wrote."""

import re
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from headrace.core.declaration import Identity
from headrace.features.declaration import Feature
from headrace.features.statistics import statistics_of
from headrace.monitoring.registry import registry_of
from headrace.monitoring.registry_page import coded, histogram_svg, page_name, registry_html, write_registry
from headrace.store.site import Site
from platform_tests.monitoring.test_card import moved
from platform_tests.monitoring.test_registry import graph, released, site_with_features
from platform_tests.monitoring.test_report import EVIL, Page


def page_of(site: Site, **features: Feature) -> str:
    return registry_html(site, graph(**features), registry_of(site, graph(**features), {}))


def bare(folder: Path) -> Site:
    return Site(Identity(product="bare"), folder, site_with_features(folder).place)


def live(folder: Path) -> Site:
    site = site_with_features(folder)
    released(site)
    moved(site, column="habit_price_mean_3d")
    return site


@pytest.mark.parametrize("make", [bare, site_with_features, live])
def test_the_page_renders_at_every_stage_and_loads_nothing(tmp_path: Path, make: object) -> None:
    assert callable(make)
    site = make(tmp_path)
    text = page_of(site)
    page = Page(text)
    assert page.open == []
    assert page.tags.isdisjoint({"link", "iframe", "object", "embed", "img"})
    report = f"{site.product.product}.html"
    assert {target for target in page.targets if not target.startswith("#")} == {report}
    assert "@import" not in text
    assert "src=" not in text
    assert not re.findall(r"url\(", text)


def test_each_feature_has_a_row_with_its_picture_and_each_table_its_definition(tmp_path: Path) -> None:
    text = page_of(live(tmp_path))
    assert text.count("<tr data-words=") == 3
    assert text.count('<svg class="spread"') == 3
    assert "mean of <code>price</code> of the orders of one country in the 3 days before" in text
    assert 'id="gifts"' in text
    assert "select order_id, gift from orders" in text
    assert '<span class="bad">0.500</span>' in text
    assert "Statistics are of the 1,450 rows that release 1 was trained on" in text


def test_a_row_is_found_by_its_name_entity_source_column_and_owner(tmp_path: Path) -> None:
    text = page_of(live(tmp_path))
    [words] = re.findall(r'data-words="([^"]*habit_price[^"]*)"', text)
    assert all(word in words for word in ("one country", "orders.price"))
    [words] = re.findall(r'data-words="([^"]*gifts_gift[^"]*)"', text)
    assert "gifts@example.com" in words


def test_what_users_write_is_text_and_never_markup(tmp_path: Path) -> None:
    site = live(tmp_path)
    (tmp_path / "gifts.sql").write_text(f"select order_id, '{EVIL.replace(chr(39), chr(34))}' as gift from orders")
    evil = Feature.model_validate({"sql": "gifts.sql", "entity": [EVIL], "owner": EVIL, "description": EVIL})
    named = Site(Identity(product="shop", owner=EVIL, description=EVIL, clock="replay"), tmp_path, site.place)
    text = page_of(named, gifts=evil)
    assert text.count("<script") == 1
    assert "alert(" in text
    assert "<script>alert" not in text


def test_a_text_that_comes_most_is_text_in_the_picture_too(tmp_path: Path) -> None:
    statistics = statistics_of(pa.table({"column": [EVIL] * 3}))["column"]
    assert "<script" not in histogram_svg(statistics)
    registry = registry_of(site_with_features(tmp_path), graph(), {})
    habit = registry.tables[0]
    evil = replace(habit.features[0], statistics=statistics)
    tables = [replace(habit, features=[evil]), *registry.tables[1:]]
    site = site_with_features(tmp_path)
    assert registry_html(site, graph(), replace(registry, tables=tables)).count("<script") == 1


def test_the_highest_bar_is_as_high_as_the_picture_and_an_empty_column_has_none() -> None:
    found = statistics_of(pa.table({"column": pa.array([float(i % 7) for i in range(100)])}))["column"]
    assert 'height="30.0"' in histogram_svg(found)
    assert histogram_svg(statistics_of(pa.table({"column": pa.array([None], pa.float64())}))["column"]) == ""


def test_code_in_words_is_code_and_the_rest_is_text() -> None:
    assert coded("mean of `a < b`, <b>") == "mean of <code>a &lt; b</code>, &lt;b&gt;"


def test_the_page_lies_beside_the_report_under_a_name_that_no_report_has(tmp_path: Path) -> None:
    site = live(tmp_path)
    path = write_registry(site, graph(), registry_of(site, graph(), {}))
    assert path == site.place.reports / "shop.features.html"
    assert path.read_text().endswith("</html>")
    with pytest.raises(ValueError, match="pattern"):
        Identity(product=page_name("shop").removesuffix(".html"))
