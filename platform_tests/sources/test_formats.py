"""CSV, JSON lines and Parquet, packed or not: what landed is what stands in the table, and a bomb is refused."""

import gzip
import io
import tracemalloc
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from headrace.core.errors import FileRefused
from headrace.sources.declaration import Limits, Source
from headrace.sources.landing import Landed
from headrace.sources.read import format_of, read_text
from headrace.store.site import Site
from platform_tests.sources.ferries import CROSSINGS, RAW, crossing, csv, ferry_line, land_file, raw_rows, take

ANY = CROSSINGS.model_copy(update={"files": "landing/crossings/*"})
SMALL = Source(files="*", limits=Limits(unpacked=40_000_000, ratio=100))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return ferry_line(tmp_path)


def read(folder: Path, name: str, data: bytes, source: Source = SMALL) -> pa.Table:
    (folder / name).write_bytes(data)
    return read_text(Landed(name, folder / name), source).rows


def values(rows: pa.Table, *columns: str) -> list[tuple[Any, ...]]:
    return list(zip(*(rows[column].to_pylist() for column in columns), strict=True))


def as_parquet(columns: dict[str, Any], **options: Any) -> bytes:
    written = io.BytesIO()
    parquet.write_table(pa.table(columns), written, **options)
    return written.getvalue()


def crossings_parquet(*numbers: int, passengers: pa.DataType | None = None) -> bytes:
    rows = [crossing(number) | {"passengers": 100} for number in numbers]
    columns = {name: pa.array([row[name] for row in rows]) for name in rows[0]}
    return as_parquet(columns | {"passengers": columns["passengers"].cast(passengers or pa.int64())})


@pytest.mark.parametrize(
    ("name", "is_read_as"),
    [
        ("a.csv", "csv"),
        ("a.CSV.gz", "csv"),
        ("a.dat", "csv"),
        ("a.jsonl", "jsonl"),
        ("a.ndjson.gz", "jsonl"),
        ("a.parquet", "parquet"),
        ("a.pq.gz", "parquet"),
    ],
)
def test_the_name_tells_the_format(name: str, is_read_as: str) -> None:
    assert format_of(name, SMALL) == is_read_as
    assert format_of(name, Source(files="*", format="parquet")) == "parquet"


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_texts_land_the_same_from_csv_and_json_lines(site: Site, form: str, packed: bool) -> None:
    lines = '{"crossing":"c001","departs":"2013-03-05T12:00:00","ship":"Ada","passengers":100}\n'
    data = (csv([crossing(1)]) if form == "csv" else lines).encode()
    land_file(site, f"crossings/a.{form}{'.gz' if packed else ''}", gzip.compress(data) if packed else data)
    assert take(site, ANY).refused == {}
    assert raw_rows(site, "crossing", "departs", "passengers", "_day", "_row") == [
        ("c001", "2013-03-05T12:00:00", "100", date(2013, 3, 5), 1)
    ]


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_parquet_keeps_its_types(site: Site, packed: bool) -> None:
    data = crossings_parquet(1, 2)
    land_file(site, f"crossings/a.parquet{'.gz' if packed else ''}", gzip.compress(data) if packed else data)
    take(site, ANY)
    assert site.tables.schema(RAW).field("passengers").type == pa.int64()
    assert raw_rows(site, "crossing", "passengers", "_row") == [("c001", 100, 1), ("c002", 100, 2)]


def test_a_declared_format_wins_over_the_name(site: Site) -> None:
    land_file(site, "crossings/a.csv", crossings_parquet(1))
    take(site, CROSSINGS.model_copy(update={"format": "parquet"}))
    assert raw_rows(site, "passengers") == [(100,)]


