"""Limits are learned from the first days once; then they stand still until somebody learns anew."""

from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from headrace.contracts.assets import contract_assets
from headrace.contracts.declaration import Contract
from headrace.contracts.learn import learn_limits, learned_file, with_learned
from headrace.contracts.validate import validate
from headrace.core.days import Days
from headrace.core.errors import DeclarationError, NoRows, Refused
from headrace.store.site import Site
from platform_tests.sources.ferries import CROSSINGS, crossing, csv, ferry_line, land_file, take

DECLARED: dict[str, Any] = {
    "columns": {
        "crossing": {"type": "string", "unique": True},
        "ship": {"type": "string"},
        "passengers": {"type": "integer", "nullable": True, "min": 0},
    },
    "learned": {"from": "3d"},
}
FOURTH = Days(date(2013, 3, 7), date(2013, 3, 7))


def contract(**more: Any) -> Contract:
    return Contract.model_validate(DECLARED | more)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Return a site where four days have landed: the first on 4 March, the last one with strangers."""
    site = ferry_line(tmp_path)
    rows = [
        crossing(n, f"2013-03-{4 + n % 3:02d}", ship="AB"[n % 2], passengers=str(100 + n % 50) if n % 10 else "")
        for n in range(300)
    ]
    last = [crossing(900 + n, "2013-03-07", ship="C", passengers="4000") for n in range(3)]
    land_file(site, "crossings/a.csv", csv([*rows, *last]))
    take(site)
    return site


def test_what_was_learned_is_a_file_that_people_can_read(site: Site) -> None:
    assert learn_limits(site, "crossings", CROSSINGS, contract()).file.read_text() == (
        "# Learned by `headrace contract learn ferry.crossings`. Nothing else writes here; edit as you like.\n"
        "learned_from: 2013-03-04...2013-03-06\n"
        "columns:\n"
        "  ship: {one_of: [A, B]}\n"
        "  passengers: {max: 154, max_missing: 0.2}\n"
    )


def test_learned_limits_are_held_and_what_is_said_stands_above_them(site: Site) -> None:
    learn_limits(site, "crossings", CROSSINGS, contract())
    held = with_learned(site, "crossings", contract())
    assert held.columns["passengers"].min == 0
    reasons = validate(site, "crossings", CROSSINGS, held, FOURTH).quarantined["_reason"].to_pylist()
    assert reasons == ["ship: C breaks one_of ['A', 'B']; passengers: 4000 breaks max 154.0"] * 3


def test_learned_limits_do_not_move_when_more_lands(site: Site) -> None:
    file = learn_limits(site, "crossings", CROSSINGS, contract()).file
    before = file.read_bytes()
    land_file(site, "crossings/b.csv", csv(crossing(2000 + n, "2013-03-08", passengers="490") for n in range(30)))
    take(site)
    held = with_learned(site, "crossings", contract())
    validate(site, "crossings", CROSSINGS, held, Days(date(2013, 3, 8), date(2013, 3, 8)))
    learn_limits(site, "crossings", CROSSINGS, contract())
    assert file.read_bytes() == before


def test_one_column_may_learn_alone(site: Site) -> None:
    columns = DECLARED["columns"] | {"passengers": {"type": "integer", "nullable": True, "learned": {"from": "2d"}}}
    lesson = learn_limits(site, "crossings", CROSSINGS, contract(columns=columns, learned=None))
    assert set(lesson.limits.columns) == {"passengers"}
    assert lesson.limits.learned_from == "2013-03-04...2013-03-05"


def test_a_person_may_edit_the_file_and_nonsense_is_refused(site: Site) -> None:
    file = learn_limits(site, "crossings", CROSSINGS, contract()).file
    file.write_text(file.read_text().replace("ship:", "shop:"))
    with pytest.raises(DeclarationError, match=r"no column 'shop' .* Did you mean 'ship'"):
        with_learned(site, "crossings", contract())
    file.write_text("learned_from: x\ncolumns: {passengers: {mix: 3}}\n")
    with pytest.raises(DeclarationError, match=r"learned.yaml: columns.passengers: .*unknown key 'mix'"):
        with_learned(site, "crossings", contract())
    file.write_text("learned_from: x\ncolumns: {passengers: {max: -3}}\n")
    with pytest.raises(DeclarationError, match="no value is at least 0"):
        with_learned(site, "crossings", contract())


def test_nothing_is_learned_before_the_days_are_there(site: Site, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="4 of the first 9 days of 'crossings' have landed"):
        learn_limits(site, "crossings", CROSSINGS, contract(learned={"from": "9d"}))
    with pytest.raises(DeclarationError, match="nothing to learn"):
        learn_limits(site, "crossings", CROSSINGS, contract(learned=None))
    empty = ferry_line(tmp_path / "empty")
    land_file(empty, "crossings/a.csv", csv([crossing(1)]))
    take(empty)
    empty.tables.replace("ferry/raw/crossings", empty.tables.read("ferry/raw/crossings").slice(0, 0))
    with pytest.raises(NoRows):
        learn_limits(empty, "crossings", CROSSINGS, contract())


def test_the_check_says_what_is_still_to_be_learned_and_holds_it_afterwards(site: Site) -> None:
    def check() -> dg.AssetCheckEvaluation:
        days = {f"dagster/asset_partition_range_{end}": "2013-03-07" for end in ("start", "end")}
        made = contract_assets(site, {"crossings": CROSSINGS}, {"crossings": contract()})
        return dg.materialize(made, tags=days).get_asset_check_evaluations()[0]

    assert "headrace contract learn ferry.crossings" in (check().description or "")
    assert not learned_file(site, "crossings").exists()
    learn_limits(site, "crossings", CROSSINGS, contract())
    assert "3 of 3 rows break the contract" in (check().description or "")
