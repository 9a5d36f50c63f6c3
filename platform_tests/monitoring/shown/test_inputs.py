"""The rows that were scored, over the days: each measure by the column that is farthest beyond its limit."""

from dataclasses import asdict, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from headrace.monitoring.facts import ProductFacts
from headrace.monitoring.inputs.look import OUTLIER, STRANGE, Strange
from headrace.monitoring.report import report_html
from headrace.monitoring.shown.inputs import MOST_ALARMS, scored_inputs
from platform_tests.monitoring.test_report import EVIL, Page, measured, nothing

LAST = date(2024, 4, 9)


def strange(measure: str, value: float, column: str = "price", back: int = 0, **more: Any) -> dict[str, Any]:
    told = {"table": "predictions/batch", "limit": 0.1, "rows": 500, "model": "m", **more}
    return asdict(Strange(LAST - timedelta(days=back), column=column, measure=measure, value=value, **told))


@pytest.fixture
def empty(tmp_path: Path) -> ProductFacts:
    return measured(nothing(tmp_path))


def test_before_a_day_was_looked_at_one_sentence_says_what_it_takes(empty: ProductFacts) -> None:
    assert scored_inputs(empty) is None
    assert "it takes one with 100 rows" in report_html(empty)


def test_each_day_has_the_column_that_is_farthest_beyond_its_limit(empty: ProductFacts) -> None:
    rows = [strange("missing", 0.05), strange("missing", 0.3, "noise"), strange("missing", 0.2, back=1)]
    found = scored_inputs(replace(empty, inputs=rows))
    assert found is not None
    [one] = found.looked
    assert (one.name, one.column, one.value, one.is_beyond) == ("Rise of missing values", "noise", 0.3, True)
    assert (one.first, one.last) == (LAST - timedelta(days=1), LAST)
    assert "over 2 days, from 0.200 to 0.300" in one.picture
    assert [(row["column"], row["value"]) for row in found.alarms] == [("noise", 0.3)]
    assert found.rows == {"predictions/batch": (LAST, 500)}


def test_outliers_are_of_whole_rows_and_come_first(empty: ProductFacts) -> None:
    rows = [strange("missing", 0.0), strange("outliers", 0.02, "")]
    found = scored_inputs(replace(empty, inputs=rows))
    assert found is not None
    assert next((one.name, one.column) for one in found.looked) == ("Outliers", "")
    assert found.alarms == []


def test_scores_of_days_and_of_requests_stand_apart(empty: ProductFacts) -> None:
    rows = [strange("outliers", 0.5, ""), strange("outliers", 0.0, "", back=3, table="predictions/online")]
    facts = replace(empty, inputs=rows)
    found = scored_inputs(facts)
    assert found is not None
    assert [(one.table, one.is_beyond) for one in found.looked] == [
        ("predictions/batch", True),
        ("predictions/online", False),
    ]
    assert "Newest of predictions/online: 2024-04-06, 500 rows." in report_html(facts)


def test_of_many_alarms_the_worst_are_shown_and_the_others_counted(empty: ProductFacts) -> None:
    rows = [strange("unseen", 0.2 + n / 100, f"column_{n}") for n in range(MOST_ALARMS + 5)]
    facts = replace(empty, inputs=rows)
    found = scored_inputs(facts)
    assert found is not None
    assert (len(found.alarms), found.more) == (MOST_ALARMS, 5)
    assert found.alarms[0]["column"] == f"column_{MOST_ALARMS + 4}"
    assert "And 5 more" in report_html(facts)


def test_a_columns_name_is_text_and_never_markup(empty: ProductFacts) -> None:
    page = Page(report_html(replace(empty, inputs=[strange("missing", 0.9, EVIL)])))
    assert "script" not in page.tags
    assert page.open == []


def test_single_rows_and_who_they_are_about_stay_out_of_the_page(tmp_path: Path) -> None:
    site = nothing(tmp_path)
    rows = [strange("outliers", 0.2, ""), strange(OUTLIER, 0.9, "order_id", entity="order 7")]
    site.tables.replace("shop/monitoring/inputs", pa.Table.from_pylist(rows, schema=STRANGE))
    facts = measured(site)
    assert [row["measure"] for row in facts.inputs] == ["outliers"]
    assert "order 7" not in report_html(facts)