def test_a_number_in_json_keeps_its_digits_and_its_neighbours_are_texts_too(tmp_path: Path) -> None:
    line = b'{"id":12345678901234567890,"x":1.10,"t":true,"n":null,"s":"NA","o":{"k":[1.10,"\xc3\xa9"]}}\n'
    rows = read(tmp_path, "a.jsonl", line)
    assert values(rows, "id", "x", "t", "n", "s", "o") == [
        ("12345678901234567890", "1.10", "true", None, "NA", '{"k":[1.10,"é"]}')
    ]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b'{"a":', "no JSON object (Expecting value"),
        (b"[1]", "no JSON object (it is a single value or a list)"),
        (b'{"a":NaN}', "no JSON object (NaN is no JSON)"),
        (b'{"a":1,"a":2}', "no JSON object (the key 'a' stands in it twice)"),
        (b'{"a":"\\u0000"}', "no JSON object (a NUL or half a surrogate pair)"),
        (b'{"a":"\\ud800"}', "no JSON object (a NUL or half a surrogate pair)"),
        (b'{"a":"\xe9"}', "no JSON object ('utf-8' codec can't decode"),
        (b"[" * 100_000, "JSON that is nested too deeply"),
    ],
)
def test_a_line_that_is_no_object_goes_aside_with_its_number(tmp_path: Path, line: bytes, why: str) -> None:
    rows = read(tmp_path, "a.jsonl", b'{"a":1}\n\n' + line + b'\n{"a":3}\n')
    assert values(rows, "_row", "a") == [(1, "1"), (2, None), (3, "3")]
    assert rows["_malformed"][1].as_py().startswith(why)
    assert rows["_malformed"][0].as_py() is None


def test_a_key_that_no_line_of_a_json_file_has_counts_as_missing_with_a_note(site: Site) -> None:
    land_file(site, "crossings/a.jsonl", '{"crossing":"c1","departs":"2013-03-05T12:00:00","ship":"Ada"}\n')
    take(site, ANY)
    land_file(site, "crossings/b.jsonl", '{"crossing":"c2","departs":"2013-03-05T12:00:00"}\n')
    assert take(site, ANY).notes == ["landing/crossings/b.jsonl has no line with ship: the values count as missing"]
    assert raw_rows(site, "crossing", "ship") == [("c1", "Ada"), ("c2", None)]


def test_a_key_that_was_renamed_is_refused_with_the_nearest_name(site: Site) -> None:
    land_file(site, "crossings/a.jsonl", '{"crossing":"c1","departs":"2013-03-05T12:00:00"}\n')
    take(site, ANY)
    land_file(site, "crossings/b.jsonl", '{"crosing":"c2","departs":"2013-03-05T12:00:00"}\n')
    assert "Did you mean 'crosing'?" in take(site, ANY).refused["landing/crossings/b.jsonl"]


def test_types_that_other_engines_do_not_know_become_those_that_they_do(tmp_path: Path) -> None:
    noon = datetime(2013, 3, 10, 12)
    rows = read(
        tmp_path,
        "a.parquet",
        as_parquet(
            {
                "small": pa.array([7], pa.uint8()),
                "code": pa.array(["x"]).dictionary_encode(),
                "naive": pa.array([noon], pa.timestamp("ns")),
                "aware": pa.array([noon], pa.timestamp("ms", "America/New_York")),
                "took": pa.array([timedelta(seconds=1)]),
                "nothing": pa.nulls(1),
                "price": pa.array([Decimal("1.10")]),
                "pairs": pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())),
            }
        ),
    )
    assert values(rows, "small", "code", "price", "nothing") == [(7, "x", Decimal("1.10"), None)]
    assert values(rows, "naive", "aware") == [("2013-03-10 12:00:00.000000000", noon.replace(tzinfo=UTC))]
    assert values(rows, "pairs") == [([{"key": "k", "value": 1}],)]
    assert rows.schema.field("took").type == pa.string()


def test_a_stamp_without_a_zone_in_parquet_is_local_to_the_product(site: Site) -> None:
    late = pa.array([datetime(2013, 3, 10, 23, 30)], pa.timestamp("us"))
    columns = {"crossing": ["c001"], "departs": late, "ship": ["Ada"], "passengers": [100]}
    land_file(site, "crossings/a.parquet", as_parquet(columns))
    take(site, ANY)
    assert raw_rows(site, "_day") == [(date(2013, 3, 10),)]


def test_another_type_is_refused_by_name_and_whole_numbers_fit_a_double(site: Site) -> None:
    land_file(site, "crossings/a.parquet", crossings_parquet(1, passengers=pa.float64()))
    take(site, ANY)
    land_file(site, "crossings/b.parquet", crossings_parquet(2, passengers=pa.int32()))
    land_file(site, "crossings/c.parquet", crossings_parquet(3, passengers=pa.string()))
    assert "passengers: was double, is string" in take(site, ANY).refused["landing/crossings/c.parquet"]
    assert raw_rows(site, "crossing", "passengers") == [("c001", 100.0), ("c002", 100.0)]


