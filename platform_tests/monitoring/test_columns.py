"""A column up close: shares that are those of the rows, that drift's own number follows from, and that a page can hold."""

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest

from headrace.models.meta import load_meta
from headrace.monitoring.columns import OTHERS, ColumnShares, column_shares
from headrace.monitoring.drift import PSI, stability_index
from headrace.monitoring.drill import REST, drilled, tint
from headrace.monitoring.facts import newest_drift
from headrace.monitoring.report import report_html
from headrace.store.site import Site
from platform_tests.models.shop import orders
from platform_tests.monitoring.test_report import EVIL, Page, measured, nothing
from platform_tests.monitoring.watched import LAST, monitors, shifted, watched_shop, without_price

WINDOW = [LAST - timedelta(days=2), LAST - timedelta(days=1), LAST]


def shares(site: Site) -> dict[str, ColumnShares]:
    live = site.releases.live("shop")
    assert live is not None
    return {one.column: one for one in column_shares(site, live, monitors().drift)}


def many(columns: int) -> list[ColumnShares]:
    """Return columns of ten bins over a week."""
    days = {LAST - timedelta(days=back): [0.1] * 10 for back in range(7)}
    bins = [f"above {i} to {i + 1}" for i in range(10)]
    return [ColumnShares(f"column_{i:02d}", bins, [0.1] * 10, [0.1] * 10, days, 7_000) for i in range(columns)]


def test_shares_are_those_of_the_rows_of_each_day_of_the_window(tmp_path: Path) -> None:
    found = shares(watched_shop(tmp_path))["country"]
    assert list(found.days) == WINDOW
    assert found.rows == 150
    rows = orders()
    for day, told in found.days.items():
        own = rows.filter(pc.equal(pc.cast(rows["at"], "date32"), day))["country"].to_pylist()
        by_hand = {country: own.count(country) / len(own) for country in set(own)}
        assert dict(zip(found.bins, told, strict=True)) == pytest.approx({**by_hand, OTHERS: 0.0, "missing": 0.0})


def test_the_index_of_the_window_s_shares_is_the_drift_that_alarms(tmp_path: Path) -> None:
    site = watched_shop(tmp_path, shifted)
    moved = {row["column"]: row for row in newest_drift(measured(site)) if row["measure"] == PSI}
    one = shares(site)["price"]
    present = [np.array(values[:-1]) for values in (one.reference, one.window)]
    live = site.releases.live("shop")
    assert live is not None
    trained = load_meta(site.models, live.model).rows
    value = stability_index(present[0] * trained, present[1] * one.rows)
    assert value == pytest.approx(moved["price"]["value"], rel=1e-9)
    assert sum(one.reference) == pytest.approx(1)
    assert sum(one.window) == pytest.approx(1)


def test_missing_values_are_a_bin_of_their_own(tmp_path: Path) -> None:
    one = shares(watched_shop(tmp_path, without_price))["price"]
    assert one.bins[-1] == "missing"
    assert one.reference[-1] < 0.1
    assert one.window[-1] > 0.4


def test_before_anything_is_scored_there_is_no_column_to_open(tmp_path: Path) -> None:
    assert "Each column up close" not in report_html(measured(nothing(tmp_path)))


def test_the_page_opens_each_column_with_its_drift_its_bins_and_its_days_without_a_script(tmp_path: Path) -> None:
    site = watched_shop(tmp_path, shifted)
    found = shares(site)
    text = report_html(measured(site), list(found.values()))
    page = Page(text)
    assert page.open == []
    assert "script" not in page.tags
    assert text.count("<details") == len(found)
    assert text.index("<b>price</b>") < text.index("<b>noise</b>")
    assert "beyond its limit in" in text
    for day in WINDOW:
        assert f'<th scope="col" class="n">{day:%b %d}</th>' in text
    assert '<th scope="row">missing</th>' in text


def test_of_many_bins_those_that_differ_most_are_shown_and_nothing_is_lost(tmp_path: Path) -> None:
    facts = measured(watched_shop(tmp_path))
    reference, window = np.full(50, 0.02), np.full(50, 0.02)
    window[[7, 40]] = [0.0, 0.04]
    names = [f"c{i}" for i in range(50)]
    one = ColumnShares("country", names, reference.tolist(), window.tolist(), {LAST: window.tolist()}, 100)
    [shown] = drilled(facts, [one])
    assert {"c7", "c40", f"{REST} (35)"} <= set(shown.shares.bins)
    assert sum(shown.shares.window) == pytest.approx(1)
    assert sum(shown.shares.days[LAST]) == pytest.approx(1)


def test_a_day_that_two_models_were_measured_on_counts_once_by_the_newer(tmp_path: Path) -> None:
    facts = measured(watched_shop(tmp_path))
    price = next(row for row in facts.drift if (row["column"], row["measure"]) == ("price", PSI))
    older = {**price, "model": "another", "value": 9.0}
    one = replace(many(1)[0], column="price")
    [shown] = drilled(replace(facts, drift=[older, *facts.drift]), [one])
    psi = next(measure for measure in shown.measures if measure.name == "PSI")
    assert psi.windows == len({row["day"] for row in facts.drift})
    assert "greatest 9.000" not in psi.picture


def test_a_cell_is_tinted_by_how_much_it_differs_and_not_where_it_does_not() -> None:
    assert tint(0.1, 0.1) == ""
    assert "var(--more) 12%" in tint(0.2, 0.1)
    assert "var(--mark) 30%" in tint(0.0, 0.9)


def test_a_category_is_text_and_never_markup(tmp_path: Path) -> None:
    facts = measured(watched_shop(tmp_path))
    one = replace(many(1)[0], column=EVIL, bins=[EVIL] * 10)
    assert "<script" not in report_html(facts, [one])


def test_forty_columns_over_months_stay_below_a_megabyte(tmp_path: Path) -> None:
    facts = measured(watched_shop(tmp_path))
    assert facts.live is not None
    model, first = facts.live.release.model, date(2023, 1, 1)
    drift = [
        {"day": first + timedelta(days=day), "column": f"column_{i:02d}", "measure": measure, "value": 0.01 * (day % 30),
         "limit": 0.2, "rows": 900, "model": model}
        for day in range(365) for i in range(40) for measure in ("psi", "missing")
    ]  # fmt: skip
    measures = [
        {"day": drift[-1]["day"], "column": f"column_{i:02d}", "measure": measure, "value": 0.123, "p": 0.01, "bound": 0.01,
         "rows": 900, "new": [], "model": model}
        for i in range(40) for measure in ("psi", "missing", "jensen_shannon", "ks", "wasserstein", "new_categories")
    ]  # fmt: skip
    text = report_html(replace(facts, drift=drift, measures=measures), many(40))
    assert text.count("<details") == 40
    assert text.count('class="line"') == 80
    assert text.count('<table class="tight measures">') == 40
    assert len(text.encode()) < 1_000_000
