"""Landed files are read as text, by name, and no line is lost."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from headrace.core.errors import FileRefused
from headrace.sources.declaration import Limits, Source
from headrace.sources.landing import Landed, files_below
from headrace.sources.read import read_text

SOURCE = Source(files="*.csv", nulls=["", "NA"])


def rows_of(folder: Path, data: bytes, source: Source = SOURCE) -> list[dict[str, Any]]:
    (folder / "x.csv").write_bytes(data)
    rows = read_text(Landed("x.csv", folder / "x.csv"), source).rows
    return [{k: v for k, v in row.items() if k not in ("_file", "_digest")} for row in rows.to_pylist()]


def row(number: int, a: str | None, b: str | None, malformed: str | None = None) -> dict[str, Any]:
    return {"a": a, "b": b, "_row": number, "_malformed": malformed}


def test_numbers_stay_the_text_that_they_are(tmp_path: Path) -> None:
    assert rows_of(tmp_path, b"a,b\n007,12345678901234567890\n1.10,1e999\n") == [
        row(1, "007", "12345678901234567890"),
        row(2, "1.10", "1e999"),
    ]


def test_only_declared_texts_mean_a_missing_value(tmp_path: Path) -> None:
    assert rows_of(tmp_path, b"a,b\nNA,null\n,NaN\n") == [row(1, None, "null"), row(2, None, "NaN")]


def test_a_byte_order_mark_and_windows_line_ends_change_nothing(tmp_path: Path) -> None:
    assert rows_of(tmp_path, b"\xef\xbb\xbfa,b\r\n1,2\r\n") == [row(1, "1", "2")]


def test_a_half_written_last_line_is_kept_aside_with_its_number(tmp_path: Path) -> None:
    assert rows_of(tmp_path, b"a,b\n1,2\n3") == [row(1, "1", "2"), row(2, None, None, "1 columns where 2 belong: 3")]


def test_ragged_lines_are_kept_aside_and_the_rest_keeps_its_numbers(tmp_path: Path) -> None:
    found = rows_of(tmp_path, b'a,b\n1,2,9\n"q\nz",7\n5\n8,9\n')
    assert [(r["_row"], r["a"], r["_malformed"] is None) for r in found] == [
        (1, None, False),
        (2, "q\nz", True),
        (3, None, False),
        (4, "8", True),
    ]


@pytest.mark.parametrize(
    ("data", "whole"),
    [
        (b'a,b\n1,2\n3,"4\n5,6\n7,8\n', [1, 3, 4]),
        (b'a,b\n1,2\n3,"4\n5,6\n7,"8\n', [1, 3]),  # an even number of quotes: a reader takes three lines for one
        (b'a,b\n1,2\n3,"4\n5,6\n7,"8"\n', [1, 3, 4]),
        (b'a,b\n1,"2"x\n3,"4"\n', [2]),
    ],
)
def test_a_quote_that_never_ends_swallows_no_lines(tmp_path: Path, data: bytes, whole: list[int]) -> None:
    found = rows_of(tmp_path, data)
    assert [r["_row"] for r in found] == list(range(1, data.count(b"\n")))
    assert [r["_row"] for r in found if r["_malformed"] is None] == whole
    assert all(
        r["_malformed"].startswith("a quote that never ends, or that text follows: ")
        for r in found
        if r["_row"] not in whole
    )


def test_quotes_as_the_standard_has_them_are_read(tmp_path: Path) -> None:
    assert rows_of(tmp_path, b'a,b\n"x\ny","q ""z"""\n5" pipe,"2,3"\n') == [
        row(1, "x\ny", 'q "z"'),
        row(2, '5" pipe', "2,3"),
    ]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"\xe9,2", "bytes that are not utf-8 (is another `encoding:` meant?): \ufffd,2"),
        (b"1,\x00x", "a NUL byte: 1,\N{SYMBOL FOR NULL}x"),
        (b"1,2,\xe9", "bytes that are not utf-8 (is another `encoding:` meant?): 1,2,\ufffd"),
        (b"1,%b" % (b"x" * 200), "202 bytes where a line may have 100: 1," + "x" * 200),
    ],
)
def test_a_line_that_no_reader_should_see_goes_aside_and_the_rest_stays(tmp_path: Path, line: bytes, why: str) -> None:
    source = SOURCE.model_copy(update={"limits": Limits(line=100)})
    assert rows_of(tmp_path, b"a,b\n1,2\n" + line + b"\n3,4\n", source) == [
        row(1, "1", "2"),
        row(2, None, None, why),
        row(3, "3", "4"),
    ]