def test_each_changed_column_is_told_with_what_it_was_and_is(site: Site) -> None:
    land_file(site, "crossings/a.parquet", crossings_parquet(1))
    take(site, ANY)
    columns = {
        "crossing": ["c2"],
        "departs": ["2013-03-05T12:00"],
        "shipp": ["Ada"],
        "passengers": [1.5],
        "fog": [True],
    }
    land_file(site, "crossings/b.parquet", as_parquet(columns))
    found = take(site, ANY)
    assert [(c.column, c.was, c.now, c.nearest) for c in found.changes] == [
        ("ship", "string", "missing", "shipp"),
        ("passengers", "int64", "double", ""),
        ("shipp", "not there", "string", ""),
        ("fog", "not there", "bool", ""),
    ]
    assert (
        "ship: was string, is missing (nearest: shipp); passengers: was int64, is double."
        in found.refused["landing/crossings/b.parquet"]
    )


def test_changed_reading_reads_the_landed_files_again(site: Site) -> None:
    land_file(site, "crossings/a.csv", csv([crossing(1, ship="Zoé")]).encode("latin-1"))
    take(site)
    assert raw_rows(site, "ship") == [(None,)]
    latin = CROSSINGS.model_copy(update={"encoding": "latin-1"})
    assert take(site, latin).replaced == ["landing/crossings/a.csv"]
    assert raw_rows(site, "ship") == [("Zoé",)]
    assert take(site, latin).files == []


BOMB = gzip.compress(b"a,b\n" + b"1,2\n" * 50_000_000, compresslevel=9)


@pytest.mark.parametrize(
    ("name", "data", "source", "words"),
    [
        ("a.csv.gz", BOMB, SMALL, "unpacks to more than 100 times its 194"),
        ("a.csv", BOMB, SMALL, "unpacks to more than 100 times"),
        ("a.csv.gz", BOMB, Source(files="*", limits=Limits(unpacked=40_000_000, ratio=9999)), "holds more than 40MB"),
        ("a.csv", b"a\n" + b"1\n" * 20_000_001, SMALL, "holds more than 40MB, the most that a file may"),
        ("a.parquet", as_parquet({"a": ["x" * 1000] * 2_000_000}), SMALL, "unpacks to more than 100 times"),
        ("a.parquet", as_parquet({"a": pa.nulls(1)})[:-9], SMALL, "cannot be read as Parquet"),
        ("a.csv.gz", gzip.compress(b"a\n1\n" * 999)[:-9], SMALL, "ends in the middle"),
        ("a.csv.gz", b"a\n1\n", SMALL, "is named .gz and is no gzip file"),
        ("a.csv.gz", gzip.compress(b"a\n1\n") + b"junk", SMALL, "has 4 bytes behind its gzip content"),
        ("a.csv.gz", b"\x1f\x8b\x08\x00junkjunkjunk", SMALL, "is damaged"),
        ("a.jsonl", b" \n", SMALL, "is empty: not a single line"),
        ("a.json", b"[\n", SMALL, "holds no JSON lines"),
        ("a.jsonl", b'{"a":1,"A":2}\n', SMALL, "names a twice"),
        ("a.jsonl", b"\n".join(b'{"k%d":1}' % n for n in range(2001)), SMALL, "more than 2,000 different keys"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_a_bomb_or_a_torn_file_is_refused_before_it_uses_memory(
    tmp_path: Path, name: str, data: bytes, source: Source, words: str
) -> None:
    (tmp_path / name).write_bytes(data)
    before = pa.total_allocated_bytes()
    tracemalloc.start()
    try:
        with pytest.raises(FileRefused, match=words):
            read_text(Landed(name, tmp_path / name), source)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 150_000_000
    assert pa.total_allocated_bytes() - before < 50_000_000


def test_gzip_of_several_members_is_one_file(tmp_path: Path) -> None:
    rows = read(tmp_path, "a.csv.gz", gzip.compress(b"a\n1\n") + gzip.compress(b"2\n") + b"\0" * 512)
    assert values(rows, "a") == [("1",), ("2",)]
