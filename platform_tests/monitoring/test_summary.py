"""A product in plain text: everything that matters, in under forty lines."""

from dataclasses import replace
from pathlib import Path

from headrace.monitoring.facts import Arrived, ProductFacts, product_facts
from headrace.monitoring.summary import summary_text
from platform_tests.models.shop import LABEL
from platform_tests.monitoring.test_report import measured
from platform_tests.monitoring.watched import SOURCES, monitors, open_shop, release, shifted, watched_shop


def crowded(facts: ProductFacts) -> ProductFacts:
    """Return the facts of a product with very much of everything."""
    arrived = [Arrived(f"source_{i}", 10**9, {}, 10**6, {"why " * 200: 1}, None) for i in range(30)]
    [month] = list(facts.months.values())[:1]
    decisions = [replace(facts.decisions[0], number=i, why="because " * 300) for i in range(1, 50)]
    drift = [{**row, "column": f"{row['column']}_{i}"} for row in facts.drift for i in range(30)]
    months = {f"20{year}-{m:02}": month for year in range(20, 25) for m in range(1, 13)}
    return replace(facts, arrived=arrived, decisions=decisions, drift=drift, months=months)


def test_a_product_without_anything_is_summed_up_in_words(tmp_path: Path) -> None:
    text = summary_text(product_facts(open_shop(tmp_path), SOURCES, LABEL, monitors()))
    assert "no scored row has its label yet" in text
    assert "none yet" in text
    assert "no model is live yet" in text


def test_a_summary_tells_rows_months_releases_with_reasons_and_drift(tmp_path: Path) -> None:
    site = watched_shop(tmp_path, shifted)
    release(site, "drift: PSI of price is too high", trees=10)
    text = summary_text(measured(site))
    assert "orders" in text
    assert "2024-04   AUC 0." in text
    assert "2. released, live: AUC 0." in text
    assert "because drift: PSI of price is too high; all gates passed" in text
    assert "1. released: AUC 0." in text


def test_a_release_is_told_by_the_metric_of_its_task(tmp_path: Path) -> None:
    facts = measured(watched_shop(tmp_path))
    evidence = {"metric": "rmse", "rmse": 3.25, "rows": 1200}
    text = summary_text(replace(facts, decisions=[replace(facts.decisions[0], evidence=evidence)]))
    assert "released, live: RMSE 3.2500 on 1,200 test rows" in text


def test_what_is_beyond_its_limit_is_marked(tmp_path: Path) -> None:
    lines = summary_text(measured(watched_shop(tmp_path, shifted))).splitlines()
    [price] = [line for line in lines if line.split()[:2] == ["price", "PSI"]]
    assert price.endswith("beyond its limit 0.25")
    assert not [line for line in lines if "noise" in line and "beyond" in line]


def test_it_stays_under_forty_lines_however_much_there_is(tmp_path: Path) -> None:
    text = summary_text(crowded(measured(watched_shop(tmp_path))))
    assert len(text.splitlines()) < 40
    assert max(map(len, text.splitlines())) < 220
    assert "and 24 more sources" in text
    assert "and 45 more earlier decisions" in text


def test_the_newest_decisions_are_told(tmp_path: Path) -> None:
    text = summary_text(crowded(measured(watched_shop(tmp_path))))
    assert "49. released" in text
    assert "\n    1. released" not in text
