"""A first contract is kept by the rows it was made from, and loads."""

import tempfile
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.contracts.declaration import Contract
from headrace.contracts.limits import missing_share, value_range, value_set
from headrace.contracts.suggest import contract_text, suggest_contract
from headrace.contracts.validate import validate
from headrace.core.days import Days
from headrace.core.errors import NoRows
from headrace.store.site import Site
from platform_tests.sources.ferries import CROSSINGS, SHIPS, crossing, csv, ferry_line, land_file, take

MARCH = Days(date(2013, 3, 1), date(2013, 3, 31))


def loaded(text: str, name: str) -> Contract:
    return Contract.model_validate(yaml.safe_load(text)["contracts"][name])


def test_keys_sets_ranges_and_missing_values_are_seen(tmp_path: Path) -> None:
    site = ferry_line(tmp_path)
    rows = [crossing(n, ship="AB"[n % 2], passengers="" if n == 3 else str(17 + n * 3)) for n in range(100)]
    land_file(site, "crossings/a.csv", csv(rows))
    take(site)
    assert contract_text("crossings", suggest_contract(site, "crossings")) == (
        "contracts:\n"
        "  crossings:\n"
        "    columns:\n"
        "      crossing: {type: string, unique: true}\n"
        "      departs: {type: timestamp}\n"
        "      ship: {type: string, one_of: [A, B]}\n"
        "      passengers: {type: integer, nullable: true, min: 10, max: 320}\n"
    )


def test_the_rows_that_it_was_made_from_keep_it(tmp_path: Path) -> None:
    site = ferry_line(tmp_path)
    land_file(site, "crossings/a.csv", csv(crossing(n, ship="AB"[n % 2], passengers=str(n)) for n in range(100)) + "no")
    take(site)
    contract = loaded(contract_text("crossings", suggest_contract(site, "crossings")), "crossings")
    assert validate(site, "crossings", CROSSINGS, contract, MARCH).verdict.bad == 1  # the line that is no row


def test_nothing_is_suggested_from_nothing(tmp_path: Path) -> None:
    site = ferry_line(tmp_path)
    land_file(site, "crossings/a.csv", csv([]) + "half\n")
    take(site)
    with pytest.raises(NoRows, match="No row of 'crossings' has landed yet"):
        suggest_contract(site, "crossings")


def made_of(folder: Path, columns: dict[str, list[str | None]]) -> Site:
    """Return a site whose ships are the given texts."""
    site = ferry_line(folder)
    count = len(next(iter(columns.values())))
    own = {"_file": ["f"] * count, "_digest": ["d"] * count, "_row": list(range(1, count + 1))}
    rows = pa.table({name: pa.array(texts, pa.string()) for name, texts in columns.items()} | own)
    site.tables.replace("ferry/raw/ships", rows.append_column("_malformed", pa.nulls(count, pa.string())))
    return site


Name = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12).filter(
    lambda name: not name.startswith("_") and name.isprintable()
)
Texts = st.lists(
    st.one_of(
        st.none(),
        st.integers(-(2**65), 2**65).map(str),
        st.floats().map(str),
        st.sampled_from(["a", "b", "", " x ", "007", "true", "null", "2013-02-28", "2013-02-30", "é: {", "'"]),
        st.text(max_size=5).filter(lambda text: "\x00" not in text),
    ),
    min_size=1,
    max_size=40,
)


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(st.data())
def test_whatever_lands_the_suggestion_loads_and_is_kept(data: Any) -> None:
    names = data.draw(st.lists(Name, min_size=1, max_size=3, unique_by=str.casefold))
    columns = {name: data.draw(Texts) for name in names}
    count = min(len(texts) for texts in columns.values())
    with tempfile.TemporaryDirectory() as folder:
        site = made_of(Path(folder), {name: texts[:count] * 12 for name, texts in columns.items()})
        contract = loaded(contract_text("ships", suggest_contract(site, "ships")), "ships")
        assert validate(site, "ships", SHIPS, contract, None).verdict.failures == ()


@settings(deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1), st.sampled_from([0.0, 0.1]))
def test_a_range_holds_all_its_values_and_what_is_never_negative_stays_so(values: list[float], margin: float) -> None:
    found = value_range(pl.Series(values), margin)
    assert not found or (found["min"] <= min(values) and max(values) <= found["max"])
    assert not found or min(values) < 0 or found["min"] >= 0


def test_a_set_has_few_values_and_each_often() -> None:
    assert value_set(pl.Series(["a", None, "b"] * 10), "string") == {"one_of": ["a", "b"]}
    assert value_set(pl.Series(["a", "b"] * 9), "string") == {}
    assert value_set(pl.Series([1.5] * 100), "double") == {}


@pytest.mark.parametrize(("worst", "share"), [(0.0, 0.01), (0.02, 0.04), (0.7, 1.0)])
def test_twice_the_worst_day_may_be_missing(worst: float, share: float) -> None:
    assert missing_share(worst) == share
