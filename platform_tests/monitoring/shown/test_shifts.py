"""Drift beyond one column in the report."""

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

from headrace.monitoring.declaration import Drift
from headrace.monitoring.report import report_html
from headrace.monitoring.shown.shifts import MOST, newest_shifts
from platform_tests.monitoring.test_report import measured
from platform_tests.monitoring.watched import watched_shop

DAY = date(2024, 3, 1)


def row(kind: str, value: float, limit: float | None, **more: object) -> dict[str, object]:
    nothing = {
        "measure": "psi",
        "column": "",
        "by": "",
        "part": "",
        "low": None,
        "told_by": [],
        "rows": 900,
        "day": DAY,
    }
    return nothing | {"kind": kind, "value": value, "limit": limit} | more


def test_what_alarms_stands_first_and_each_kind_is_of_its_own_newest_day(tmp_path: Path) -> None:
    facts = measured(watched_shop(tmp_path))
    assert facts.live
    rows = [
        row("label", 0.01, 0.2, column="late", day=DAY - timedelta(days=3)),
        row("label", 0.9, 0.2, column="late", day=DAY - timedelta(days=9)),
        row("slices", 0.3, 0.2, column="price", by="country", part="<b>NO</b>"),
        row("domain_classifier", 0.55, 0.65, measure="auc", told_by=["price"]),
        row("pca", 1.24, 1.0, measure="reconstruction_error", low=0.89, told_by=["price", "country"]),
    ]
    told = [{**one, "model": facts.live.release.model} for one in rows] + [
        {**rows[0], "model": "another", "value": 7.0}
    ]
    monitors = facts.monitors.model_copy(update={"drift": Drift(label_psi=0.2)})
    facts = replace(facts, shifts=told, monitors=monitors)
    found = newest_shifts(facts)
    assert [(one.kind, one.alarms) for one in found] == [
        ("pca", True), ("slices", True), ("domain_classifier", False), ("label", False)
    ]  # fmt: skip
    assert [one.day for one in found if one.kind == "label"] == [DAY - timedelta(days=3)]
    text = report_html(facts)
    assert "Drift beyond one column" in text
    assert "price where country = &lt;b&gt;NO&lt;/b&gt;" in text
    assert "0.890 to 1.000" in text
    assert "told by price, country" in text
    many = [{**told[2], "part": str(number)} for number in range(MOST + 5)]
    assert "And 5 more" in report_html(replace(facts, shifts=many))


def test_what_is_not_declared_has_no_section_and_what_has_no_window_yet_says_so(tmp_path: Path) -> None:
    facts = measured(watched_shop(tmp_path))
    assert "Drift beyond one column" not in report_html(facts)
    declared = facts.monitors.model_copy(update={"drift": Drift(label_psi=0.2)})
    assert "has not scored a whole window yet" in report_html(replace(facts, monitors=declared, shifts=[]))
