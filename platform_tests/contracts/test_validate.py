"""Raw rows are split by the contract: none is lost, none counts twice."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from headrace.contracts.declaration import Contract
from headrace.contracts.validate import Validated, validate, validate_by_pieces
from headrace.contracts.verdict import is_broken, joined
from headrace.core.days import Days
from headrace.core.errors import DataError
from headrace.store.digest import rows_digest
from headrace.store.site import Site
from platform_tests.sources.ferries import CROSSINGS, crossing, csv, ferry_line, land_file, take

FIFTH = Days(date(2013, 3, 5), date(2013, 3, 5))
MARCH = Days(date(2013, 3, 1), date(2013, 3, 31))
COLUMNS: dict[str, Any] = {
    "crossing": {"type": "string", "unique": True},
    "departs": {"type": "timestamp"},
    "passengers": {"type": "integer", "min": 0, "nullable": True},
}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return ferry_line(tmp_path)


def split(site: Site, days: Days = FIFTH, columns: dict[str, Any] = COLUMNS, **more: Any) -> Validated:
    take(site)
    return validate(site, "crossings", CROSSINGS, Contract.model_validate({"columns": columns} | more), days)


def names(found: Validated) -> list[str]:
    return found.valid["crossing"].to_pylist()


def reasons(found: Validated) -> list[tuple[str, int, str]]:
    rows = found.quarantined.select(["_file", "_row", "_reason"]).to_pylist()
    return [(row["_file"].rpartition("/")[2], row["_row"], row["_reason"]) for row in rows]


def test_good_rows_are_typed_and_have_exactly_the_columns_of_the_contract(site: Site) -> None:
    land_file(site, "crossings/a.csv", csv([crossing(1)]))
    found = split(site)
    assert [(f.name, str(f.type)) for f in found.valid.schema] == [
        ("crossing", "string"),
        ("departs", "timestamp[us, tz=UTC]"),
        ("passengers", "int64"),
        ("_day", "date32[day]"),
    ]
    assert found.quarantined.num_rows == 0


def test_a_bad_row_goes_aside_as_it_landed_with_reason_file_and_row(site: Site) -> None:
    land_file(site, "crossings/a.csv", csv([crossing(1), crossing(2, passengers="many"), crossing(3, passengers="-1")]))
    found = split(site)
    assert names(found) == ["c001"]
    assert reasons(found) == [
        ("a.csv", 2, "passengers: 'many' is no integer"),
        ("a.csv", 3, "passengers: -1 breaks min 0.0"),
    ]
    assert found.quarantined["passengers"].to_pylist() == ["many", "-1"]


def test_a_date_that_does_not_exist_goes_aside(site: Site) -> None:
    land_file(site, "crossings/a.csv", csv([crossing(1), crossing(2, departs="2013-02-30T12:00:00")]))
    found = split(site)
    assert names(found) == ["c001"]
    assert "departs: '2013-02-30T12:00:00' is no timestamp" in reasons(found)[0][2]


@pytest.mark.parametrize("departs", ["2999-01-01T00:00:00", "1066-10-14", "soon", "NA"])
def test_a_row_that_has_no_day_goes_aside_even_if_the_contract_does_not_name_its_time(site: Site, departs: str) -> None:
    land_file(site, "crossings/a.csv", csv([crossing(1), crossing(2), crossing(3, departs=departs)]))
    found = split(site, columns={"crossing": {"type": "string"}})
    assert names(found) == ["c001", "c002"]
    assert reasons(found)[0][2].startswith("departs")


def test_a_half_written_last_line_goes_aside_whatever_the_contract_does_about_bad_rows(site: Site) -> None:
    land_file(site, "crossings/a.csv", csv([crossing(1)]) + "c002,2013-03")
    for on_fail in ("quarantine", "warn", "fail"):
        found = split(site, on_fail=on_fail)
        assert names(found) == ["c001"]
        assert reasons(found) == [("a.csv", 2, "not a row: 2 columns where 4 belong: c002,2013-03")]


def test_with_warn_all_rows_go_on(site: Site) -> None:
    land_file(site, "crossings/a.csv", csv([crossing(1), crossing(2, passengers="many")]))
    found = split(site, on_fail="warn")
    assert found.valid["passengers"].to_pylist() == [100, None]
    assert found.quarantined.num_rows == 0
    assert [text for failure in found.verdict.failures for text in failure.examples] == [
        "passengers: 'many' is no integer"
    ]


def test_of_rows_with_one_key_the_first_stays_by_day_file_and_row(site: Site) -> None:
    land_file(site, "crossings/b.csv", csv([crossing(1, ship="Bea")]))
    land_file(site, "crossings/a.csv", csv([crossing(1, ship="Ada"), crossing(1, ship="Cid")]))
    columns = {"crossing": {"type": "string", "unique": True}, "ship": {"type": "string"}}
    assert split(site, columns=columns).valid["ship"].to_pylist() == ["Ada"]


@pytest.mark.parametrize(
    "days", [MARCH, Days(date(2013, 3, 6), date(2013, 3, 6))], ids=["one run", "a run of the later day"]
)
def test_a_key_of_an_earlier_day_goes_aside_however_the_days_are_run(site: Site, days: Days) -> None:
    land_file(site, "crossings/a.csv", csv([crossing(1, "2013-03-05"), crossing(1, "2013-03-06")]))
    found = split(site, days)
    assert [r["_day"] for r in found.quarantined.to_pylist()] == [date(2013, 3, 6)]


@pytest.mark.parametrize(
    ("more", "broken"),
    [({}, False), ({"max_bad": 0.2}, True), ({"on_fail": "warn", "max_bad": 0.2}, True), ({"on_fail": "fail"}, True)],
)
def test_a_contract_is_broken_by_the_share_of_bad_rows_or_by_any_with_fail(
    site: Site, more: dict[str, Any], broken: bool
) -> None:
    land_file(site, "crossings/a.csv", csv([*(crossing(n) for n in range(3)), crossing(9, passengers="x")]))
    found = split(site, **{"max_bad": 0.25} | more)
    assert is_broken(found.verdict, found.contract) is broken


def test_a_column_that_nothing_has_is_refused_with_the_nearest_name(site: Site) -> None:
    land_file(site, "crossings/a.csv", csv([crossing(1)]))
    with pytest.raises(DataError, match=r"names 'pasengers'.*Did you mean 'passengers'"):
        split(site, columns={"pasengers": {"type": "integer"}})


def test_a_day_without_rows_gives_no_rows(site: Site) -> None:
    land_file(site, "crossings/a.csv", csv([crossing(1)]))
    empty = split(site, Days(date(2013, 3, 9), date(2013, 3, 9)))
    assert (empty.valid.num_rows, empty.quarantined.num_rows, empty.verdict.bad_share) == (0, 0, 0.0)


def test_without_a_contract_the_first_types_stay_and_later_strangers_go_aside(site: Site) -> None:
    land_file(site, "crossings/a.csv", csv([crossing(1), crossing(2)]))
    take(site)
    first = validate(site, "crossings", CROSSINGS, None, FIFTH)
    assert str(first.valid.schema.field("passengers").type) == "int64"
    site.tables.replace("ferry/validated/crossings", first.valid, days=FIFTH)
    land_file(site, "crossings/b.csv", csv([crossing(3, passengers="a few")]))
    take(site)
    second = validate(site, "crossings", CROSSINGS, None, FIFTH)
    assert names(second) == ["c001", "c002"]
    assert reasons(second) == [("b.csv", 1, "passengers: 'a few' is no integer")]


def test_every_landed_line_is_either_valid_or_aside(site: Site) -> None:
    bad = [crossing(n, passengers="x") for n in range(20, 25)]
    land_file(site, "crossings/a.csv", csv([*(crossing(n) for n in range(20)), *bad]) + "ragged,line\n")
    land_file(site, "crossings/b.csv", csv([crossing(n) for n in range(5)]))
    found = split(site)
    assert (found.valid.num_rows, found.quarantined.num_rows) == (20, 11)


def test_a_column_that_has_another_type_throughout_stops_with_a_diff(site: Site) -> None:
    land_file(site, "crossings/a.csv", csv(crossing(n, passengers=f"{n}.5") for n in range(20)))
    with pytest.raises(DataError, match=r"passengers \(was integer, is double\).*Nothing was validated"):
        split(site)


def test_a_few_rows_that_do_not_fit_are_bad_rows_and_no_other_type(site: Site) -> None:
    land_file(site, "crossings/a.csv", csv(crossing(n, passengers="?") for n in range(19)))
    assert split(site).quarantined.num_rows == 19


def test_columns_are_found_by_name_whatever_their_order_and_others_are_left_out(site: Site) -> None:
    text = "note,passengers,ship,departs,crossing\nx,7,Ada,2013-03-05T12:00:00,c001\n"
    land_file(site, "crossings/a.csv", text)
    found = split(site)
    assert (names(found), found.valid["passengers"].to_pylist()) == (["c001"], [7])
    assert "note" not in found.valid.column_names


@pytest.mark.parametrize("text", ["007", "NA7", "12345678901234567890"])
def test_codes_stay_the_text_that_they_are(site: Site, text: str) -> None:
    land_file(site, "crossings/a.csv", csv([crossing(1, ship=text)]))
    assert split(site, columns={"ship": {"type": "string"}}).valid["ship"].to_pylist() == [text]


def test_a_time_that_is_still_to_come_goes_aside_but_for_five_minutes_of_difference_between_clocks(
    tmp_path: Path,
) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    site = ferry_line(tmp_path, timezone="UTC", start=now.date(), end=None)
    ahead = [crossing(n, departs=(now + timedelta(minutes=minutes)).isoformat()) for n, minutes in enumerate((4, 60))]
    land_file(site, "crossings/a.csv", csv(ahead))
    found = split(site, Days(now.date(), now.date() + timedelta(days=1)))
    assert names(found) == ["c000"]
    assert "is more than 5m ahead of now" in reasons(found)[0][2]


def test_a_plan_may_lie_as_far_ahead_as_the_contract_says(tmp_path: Path) -> None:
    site = ferry_line(tmp_path, clock="replay", end=None)
    land_file(site, ".replay_clock", "2013-03-05T17:00:00+00:00")
    land_file(site, "crossings/a.csv", csv([crossing(1, "2013-03-06"), crossing(2, "2013-03-07")]))
    columns = COLUMNS | {"departs": {"type": "timestamp", "max_ahead": "1d"}}
    assert names(split(site, MARCH, columns=columns)) == ["c001"]


def test_a_key_of_several_columns_may_come_once_whatever_the_day(site: Site) -> None:
    rows = [crossing(1), crossing(1, ship="Bea"), crossing(1, "2013-03-06"), crossing(2, "2013-03-06")]
    land_file(site, "crossings/a.csv", csv(rows))
    columns = {"crossing": {"type": "string"}, "ship": {"type": "string"}}
    for days in (MARCH, Days(date(2013, 3, 6), date(2013, 3, 6))):
        found = split(site, days, columns=columns, unique=["crossing", "ship"])
        assert [reason for _, _, reason in reasons(found)] == [
            "crossing, ship: c001, Ada stands in an earlier row, too"
        ]


def test_a_value_must_stand_in_the_column_that_it_references(site: Site) -> None:
    site.tables.replace("ferry/validated/ships", pa.table({"ship": ["Ada", "Bea"]}))
    land_file(site, "crossings/a.csv", csv([crossing(1), crossing(2, ship="Cid"), crossing(3, ship="")]))
    columns = {"crossing": {"type": "string"}, "ship": {"type": "string", "nullable": True, "references": "ships.ship"}}
    found = split(site, columns=columns)
    assert names(found) == ["c001", "c003"]
    assert reasons(found)[0][2] == "ship: Cid is not in ships.ship"


def test_a_condition_over_several_columns_is_held_and_unknown_is_kept(site: Site) -> None:
    land_file(site, "crossings/a.csv", csv([crossing(1), crossing(2, passengers="900"), crossing(3, passengers="")]))
    found = split(site, rules={"small_ships": "passengers < 500 or crossing = 'c009'"})
    assert names(found) == ["c001", "c003"]
    assert reasons(found)[0][2] == (
        "small_ships: passengers < 500 or crossing = 'c009' is false (crossing = c002, passengers = 900)"
    )


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ({"max_missing": 0.5}, None),
        ({"max_missing": 0.3}, "2013-03-05: passengers misses 0.5, more than 0.3"),
        ({"nullable": True, "max_mean": 10}, None),
        ({"nullable": True, "max_mean": 9.5}, "2013-03-05: passengers has a mean of 10, more than 9.5"),
        ({"nullable": True, "min_mean": 11}, "2013-03-05: passengers has a mean of 10, less than 11"),
    ],
)
def test_the_rows_of_a_day_are_judged_together(site: Site, column: dict[str, Any], words: str | None) -> None:
    land_file(site, "crossings/a.csv", csv([crossing(1, passengers="10"), crossing(2, passengers="")]))
    found = split(site, MARCH, columns=COLUMNS | {"passengers": {"type": "integer"} | column})
    assert [failure.examples for failure in found.verdict.failures] == ([(words,)] if words else [])
    assert found.valid.num_rows == 2


def test_a_label_rate_that_jumps_breaks_the_contract(site: Site) -> None:
    rows = [crossing(n, passengers=str(n % 10 < 2)) for n in range(100)]
    land_file(site, "crossings/a.csv", csv(rows))
    rate = {"passengers": {"type": "boolean", "min_mean": 0.15, "max_mean": 0.25}}
    assert not split(site, columns=rate).verdict.failures
    flipped = [crossing(n, passengers=str((n % 10 < 2) != (n % 10 == 5))) for n in range(100)]
    land_file(site, "crossings/a.csv", csv(flipped))
    found = split(site, columns=rate)
    assert is_broken(found.verdict, found.contract)


def test_a_day_brings_as_many_rows_as_the_days_before_it(site: Site) -> None:
    days = {1: 10, 2: 12, 3: 4, 5: 30, 6: 10}
    rows = [crossing(100 * day + n, f"2013-03-{day:02d}") for day, count in days.items() for n in range(count)]
    land_file(site, "crossings/a.csv", csv(rows))
    found = split(site, MARCH, volume={"over": "28d", "min_share": 0.5, "max_share": 2})
    (failure,) = found.verdict.failures
    assert failure.rule == "volume"
    assert [text.split(" of ")[0] for text in failure.examples] == [
        "2013-03-03: 4 rows, 0.36",
        "2013-03-04: 0 rows, 0.00",
        "2013-03-05: 30 rows, 3.00",
    ]
    assert failure.examples[0].endswith("the median day of the 28d before (11), less than 0.5")


def test_a_volume_needs_days_before_and_days_that_are_over(tmp_path: Path) -> None:
    site = ferry_line(tmp_path, clock="replay", end=None)
    land_file(site, ".replay_clock", "2013-03-06T17:00:00+00:00")
    rows = [*(crossing(n, "2013-03-05") for n in range(10)), crossing(11, "2013-03-06", departs="2013-03-06T08:00:00")]
    land_file(site, "crossings/a.csv", csv(rows))
    assert not split(site, MARCH, volume={"over": "28d", "min_share": 0.5}).verdict.failures


def test_a_column_is_stale_by_its_newest_value_that_has_come(tmp_path: Path) -> None:
    site = ferry_line(tmp_path, clock="replay", end=None)
    land_file(site, ".replay_clock", "2013-03-07T17:00:00+00:00")
    land_file(site, "crossings/a.csv", csv([crossing(1, "2013-03-05")]))
    columns = COLUMNS | {"departs": {"type": "timestamp", "fresh_within": "2d"}}
    assert not split(site, columns=columns).verdict.failures
    land_file(site, ".replay_clock", "2013-03-07T17:00:01+00:00")
    (failure,) = split(site, columns=columns).verdict.failures
    assert failure.examples == ("the newest departs is 48.0 h old, more than 2d",)


def test_each_rule_may_say_for_itself_what_happens_and_how_grave_it_is(site: Site) -> None:
    land_file(site, "crossings/a.csv", csv([crossing(1), crossing(2, passengers="-1"), crossing(3, passengers="900")]))
    limited = {"type": "integer", "min": 0, "max": 500, "on_fail": {"max": "warn"}, "severity": {"max": "warn"}}
    found = split(site, columns=COLUMNS | {"passengers": limited})
    assert names(found) == ["c001", "c003"]
    assert (found.verdict.bad, found.verdict.counted, found.verdict.is_grave) == (2, 1, False)
    assert split(site, columns=COLUMNS | {"passengers": limited | {"severity": {"min": "error"}}}).verdict.is_grave
    assert split(site, columns=COLUMNS | {"passengers": limited | {"on_fail": {"min": "fail"}}}).verdict.stops


@pytest.mark.parametrize("memory", ["1MiB", "2GiB"])
def test_pieces_add_up_to_the_whole_however_small_they_are(site: Site, memory: str) -> None:
    rows = [
        crossing(n, f"2013-03-{n % 9 + 1:02d}", passengers="-1" if n % 7 == 0 else str(n), ship="s" * 500)
        for n in range(900)
    ]
    land_file(site, "crossings/a.csv", csv([*rows, crossing(1, "2013-03-20")]))
    take(site)
    contract = Contract.model_validate({"columns": COLUMNS, "memory": memory, "volume": {"over": "9d", "min_share": 1}})
    whole = validate(site, "crossings", CROSSINGS, contract, MARCH)
    pieces = list(validate_by_pieces(site, "crossings", CROSSINGS, contract, MARCH))
    assert (len(pieces) > 3) is (memory == "1MiB")
    assert [day for piece in pieces for day in piece.days or ()] == list(MARCH)
    assert joined(piece.verdict for piece in pieces) == whole.verdict
    assert rows_digest(pa.concat_tables(piece.valid for piece in pieces)) == rows_digest(whole.valid)
    assert rows_digest(pa.concat_tables(piece.quarantined for piece in pieces)) == rows_digest(whole.quarantined)
