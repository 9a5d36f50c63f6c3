"""Whoever was erased does not come in again, from wherever; landed files lose their rows and nothing else when asked."""

import gzip
import io
import json
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.core.errors import DataError
from headrace.sources.declaration import Source
from headrace.sources.erase import holding_files, remove_rows
from headrace.sources.ingest import ingest
from headrace.sources.pending import pending_files
from headrace.store.person import Person
from headrace.store.site import Site
from platform_tests.sources.ferries import CROSSINGS, RAW, crossing, csv, ferry_line, land_file

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LOVELACE = Person("ship", "Ada Lovelace")
ROWS = [crossing(1), crossing(2, ship=LOVELACE.value), crossing(3, ship="Ada Lovelaces")]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return ferry_line(tmp_path)


def erased(site: Site, person: Person = LOVELACE) -> None:
    site.erasures.begin(person, NOW, {})


def ships(site: Site, table: str = RAW) -> list[str | None]:
    return sorted(site.tables.read(table)["ship"].to_pylist(), key=str)


def lines(rows: list[dict[str, str]]) -> str:
    return "".join(f"{json.dumps(row)}\n" for row in rows)


def parquet(rows: list[dict[str, str]], *, dictionary: bool = False) -> bytes:
    sink, table = io.BytesIO(), pa.Table.from_pylist(rows)
    if dictionary:
        table = table.set_column(2, "ship", table["ship"].dictionary_encode())
    pq.write_table(table, sink)
    return sink.getvalue()


FORMATS = {
    "a.csv": csv(ROWS).encode(),
    "a.csv.gz": gzip.compress(csv(ROWS).encode()),
    "a.jsonl": lines(ROWS).encode(),
    "a.parquet": parquet(ROWS),
    "b.parquet": parquet(ROWS, dictionary=True),
}


@pytest.mark.parametrize("name", FORMATS)
def test_rows_of_a_landed_file_stay_out_in_each_format(site: Site, name: str) -> None:
    land_file(site, f"crossings/{name}", FORMATS[name])
    erased(site)
    source = CROSSINGS.model_copy(update={"files": "landing/crossings/*"})
    ingest(site, "crossings", source)
    assert ships(site) == ["Ada", "Ada Lovelaces"]
    assert ingest(site, "crossings", source).files == []


def test_a_file_that_holds_nobody_else_is_passed_over_time_and_again_without_a_commit(site: Site) -> None:
    land_file(site, "crossings/1.csv", csv(ROWS[:1]))
    land_file(site, "crossings/2.csv", csv(ROWS[1:2]), mtime=0)
    erased(site)
    for files in (["landing/crossings/1.csv"], []):
        found = ingest(site, "crossings", CROSSINGS)
        assert (found.files, site.tables.version(RAW)) == (files, 0)
        assert found.notes == ["landing/crossings/2.csv holds rows of erased persons alone"]
    assert pending_files(site, {"crossings": CROSSINGS}, {}).touched <= {site.product.start}


def test_malformed_lines_of_who_was_erased_stay_out(site: Site) -> None:
    land_file(site, "crossings/1.csv", csv(ROWS[:1]) + f"c009,{LOVELACE.value}\nc010,Grace\n")
    erased(site)
    ingest(site, "crossings", CROSSINGS)
    kept = [line for line in site.tables.read(RAW)["_malformed"].to_pylist() if line]
    assert kept == ["2 columns where 4 belong: c010,Grace"]


def test_a_changed_file_from_which_only_erased_rows_are_left_takes_its_earlier_rows_out(site: Site) -> None:
    land_file(site, "crossings/1.csv", csv(ROWS[:1]))
    land_file(site, "crossings/2.csv", csv(ROWS[2:]))
    ingest(site, "crossings", CROSSINGS)
    erased(site)
    land_file(site, "crossings/2.csv", csv(ROWS[1:2]))
    ingest(site, "crossings", CROSSINGS)
    assert ships(site) == ["Ada"]


