"""The SQL of the flights, on all flights of 2013: local wall-clock numbers become the right instants."""

from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from headrace.contracts.validate import validate
from headrace.core.place import Place
from headrace.declaration import ProductDeclaration
from headrace.demo.land import land
from headrace.sources.ingest import ingest
from headrace.store.site import Site

FOLDER = Path(__file__).parents[2] / "platform" / "products" / "flight_delays"
DECLARED = ProductDeclaration.model_validate(yaml.safe_load((FOLDER / "defs.yaml").read_text())["attributes"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Return the product's site with the whole year ingested."""
    site = Site(DECLARED, FOLDER, Place.at(tmp_path_factory.mktemp("year")))
    land(site.place.landing, date(2013, 12, 31))
    for name, source in DECLARED.sources.items():
        assert not ingest(site, name, source).refused
    return site


@pytest.fixture(scope="module")
def flights(site: Site) -> pa.Table:
    return site.tables.read("flight_delays/raw/flights")


def ask(site: Site, flights: pa.Table, sql: str) -> dict[str, Any]:
    answer: dict[str, Any] = site.engine.query(sql, {"flights": flights}).to_pylist()[0]
    return answer


def test_no_flight_is_lost_and_each_has_an_id_of_its_own(site: Site, flights: pa.Table) -> None:
    assert ask(
        site,
        flights,
        "select count(*) as n, count(distinct flight_id) as ids, count(sched_dep) as planned from flights",
    ) == {
        "n": 336_776,
        "ids": 336_776,
        "planned": 336_776,
    }


def test_flights_that_left_have_a_departure_and_those_that_landed_an_arrival(site: Site, flights: pa.Table) -> None:
    wrong = ask(
        site,
        flights,
        """select count(*) filter ((dep_delay is null) <> (dep_at is null)) as departures,
        count(*) filter (arr_delay is not null and arr_at is null) as arrivals,
        count(*) filter (arr_at is not null and dep_at is null) as without_departure from flights""",
    )
    assert wrong == {"departures": 0, "arrivals": 0, "without_departure": 0}


def test_a_scheduled_departure_is_what_the_clocks_of_new_york_said(site: Site, flights: pa.Table) -> None:
    sql = """select count(*) as wrong from flights where strftime(timezone('America/New_York', sched_dep), '%H%M')::int
        <> sched_dep_time::int % 2400"""
    assert ask(site, flights, sql) == {"wrong": 0}


def test_each_flight_lies_in_its_local_day(site: Site, flights: pa.Table) -> None:
    assert ask(
        site, flights, "select count(*) as wrong from flights where _day <> make_date(year::int, month::int, day::int)"
    ) == {"wrong": 0}


def test_no_flight_takes_less_time_than_it_was_in_the_air(site: Site, flights: pa.Table) -> None:
    sql = """select count(*) filter (ground < 0) as impossible, median(ground) as usual, max(ground) as most
        from (select epoch(arr_at - dep_at) / 60 - air_time::int as ground from flights where air_time is not null)"""
    assert ask(site, flights, sql) == {"impossible": 0, "usual": 28.0, "most": 235.0}


def test_arrivals_agree_with_the_plan_and_the_delay_to_the_minute(site: Site, flights: pa.Table) -> None:
    """The planned arrival is read by the zone of the destination; what is left over are long delays of the source itself."""
    sql = """select count(*) as n, count(*) filter (abs(off) <= 1) as agree from (
        select ((epoch(timezone(zone, arr_at) - date_trunc('day', timezone(zone, arr_at))) / 60)::int
          - (sched_arr_time::int // 100 * 60 + sched_arr_time::int % 100 + arr_delay::int) + 2160) % 1440 - 720 as off
        from flights join (values ('LAX', 'America/Los_Angeles'), ('ORD', 'America/Chicago'), ('ATL', 'America/New_York'),
          ('PHX', 'America/Phoenix'), ('HNL', 'Pacific/Honolulu'), ('SJU', 'America/Puerto_Rico')) as z(airport, zone) on dest = airport
        where arr_delay is not null)"""
    found = ask(site, flights, sql)
    assert found["n"] > 50_000
    assert found["agree"] == found["n"]


@pytest.mark.parametrize(
    ("day", "hours"), [("2013-03-09", 24), ("2013-03-10", 23), ("2013-11-03", 25), ("2013-11-04", 24)]
)
def test_days_on_which_the_clocks_change_are_as_long_as_they_were(
    site: Site, flights: pa.Table, day: str, hours: int
) -> None:
    sql = f"""select count(*) as outside, (select count(*) from flights where _day = date '{day}') as n from flights
        where _day = date '{day}' and not (sched_dep >= timezone('America/New_York', timestamp '{day}')
          and sched_dep < timezone('America/New_York', timestamp '{day}') + interval {hours} hours)"""
    found = ask(site, flights, sql)
    assert found["outside"] == 0
    assert found["n"] > 700


def test_weather_is_observed_at_its_hour_in_utc(site: Site) -> None:
    weather = site.tables.read("flight_delays/raw/weather")
    sql = """select count(*) as n, count(observed_at) as known, count(*) filter (strftime(timezone('America/New_York',
        observed_at), '%H')::int <> hour::int) as other_hour from flights"""
    found = ask(site, weather, sql)
    assert found["n"] == found["known"] == 26_115
    assert found["other_hour"] == 0


@pytest.mark.parametrize(
    ("name", "rows", "aside"), [("flights", 336_776, 1), ("weather", 26_115, 1), ("planes", 3_322, 0)]
)
def test_real_rows_keep_the_contracts_but_for_two(site: Site, name: str, rows: int, aside: int) -> None:
    found = validate(site, name, DECLARED.sources[name], DECLARED.contracts[name], None)
    assert (found.valid.num_rows, found.quarantined.num_rows) == (rows - aside, aside)
