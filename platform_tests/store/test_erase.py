"""Rows, versions, statistics and predicates of a person go; version numbers go on, and so does everything else."""

import json
import sqlite3
import zlib
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.core.declaration import Identity
from headrace.core.errors import Refused, StoreError, VersionRemoved
from headrace.core.place import Place
from headrace.store.erase import Erasure, erase, left, look
from headrace.store.evaluations import fault_of, kind_of, record, recorded
from headrace.store.history import history_text
from headrace.store.models import Training
from headrace.store.person import Person
from headrace.store.site import Site
from headrace.store.tables import Addition
from headrace.store.traces import holds, mask

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RAW, SET = "shop/raw/orders", "shop/training/set"
ANNA = Person("customer", "anna-10482")


def shop(folder: Path) -> Site:
    return Site(Identity(product="shop"), folder, Place.at(folder))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return shop(tmp_path)


def rows(*customers: Any, **columns: Any) -> pa.Table:
    days = pa.array([date(2024, 1, 31 - i) for i in range(len(customers))], pa.date32())
    return pa.table({"customer": list(customers), **columns, "_day": days})


def out(site: Site, person: Person = ANNA, *, live_too: bool = False) -> Erasure:
    return erase(site, person, NOW, live_too=live_too)


def customers(site: Site, table: str = RAW) -> list[Any]:
    return sorted(site.tables.read(table)["customer"].to_pylist(), key=str)


