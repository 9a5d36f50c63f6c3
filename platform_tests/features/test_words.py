"""Definitions in words: what a feature is, said so that nobody needs the code."""

from pathlib import Path
from typing import Any

import pytest

from headrace.features.declaration import Feature
from headrace.features.words import column_defined, declared_at, defined, text_of
from headrace.sources.declaration import Source
from platform_tests.features.airline import airline, windows


@pytest.mark.parametrize(
    ("column", "words"),
    [
        (
            "now_delay_mean_2h",
            "mean of `dep_delay` of the flights of one origin in the 2 h before, as of each prediction",
        ),
        ("now_count_2h", "number of the flights of one origin in the 2 h before, as of each prediction"),
        (
            "now_delay_distinct_2h",
            "number of different values of `dep_delay` of the flights of one origin in the 2 h before",
        ),
        (
            "now_since_2h",
            "minutes since the newest of the flights of one origin in the 2 h before, as of each prediction",
        ),
    ],
)
def test_a_column_of_windows_is_spelled_out(column: str, words: str) -> None:
    feature = windows(agg=["mean", "count", "distinct", "since"])
    assert column_defined("now", feature, column).startswith(words)


def test_whose_windows_they_are_and_which_events_count_is_said() -> None:
    feature = windows(entity=["origin", "carrier", "tailnum"], where="dep_delay > 0", over=["30m", "14d"])
    said = column_defined("now", feature, "now_delay_mean_14d")
    assert "the flights of one origin, carrier and tailnum where `dep_delay > 0` in the 14 days before" in said


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (
            {"known_at": {"dep_delay": "arr_at"}},
            "an event happens at its `dep_at`, and counts once `arr_at` has passed",
        ),
        ({"known_at": {"dep_delay": "dep_at"}}, "an event happens at its `dep_at`"),
    ],
)
def test_a_table_of_windows_says_from_when_on_an_event_counts(source: dict[str, Any], words: str) -> None:
    declared = Source.model_validate({"files": "flights/*.csv", "time": "sched_dep"} | source)
    said = defined(windows(), declared)
    assert said.startswith(
        "mean and count of `dep_delay` of the flights of one origin in the 2 h before each prediction;"
    )
    assert said.endswith(words)


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        ({"sql": "a.sql", "entity": "origin"}, "what a.sql says of one origin, for all time"),
        (
            {"sql": "a.sql", "entity": "origin", "time": "at", "ttl": "3h", "age": True},
            "what a.sql says of one origin: each row holds from its `at` on, for 3 h at most; and how old it was then, in minutes",
        ),
        (
            {"python": "a.py:make", "from": ["flights"], "entity": "origin", "time": "at"},
            "what a.py:make says of one origin: each row holds from its `at` on, until the next one",
        ),
        ({"on_request": "a.sql"}, "computed from each request alone by the SQL in a.sql"),
    ],
)
def test_other_tables_say_who_makes_them_and_how_long_a_row_holds(declared: dict[str, Any], words: str) -> None:
    assert defined(Feature.model_validate(declared), None) == words


def test_an_age_is_said_to_be_one() -> None:
    feature = Feature.model_validate({"sql": "a.sql", "entity": "origin", "time": "at", "age": True})
    assert column_defined("now", feature, "now_age_minutes").startswith(
        "minutes from `at` of the newest row of one origin"
    )
    assert column_defined("now", feature, "now_temp") == "`temp` of the row of one origin that holds at the prediction"


def test_the_text_of_a_table_is_its_sql_or_what_its_function_says_of_itself(tmp_path: Path) -> None:
    code = 'def make(flights):\n    """How long they stood.\n\n    In minutes.\n    """\n    return flights\n'
    site = airline(tmp_path, [], {"a.sql": "select 1 as origin\n", "a.py": code})
    assert text_of(site, Feature.model_validate({"sql": "a.sql", "entity": "origin"})) == "select 1 as origin"
    function = Feature.model_validate({"python": "a.py:make", "from": ["flights"], "entity": "origin"})
    assert text_of(site, function) == "How long they stood.\n\nIn minutes."
    assert text_of(site, windows()) == ""


def test_where_a_table_is_declared_is_told_with_its_line(tmp_path: Path) -> None:
    declaration = "type: headrace.Product\nattributes:\n  features:\n    early: {}\n    now: {}\n"
    site = airline(tmp_path, [], {"defs.yaml": declaration})
    assert declared_at(site, "now") == "defs.yaml:5"
