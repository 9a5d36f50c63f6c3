"""The point-in-time join: nothing later, nothing too old, nothing lost."""

from datetime import timedelta

import pyarrow as pa
import pytest

from headrace.features.join import FeatureTable, join_features
from platform_tests.features.airline import NOON

WEATHER = [
    {"origin": "EWR", "time": NOON, "temp": 10.0},
    {"origin": "EWR", "time": NOON + timedelta(hours=1), "temp": 11.0},
    {"origin": "JFK", "time": NOON, "temp": 20.0},
]
ROWS = pa.schema([("origin", pa.string()), ("at", pa.timestamp("us", "UTC"))])


def ask(
    *requests: tuple[str | None, timedelta], ttl: timedelta | None = None, age: bool = False
) -> list[dict[str, object]]:
    rows = pa.Table.from_pylist([{"origin": origin, "at": NOON + later} for origin, later in requests], schema=ROWS)
    table = FeatureTable("weather", pa.Table.from_pylist(WEATHER), ["origin"], ttl=ttl, age=age)
    return join_features(rows, "at", [table]).to_pylist()


@pytest.mark.parametrize(("minutes", "temp"), [(-1, None), (0, 10.0), (59, 10.0), (60, 11.0), (600, 11.0)])
def test_a_row_holds_from_its_own_instant_on(minutes: int, temp: float | None) -> None:
    assert ask(("EWR", timedelta(minutes=minutes)))[0]["temp"] == temp


def test_a_row_older_than_its_time_to_live_counts_as_missing() -> None:
    fresh, stale = ask(("JFK", timedelta(hours=3)), ("JFK", timedelta(hours=3, seconds=1)), ttl=timedelta(hours=3))
    assert (fresh["temp"], stale["temp"]) == (20.0, None)


def test_the_age_of_the_row_is_a_feature_when_asked_for() -> None:
    assert ask(("EWR", timedelta(minutes=90)), age=True)[0]["weather_age_minutes"] == 30.0


def test_a_null_entity_matches_nothing_and_no_request_is_lost() -> None:
    answers = ask((None, timedelta(0)), ("EWR", timedelta(0)), ("XXX", timedelta(0)), ("EWR", timedelta(0)))
    assert [a["temp"] for a in answers] == [None, 10.0, None, 10.0]


def test_requests_keep_their_order() -> None:
    answers = ask(("EWR", timedelta(hours=2)), ("JFK", timedelta(hours=1)), ("EWR", timedelta(0)))
    assert [a["temp"] for a in answers] == [11.0, 20.0, 10.0]


def test_a_table_without_time_holds_for_all_time() -> None:
    rows = pa.Table.from_pylist([{"origin": "EWR", "at": NOON}, {"origin": None, "at": NOON}], schema=ROWS)
    runways = FeatureTable("airport", pa.Table.from_pylist([{"origin": "EWR", "runways": 3}]), ["origin"], time=None)
    assert [a["runways"] for a in join_features(rows, "at", [runways]).to_pylist()] == [3, None]