def bytes_below(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_a_person_of_an_earlier_version_alone_leaves_it_and_the_newest_stays_as_it_is(site: Site) -> None:
    site.tables.replace(RAW, rows(ANNA.value, "bert"))
    site.tables.replace(RAW, rows("bert"))
    before = site.tables.files(RAW)
    assert [(t.rows, t.versions) for t in out(site).tables] == [(0, 1)]
    assert (site.tables.version(RAW), site.tables.files(RAW)) == (1, before)
    assert ANNA.value.encode() not in bytes_below(site.place.tables)
    with pytest.raises(VersionRemoved, match=r"Version 0 of 'shop/raw/orders' was erased \(headrace erase, last on"):
        site.tables.read(RAW, version=0)


def test_version_numbers_go_on_and_what_was_committed_stays_known(site: Site) -> None:
    for number, name in enumerate(["bert", ANNA.value, "carl"]):
        added = rows(name).append_column("_file", pa.array([f"{number}.csv"]))
        facts = {"headrace.window": f"record {number}"}
        site.tables.add_files(
            RAW, Addition(added, {f"{number}.csv": "digest"}, facts=facts), after=number - 1 if number else None
        )
    out(site)
    assert (site.tables.version(RAW), customers(site)) == (3, ["bert", "carl"])
    assert site.tables.facts(RAW)["headrace.window"] == "record 2"
    marks = [DeltaTable(str(site.place.tables / RAW)).transaction_version(f"file:{n}.csv:digest") for n in range(3)]
    assert marks == [1, 1, 1]
    lines = history_text(site.tables.versions(RAW), site.tables.removed(RAW)).splitlines()
    assert ["(erased)" in line for line in lines[1:]] == [False, True, True, True]
    site.tables.replace(RAW, rows("dora"))
    assert (site.tables.version(RAW), customers(site)) == (4, ["dora"])


def test_a_table_that_never_held_the_person_stays_untouched(site: Site) -> None:
    site.tables.replace(RAW, rows("bert", f"{ANNA.value}0", f"x{ANNA.value}"))
    site.tables.replace("other/raw/orders", rows(ANNA.value))
    before = bytes_below(site.place.tables)
    assert out(site).tables == []
    assert bytes_below(site.place.tables) == before


@pytest.mark.parametrize(
    ("cells", "kind", "value", "stay"),
    [
        ([7, 70, None], pa.int64(), "7", [70, None]),
        ([7.0, 7.5, None], pa.float64(), "7", [7.5, None]),
        (["7", " 7 ", "07", None], pa.string(), "7", ["07", None]),
        ([Decimal("7.00"), Decimal("7.50")], pa.decimal128(10, 2), "7", [Decimal("7.50")]),
        ([["7"], ["8"]], pa.list_(pa.string()), "7", [["7"], ["8"]]),
        ([date(2024, 1, 7), None], pa.date32(), "2024-01-07", [None]),
        ([True, False], pa.bool_(), "true", [False]),
    ],
)
def test_a_value_is_found_as_text_and_typed_whatever_the_case_of_its_column(
    site: Site, cells: list[Any], kind: pa.DataType, value: str, stay: list[Any]
) -> None:
    site.tables.replace(RAW, rows(*cells).set_column(0, "Customer", pa.array(cells, kind)))
    out(site, Person("customer", value))
    assert site.tables.read(RAW)["Customer"].to_pylist() == stay


def test_malformed_lines_reasons_and_tables_without_the_column_are_searched_for_the_word(site: Site) -> None:
    said = [f"2 columns: x,{ANNA.value}", "one_of: customer anna-104821 is none", None]
    site.tables.replace(RAW, rows(None, None, "bert", _malformed=said))
    site.tables.replace("shop/monitoring/drift", pa.table({"column": [f"auc of {ANNA.value}", "auc"]}))
    out(site)
    assert site.tables.read(RAW)["_malformed"].to_pylist() == said[1:]
    assert site.tables.read("shop/monitoring/drift")["column"].to_pylist() == ["auc"]


LONG = Person("customer", "someone.with.a.very.long.name@a-very-long-domain.example.com")


@pytest.mark.parametrize("person", [ANNA, LONG])
@pytest.mark.parametrize("predicate", ["customer = '{}'", "true"])
def test_the_log_alone_may_hold_the_value_in_a_predicate_or_in_statistics_that_cut_it_off(
    site: Site, person: Person, predicate: str
) -> None:
    site.tables.replace(RAW, rows(person.value, "zoe"))
    folder = site.place.tables / RAW
    DeltaTable(str(folder)).delete(predicate.format(person.value))
    newest = {Path(path).name for path in DeltaTable(str(folder)).file_uris()}
    for path in folder.rglob("*.parquet"):
        if path.name not in newest:
            path.unlink()
    assert [(t.rows, t.versions) for t in look(site, person).tables] == [(0, 1)]
    out(site, person)
    assert not look(site, person).tables
    assert person.value[:32].encode() not in bytes_below(folder)


def test_checkpoints_go_too(site: Site) -> None:
    site.tables.replace(RAW, rows(ANNA.value, "bert"))
    DeltaTable(str(site.place.tables / RAW)).create_checkpoint()
    out(site)
    assert left(site, ANNA) == []
    assert customers(site) == ["bert"]


@settings(max_examples=15, deadline=None)
@given(st.lists(st.lists(st.sampled_from([ANNA.value, "bert", "carl", None]), max_size=4), min_size=1, max_size=4))
def test_the_newest_version_reads_as_before_without_the_person(
    tmp_path_factory: pytest.TempPathFactory, versions: list[list[str | None]]
) -> None:
    site = shop(tmp_path_factory.mktemp("shop"))
    for names in versions:
        site.tables.replace(RAW, rows(*names).set_column(0, "customer", pa.array(names, pa.string())))
    before = [name for name in customers(site) if name != ANNA.value]
    out(site)
    assert customers(site) == before
    assert left(site, ANNA) == []
    assert not look(site, ANNA).tables


def test_an_erasure_waits_for_nobody_and_changes_nothing_while_a_table_is_written(site: Site) -> None:
    site.tables.replace(RAW, rows(ANNA.value))
    with site.tables.quiet(RAW), pytest.raises(Refused, match="'shop/raw/orders' is being written at this moment"):
        out(site)
    assert customers(site) == [ANNA.value]
    assert site.erasures.entries() == []


def test_a_model_that_names_the_person_goes_and_one_that_learned_from_the_rows_is_named(site: Site) -> None:
    site.tables.replace(SET, rows(ANNA.value, "bert"))
    naming = site.models.put(
        {"meta.json": b'{"inputs": [{"name": "customer", "categories": ["%s"]}]}' % ANNA.value.encode()}
    )
    quiet = site.models.put({"model.txt": b"trees"})
    for digest in (naming, quiet):
        site.models.record_training(digest, Training("shop", SET, 0, {}, NOW.isoformat()))
    site.models.record(naming, "profile", {"categories": [ANNA.value]})
    found = out(site)
    assert (found.models, found.trained_on) == ([naming], [quiet])
    assert site.models.digests() == [quiet]
    assert site.models.recorded(naming, "profile") == {"categories": ["*" * len(ANNA.value)]}


def test_an_evaluation_that_is_masked_stays_as_written_and_one_that_was_edited_before_stays_edited(site: Site) -> None:
    site.tables.replace(SET, rows(ANNA.value, "bert"))
    whole, edited = (site.models.put({"model.txt": text}) for text in (b"trees", b"other trees"))
    for digest in (whole, edited):
        record(site, digest, {"slices": [ANNA.value], "auc": 0.7})
    site.models.record(edited, kind_of(site), {"slices": [ANNA.value], "auc": 0.9})
    out(site)
    assert recorded(site, whole) == {"slices": ["*" * len(ANNA.value)], "auc": 0.7}
    assert "was edited" in fault_of(site, edited)


def test_the_pages_of_the_report_go_where_they_hold_the_person_and_those_of_other_products_stay(site: Site) -> None:
    site.place.reports.mkdir(parents=True)
    for name in ("shop.html", "shop.features.html", "shop.standing.json", "index.html", "shopping.html"):
        (site.place.reports / name).write_text(f"<p>{ANNA.value}</p>" if name != "shop.html" else "<p>bert</p>")
    out(site)
    assert sorted(path.name for path in site.place.reports.iterdir()) == ["shop.html", "shopping.html"]


def test_the_certificate_names_tables_rows_and_a_keyed_digest_and_never_the_value(site: Site) -> None:
    site.tables.replace(RAW, rows(ANNA.value, "bert"))
    entry = site.erasures.certify(ANNA, NOW, out(site).facts)
    begun, done = site.erasures.entries()
    assert (begun["state"], done["state"], done["column"], entry["number"]) == ("begun", "done", "customer", 2)
    assert done["tables"] == [{"table": RAW, "rows": 1, "versions": 1}]
    assert len(done["digest"]) == 64
    assert (site.place.home / "erasure.key").stat().st_mode & 0o777 == 0o600
    assert ANNA.value.encode() not in bytes_below(site.place.home)
    other = shop(site.place.root / "elsewhere")
    other.erasures.begin(ANNA, NOW, {})
    assert other.erasures.entries()[0]["digest"] != begun["digest"]


def test_rows_and_lines_of_who_was_erased_do_not_come_in(site: Site) -> None:
    site.erasures.begin(ANNA, NOW, {})
    site.erasures.begin(Person("customer", "7"), NOW, {})
    came = pa.table(
        {
            "Customer": [ANNA.value, "bert", "7", None, None, None],
            "other": ["x", ANNA.value, "x", None, None, None],
            "_malformed": [
                None,
                None,
                None,
                f"2 columns where 6 belong: x,{ANNA.value}",
                f'no JSON: {{"a": "{ANNA.value}"',
                "y",
            ],
        }
    )
    kept = site.erasures.without(came)
    assert kept["Customer"].to_pylist() == ["bert", None]
    lists = pa.table({"customer": [["7"], ["8"]]})
    assert site.erasures.without(lists) == lists
    numbers = pa.table({"customer": pa.array([7.0, 8.0, None])})
    assert site.erasures.without(numbers)["customer"].to_pylist() == [8.0, None]


def test_without_its_key_nothing_is_taken_in(site: Site) -> None:
    site.erasures.begin(ANNA, NOW, {})
    (site.place.home / "erasure.key").unlink()
    with pytest.raises(StoreError, match="The key of erasures is gone or damaged"):
        site.erasures.without(rows("bert"))


def line(value: str) -> str:
    return json.dumps({"line": f"a line\n{value}", "pid": 10482})


def test_json_stays_json_where_the_value_is_a_number_in_it() -> None:
    number = Person("customer", "104821")
    inner = json.dumps({"customer": 104821, "told": ["104821", True, 1048210]})
    masked = json.loads(number.masked_text(json.dumps({"inner": inner, "at": 104821.0})))
    assert (json.loads(masked["inner"]), masked["at"]) == ({"customer": 0, "told": ["******", True, 1048210]}, 0)


def test_a_log_is_masked_in_as_many_bytes_and_a_database_has_no_free_page_that_holds_the_value(tmp_path: Path) -> None:
    log, database = tmp_path / "daemon.log", tmp_path / "index.db"
    log.write_text(f"said {ANNA.value}, not x{ANNA.value}\n")
    with sqlite3.connect(database) as connection:
        connection.execute("create table t (a text, b blob, c integer)")
        connection.execute("create table gone (a text)")
        connection.execute("insert into t values (?, ?, 1)", [line(ANNA.value), zlib.compress(ANNA.value.encode())])
        connection.execute("insert into gone values (?)", [ANNA.value])
        connection.execute("delete from gone")
    connection.close()
    for path in (log, database):
        assert holds(path, ANNA)
        mask(path, ANNA)
        assert not holds(path, ANNA)
    assert log.read_text() == f"said {'*' * len(ANNA.value)}, not x{ANNA.value}\n"
    with sqlite3.connect(database) as connection:
        assert connection.execute("select a, c from t").fetchall() == [(line("*" * 10), 1)]
    connection.close()


def test_a_value_that_is_too_short_to_be_told_is_looked_for_in_its_column_alone(site: Site) -> None:
    seven = Person("customer", "7")
    site.tables.replace(RAW, rows("7", "8", _reason=["not 7", "not 7"]))
    log = site.place.home / "daemon.log"
    log.write_text("7 of 7 steps")
    out(site, seven)
    assert site.tables.read(RAW)["_reason"].to_pylist() == ["not 7"]
    assert log.read_text() == "7 of 7 steps"


@pytest.mark.parametrize("text", ["customer", "=anna", "customer= "])
def test_nobody_is_named_without_a_column_and_a_value(text: str) -> None:
    with pytest.raises(Refused, match="names nobody: write COLUMN=VALUE"):
        Person.parse(text)
