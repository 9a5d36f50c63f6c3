"""Landed files are read as text, by name, and no line is lost."""

from pathlib import Path
from typing import Any

import pytest

from headrace.core.errors import FileRefused
from headrace.sources.declaration import Source
from headrace.sources.read import Landed, landed_files, read_text

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


def test_a_quote_that_never_ends_swallows_no_lines(tmp_path: Path) -> None:
    found = rows_of(tmp_path, b'a,b\n1,2\n3,"4\n5,6\n7,8\n')
    assert [r["_row"] for r in found] == [1, 2, 3, 4]
    assert [r["_malformed"] for r in found[1:]] == [
        f"a quote that never ends: {line}" for line in ('3,"4', "5,6", "7,8")
    ]


def test_a_header_alone_is_a_file_without_rows(tmp_path: Path) -> None:
    assert rows_of(tmp_path, b"a,b\n") == rows_of(tmp_path, b"a,b") == []


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "x.csv is empty: not even a header"),
        (b"\xef\xbb\xbf\n \n", "x.csv is empty"),
        (b"a,b\n\xe9,2\n", "cannot be read as CSV in UTF-8"),
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


def test_hidden_and_half_renamed_files_are_not_there_yet(tmp_path: Path) -> None:
    for name in ("b.csv", "a.csv", ".c.csv.part", ".d.csv"):
        (tmp_path / name).write_text("a\n1\n")
    assert [file.name for file in landed_files(tmp_path, SOURCE)] == ["a.csv", "b.csv"]