@pytest.mark.slow
def test_a_cell_of_200_megabytes_is_one_bad_line_of_which_the_beginning_is_kept(tmp_path: Path) -> None:
    found = rows_of(tmp_path, b"a,b\n1,2\n3," + b"x" * 200_000_000 + b"\n5,6\n")
    assert [(r["_row"], r["a"]) for r in found] == [(1, "1"), (2, None), (3, "5")]
    assert found[1]["_malformed"].startswith("200,000,002 bytes where a line may have 16,000,000: 3,xxx")
    assert len(found[1]["_malformed"]) < 11_000


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16"])
def test_another_encoding_can_be_declared(tmp_path: Path, encoding: str) -> None:
    source = SOURCE.model_copy(update={"encoding": encoding})
    assert rows_of(tmp_path, "a,b\nMünchen,é\n".encode(encoding), source) == [row(1, "München", "é")]


def test_an_encoding_that_nobody_knows_is_refused_while_loading() -> None:
    with pytest.raises(ValidationError, match="'latin-99' is no encoding; write utf-8"):
        Source.model_validate({"files": "x.csv", "encoding": "latin-99"})


lines = st.lists(st.binary(min_size=1, max_size=12).filter(lambda line: line.strip(b"\r\n")), min_size=1, max_size=30)


@given(lines)
@settings(max_examples=300, deadline=None)
def test_whatever_bytes_land_each_line_is_a_row_or_aside(drawn: list[bytes]) -> None:
    data = b"a,b\n" + b"\n".join(line.replace(b"\r", b"").replace(b"\n", b"") or b"1,2" for line in drawn) + b"\n"
    with TemporaryDirectory() as folder:
        found = rows_of(Path(folder), data)
    assert [r["_row"] for r in found] == list(range(1, len(found) + 1))
    breaks_in_quotes = sum(str(r[c]).count("\n") for r in found for c in ("a", "b", "_malformed"))
    assert len(found) + breaks_in_quotes == len(drawn)


def test_a_header_alone_is_a_file_without_rows(tmp_path: Path) -> None:
    assert rows_of(tmp_path, b"a,b\n") == rows_of(tmp_path, b"a,b") == []


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "x.csv is empty: not even a header"),
        (b"\xef\xbb\xbf\n \n", "x.csv is empty"),
        (b"a,\xe9\n1,2\n", "its header has bytes that are not utf-8"),
        (b"a,A\n1,2\n", "names a twice"),
        (b"a,_row\n1,2\n", "names _row, which Headrace adds itself"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_in_words(tmp_path: Path, data: bytes, words: str) -> None:
    with pytest.raises(FileRefused, match=words):
        rows_of(tmp_path, data)


def test_a_column_without_a_name_is_left_out(tmp_path: Path) -> None:
    assert rows_of(tmp_path, b",a,b\n0,1,2\n") == [row(1, "1", "2")]


def test_another_delimiter_can_be_declared(tmp_path: Path) -> None:
    assert rows_of(tmp_path, b"a;b\n1,5;2\n", Source(files="*.csv", delimiter=";")) == [row(1, "1,5", "2")]


def test_a_file_that_grows_while_it_is_read_is_refused(tmp_path: Path) -> None:
    class Growing(Landed):
        def data(self) -> bytes:
            read = super().data()
            with self.path.open("ab") as file:
                file.write(b"3,4\n")
            return read

    (tmp_path / "x.csv").write_bytes(b"a,b\n1,2\n")
    with pytest.raises(FileRefused, match="is being written to at this very moment"):
        read_text(Growing("x.csv", tmp_path / "x.csv"), SOURCE)


def test_hidden_and_half_renamed_files_are_not_there_yet(tmp_path: Path) -> None:
    for name in ("b.csv", "a.csv", ".c.csv.part", ".d.csv"):
        (tmp_path / name).write_text("a\n1\n")
    assert [file.name for file in files_below(tmp_path, SOURCE)] == ["a.csv", "b.csv"]