def test_rows_of_a_database_stay_out_and_the_next_window_goes_on(site: Site, tmp_path: Path) -> None:
    address = tmp_path / "shop.db"
    with sqlite3.connect(address) as shop:
        shop.execute("create table crossings (id integer, ship text)")
        shop.executemany("insert into crossings values (?, ?)", [(1, "Ada"), (2, LOVELACE.value)])
    shop.close()
    site = Site(site.product, site.folder, site.place, {"SHOP_DB": f"sqlite:///{address}"})
    source = Source.model_validate({"database": {"url": "env:SHOP_DB", "table": "crossings", "cursor": "id", "lag": 5}})
    erased(site)
    for _ in range(2):
        ingest(site, "crossings", source)
        assert (ships(site), site.tables.version(RAW)) == (["Ada"], 0)
    with sqlite3.connect(address) as shop:
        shop.execute("insert into crossings values (3, 'Grace')")
    shop.close()
    ingest(site, "crossings", source)
    assert ships(site) == ["Ada", "Grace"]


def test_rows_that_dlt_pulls_stay_out(site: Site) -> None:
    rows = [{"id": 1, "ship": "Ada"}, {"id": 2, "ship": LOVELACE.value}]
    (site.folder / "api.py").write_text(
        f"import dlt\n\n@dlt.resource(write_disposition='append')\ndef crossings():\n    yield {rows!r}\n"
    )
    erased(site)
    ingest(site, "crossings", Source(dlt="api.py:crossings"))
    assert ships(site) == ["Ada"]


@pytest.mark.parametrize("name", FORMATS)
def test_a_landed_file_loses_the_rows_and_nothing_else(site: Site, name: str) -> None:
    land_file(site, f"crossings/{name}", FORMATS[name])
    source = CROSSINGS.model_copy(update={"files": "landing/crossings/*"})
    (held,) = holding_files(site, {"crossings": source}, LOVELACE)
    assert held.rows == 1
    remove_rows(held, LOVELACE)
    kept = [ROWS[0], ROWS[2]]
    data = held.path.read_bytes()
    if name.endswith(".parquet"):
        assert pq.read_table(held.path).to_pylist() == kept
    else:
        text = gzip.decompress(data) if name.endswith(".gz") else data
        assert text.decode() == (lines(kept) if "jsonl" in name else csv(kept))
    ingest(site, "crossings", source)
    assert ships(site) == ["Ada", "Ada Lovelaces"]


def test_odd_lines_and_another_encoding_stay_as_they_are(site: Site) -> None:
    text = f'\ufeff"crossing";ship\r\n\r\nc1;"Zoë\nBerg"\r\nc2;"{LOVELACE.value}"\r\nc3;a;b\r\nx;y;{LOVELACE.value}\r\n"broken\r\nc4;Ünal'
    land_file(site, "crossings/1.csv", text.encode("utf-16-le"))
    source = Source(files="landing/crossings/*.csv", delimiter=";", encoding="utf-16-le")
    (held,) = holding_files(site, {"crossings": source}, LOVELACE)
    remove_rows(held, LOVELACE)
    without = text.replace(f'c2;"{LOVELACE.value}"\r\n', "").replace(f"x;y;{LOVELACE.value}\r\n", "")
    assert held.path.read_bytes().decode("utf-16-le") == without


def test_a_file_of_nobody_else_is_removed(site: Site) -> None:
    land_file(site, "crossings/1.csv", csv(ROWS[1:2]))
    (held,) = holding_files(site, {"crossings": CROSSINGS}, LOVELACE)
    remove_rows(held, LOVELACE)
    assert not held.path.exists()


def test_a_file_that_cannot_be_unpacked_is_named(site: Site) -> None:
    land_file(site, "crossings/1.csv", gzip.compress(csv(ROWS).encode())[:-9])
    with pytest.raises(DataError, match=r"1\.csv cannot be unpacked .* Remove it"):
        list(holding_files(site, {"crossings": CROSSINGS}, LOVELACE))
