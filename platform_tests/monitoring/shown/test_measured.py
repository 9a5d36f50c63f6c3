"""Every measure of a column's newest window: those that alarm with the limits that drift holds them to."""

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import get_args

import pytest

from headrace.monitoring.columns import column_shares
from headrace.monitoring.facts import ProductFacts, newest_drift
from headrace.monitoring.measures import Name
from headrace.monitoring.profiled.measured import measured_rows
from headrace.monitoring.report import report_html
from headrace.monitoring.shown.measured import NAMES, measures_by_column
from headrace.store.site import Site
from platform_tests.monitoring.test_report import Page, measured
from platform_tests.monitoring.watched import monitors, shifted, watched_shop


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return watched_shop(tmp_path_factory.mktemp("shop"), shifted)


@pytest.fixture(scope="module")
def facts(moved: Site) -> ProductFacts:
    found = measured(moved)
    rows = [
        {"day": row["day"], "column": row["column"], "measure": name, "value": 0.5, "p": 0.0001, "bound": 0.01,
         "rows": 150, "new": ["XX"] if name == "new_categories" else [], "model": row["model"]}
        for row in newest_drift(found) if row["measure"] == "psi" for name in ("ks", "missing", "new_categories", "psi")
    ]  # fmt: skip
    return replace(found, measures=rows)


def test_every_measure_has_its_name() -> None:
    assert set(NAMES) == set(get_args(Name))


def test_measures_that_alarm_have_the_value_and_the_limit_of_drift(facts: ProductFacts) -> None:
    price = {one.name: one for one in measures_by_column(facts)["price"]}
    drift = {row["measure"]: row for row in newest_drift(facts) if row["column"] == "price"}
    assert (price["PSI"].value, price["PSI"].limit) == (drift["psi"]["value"], drift["psi"]["limit"])
    assert price["PSI"].is_beyond
    assert not price["Rise of missing values"].is_beyond
    ks = price["Kolmogorov-Smirnov"]
    assert (ks.value, ks.limit, ks.is_beyond) == (0.5, None, False)
    assert list(price)[:2] == ["PSI", "Rise of missing values"]


def test_measures_of_another_window_or_model_are_not_shown_beside_drift(facts: ProductFacts) -> None:
    older = [{**row, "day": date(2024, 1, 1)} for row in facts.measures]
    others = [{**row, "model": "another"} for row in facts.measures]
    assert measures_by_column(replace(facts, measures=older)) == {}
    assert measures_by_column(replace(facts, measures=others)) == {}


def test_the_page_shows_them_in_each_column_with_what_alarmed(moved: Site, facts: ProductFacts) -> None:
    live = moved.releases.live("shop")
    assert live is not None
    text = report_html(facts, column_shares(moved, live, monitors().drift))
    assert Page(text).open == []
    assert text.count('<table class="tight measures">') == len(measures_by_column(facts))
    assert text.count("</span> alarmed</span>") == 2
    assert '0.500 <span class="soft">to 0.510</span>' in text
    assert "&lt; 0.001" in text
    assert "Share of new categories: XX" in text


def test_calibrated_limits_are_said_to_be_so(moved: Site, facts: ProductFacts) -> None:
    live = moved.releases.live("shop")
    assert live is not None
    calibrated = replace(facts, monitors=monitors(drift={"window": "3d", "threshold": "calibrated"}))
    shares = column_shares(moved, live, monitors().drift)
    assert "Limits of features are calibrated" in report_html(calibrated, shares)
    assert "Limits of features are calibrated" not in report_html(facts, shares)


def test_what_the_asset_measures_is_what_the_page_reads(tmp_path: Path) -> None:
    site = watched_shop(tmp_path)
    live = site.releases.live("shop")
    assert live is not None
    found = measured(site)
    rows = measured_rows(site, live, monitors().drift)
    site.tables.replace("shop/monitoring/measures", rows)
    assert measured(site).measures == rows.to_pylist()
    assert found.measures == []
