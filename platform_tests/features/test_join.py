"""The point-in-time join: nothing later, nothing too old, nothing lost."""

import random
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

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


def test_an_age_is_rounded_once() -> None:
    asked = [("EWR", timedelta(seconds=seconds)) for seconds in range(1, 3600)]
    assert [row["weather_age_minutes"] for row in ask(*asked, age=True)] == [n / 60 for n in range(1, 3600)]


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


@pytest.mark.parametrize("seed", range(20))
def test_the_join_of_random_histories_is_what_going_through_them_says(seed: int) -> None:
    """Five hundred histories each: composite and null keys, moments that meet exactly, a time to live, an age."""
    chance = random.Random(seed)
    ttl = chance.choice([None, timedelta(minutes=chance.randrange(1, 90))])
    history = {
        (origin, carrier, NOON + timedelta(minutes=chance.randrange(240))): chance.choice([None, chance.random()])
        for origin in [None, *range(25)]
        for carrier in [None, *"abcdefghijklmnopqrst"]
        for _ in range(chance.randrange(6))
    }
    rows = [{"origin": o, "carrier": c, "time": t, "temp": value} for (o, c, t), value in history.items()]
    chance.shuffle(rows)
    asked = [
        {
            "origin": chance.choice([None, *range(27)]),
            "carrier": chance.choice([None, *"abcdefghijklmnopqrstuv"]),
            "at": NOON + timedelta(minutes=chance.randrange(-10, 250), seconds=chance.choice([0, 0, 30])),
        }
        for _ in range(2000)
    ]
    keys = [("origin", pa.int64()), ("carrier", pa.string())]
    moment = pa.timestamp("us", "UTC")
    table = pa.Table.from_pylist(rows, schema=pa.schema([*keys, ("time", moment), ("temp", pa.float64())]))
    requests = pa.Table.from_pylist(asked, schema=pa.schema([*keys, ("at", moment)]))
    joined = join_features(requests, "at", [FeatureTable("weather", table, ["origin", "carrier"], ttl=ttl, age=True)])
    assert joined.select(["origin", "carrier", "at"]).equals(requests)
    by_key = defaultdict[Any, dict[datetime, float | None]](dict)
    for (origin, carrier, time), value in history.items():
        by_key[origin, carrier][time] = value
    honest = [_newest(by_key[row["origin"], row["carrier"]], row, ttl) for row in asked]
    assert list(zip(joined["temp"].to_pylist(), joined["weather_age_minutes"].to_pylist(), strict=True)) == honest


def _newest(
    history: Mapping[datetime, float | None], row: dict[str, Any], ttl: timedelta | None
) -> tuple[float | None, float | None]:
    """Return the value and the age in minutes that a request should get."""
    usable = [time for time in history if time <= row["at"] and (ttl is None or row["at"] - time <= ttl)]
    if None in (row["origin"], row["carrier"]) or not usable:
        return None, None
    return history[max(usable)], (row["at"] - max(usable)).total_seconds() / 60
