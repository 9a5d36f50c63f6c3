"""A cause in words."""

from datetime import date
from typing import Any

from headrace.monitoring.cause import Cause, Effect, Upstream, percent, some

DAY = date(2013, 7, 3)


def cause(**changes: Any) -> Cause:
    facts: dict[str, Any] = {
        "kind": "values",
        "columns": ["temp"],
        "slice": ["origin = LGA"],
        "rows": 0.312,
        "rows_before": 0.3,
        "what": "median 70 → 88",
        "since": DAY,
        "until": None,
        "is_older": False,
        "carries": 0.86,
        "bins": [],
        "psi": 1.2,
        "importance": 0.2,
        "weight": 0.07,
    }
    return Cause(**facts | changes)


def test_a_cause_says_columns_days_rows_and_what_they_carry() -> None:
    assert str(cause()) == (
        "temp moved since 2013-07-03: rows with origin = LGA (31 % of rows): median 70 → 88; they carry 86 % of its movement"
    )


def test_several_columns_a_day_and_all_rows_are_said_so() -> None:
    text = str(cause(columns=["temp", "dewp", "humid"], slice=[], until=DAY))
    assert text == "temp and 2 more moved on 2013-07-03: all rows: median 70 → 88"
    assert "from 2013-07-03 to 2013-07-05" in str(cause(until=date(2013, 7, 5)))
    assert "since at least 2013-07-03" in str(cause(is_older=True))


def test_what_it_carries_is_left_out_where_it_is_next_to_nothing_or_unknown() -> None:
    assert "carry" not in str(cause(carries=0.001))
    assert "carry" not in str(cause(carries=None))


def test_a_share_is_said_of_its_rows() -> None:
    text = str(cause(kind="share", columns=["origin"], what="are 2 times as many: 5 % → 10 % of rows", carries=0.9))
    assert text == "since 2013-07-03: rows with origin = LGA are 2 times as many: 5 % → 10 % of rows"


def test_sources_files_changes_and_the_effect_follow() -> None:
    upstream = Upstream(sources=["weather.dewp", "weather.temp"], files=["a.csv"], changes=["contract of weather"])
    text = str(cause(upstream=upstream, effect=Effect(metric="auc", value=-0.0041, unseen=0.0)))
    assert text.endswith(
        "; source weather, file a.csv; since the training changed: contract of weather; expected effect on AUC -0.004"
    )
    unknown = str(cause(effect=Effect(metric="rmse", value=None, unseen=0.62)))
    assert unknown.endswith("; effect on RMSE unknown: no test row has the values of 62 % of them")


def test_small_shares_keep_two_figures_and_many_names_are_counted() -> None:
    assert [percent(share) for share in (0, 0.0042, 0.05, 0.314)] == ["0 %", "0.42 %", "5 %", "31 %"]
    assert some(list("abcde")) == "a, b, c and 2 more"
