"""Raw rows are split by the contract: none is lost, none counts twice."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from headrace.contracts.declaration import Contract
from headrace.contracts.validate import Validated, is_broken, validate
from headrace.core.days import Days
from headrace.core.errors import DataError
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
    assert list(found.checked.reasons.values()) == ["passengers: 'many' is no integer"]


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
    assert is_broken(split(site, **{"max_bad": 0.25} | more)) is broken


def test_a_column_that_nothing_has_is_refused_with_the_nearest_name(site: Site) -> None:
    land_file(site, "crossings/a.csv", csv([crossing(1)]))
    with pytest.raises(DataError, match=r"names 'pasengers'.*Did you mean 'passengers'"):
        split(site, columns={"pasengers": {"type": "integer"}})


def test_a_day_without_rows_gives_no_rows(site: Site) -> None:
    land_file(site, "crossings/a.csv", csv([crossing(1)]))
    empty = split(site, Days(date(2013, 3, 9), date(2013, 3, 9)))
    assert (empty.valid.num_rows, empty.quarantined.num_rows, empty.checked.bad_share) == (0, 0, 0.0)


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
