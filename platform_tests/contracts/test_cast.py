"""Text is cast without losing anything, or it is not cast."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from headrace.contracts.cast import cast_rows, guess_columns
from headrace.contracts.declaration import Column, ColumnType
from platform_tests.sources.ferries import ferry_line


def cast(folder: Path, value: Any, kind: ColumnType) -> Any:
    column = pa.array([value]) if value is not None else pa.array([None], pa.string())
    return cast_rows(ferry_line(folder), pa.table({"v": column}), {"v": Column(type=kind)})["v"][0].as_py()


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("007", "string", "007"),
        (" x ", "string", " x "),
        ("007", "integer", 7),
        (" -7 ", "integer", -7),
        ("9223372036854775807", "integer", 2**63 - 1),
        ("1.5e3", "double", 1500.0),
        (".5", "double", 0.5),
        ("-0", "double", 0.0),
        ("1e308", "double", 1e308),
        ("9007199254740992", "double", 2.0**53),
        ("True", "boolean", True),
        ("0", "boolean", False),
        ("2012-02-29", "date", date(2012, 2, 29)),
        ("2013-07-01T12:00:00Z", "timestamp", datetime(2013, 7, 1, 12, tzinfo=UTC)),
        ("2013-07-01 12:00", "timestamp", datetime(2013, 7, 1, 16, tzinfo=UTC)),
        ("2013-01-01T12:00:00.25-05:00", "timestamp", datetime(2013, 1, 1, 17, 0, 0, 250000, tzinfo=UTC)),
        ("2013-01-01", "timestamp", datetime(2013, 1, 1, 5, tzinfo=UTC)),
    ],
)
def test_a_text_that_fits_becomes_its_value(tmp_path: Path, text: str, kind: ColumnType, value: Any) -> None:
    assert cast(tmp_path, text, kind) == value


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("7.0", "integer"),
        ("1e3", "integer"),
        ("1_000", "integer"),
        ("9223372036854775808", "integer"),
        ("12345678901234567890", "integer"),
        ("9007199254740993", "double"),
        ("12345678901234567891", "double"),
        ("1_000", "double"),
        ("1,5", "double"),
        ("NaN", "double"),
        ("inf", "double"),
        ("1e999", "double"),
        ("", "double"),
        ("maybe", "boolean"),
        ("2013-02-29", "date"),
        ("epoch", "date"),
        ("05.03.2013", "date"),
        ("2013-02-30 12:00", "timestamp"),
        ("infinity", "timestamp"),
        ("epoch", "timestamp"),
        ("noon", "timestamp"),
    ],
)
def test_a_text_that_would_lose_something_becomes_nothing(tmp_path: Path, text: str, kind: ColumnType) -> None:
    assert cast(tmp_path, text, kind) is None


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (7, "integer", 7),
        (7.0, "double", 7.0),
        (float("inf"), "double", None),
        (float("nan"), "double", None),
        (7.5, "integer", None),
        (datetime(2013, 7, 1, 12, tzinfo=UTC), "timestamp", datetime(2013, 7, 1, 12, tzinfo=UTC)),
        (datetime(2013, 7, 1, 12), "timestamp", datetime(2013, 7, 1, 16, tzinfo=UTC)),
        (True, "boolean", True),
        (7, "string", "7"),
        (None, "integer", None),
    ],
)
def test_values_that_the_sql_of_the_source_has_typed_already_obey_too(
    tmp_path: Path, value: Any, kind: ColumnType, expected: Any
) -> None:
    assert cast(tmp_path, value, kind) == expected


@pytest.mark.parametrize(
    ("texts", "kind"),
    [
        (["1", "-2", None], "integer"),
        (["1", "2.5"], "double"),
        (["true", "false"], "boolean"),
        (["2013-01-01T00:00:00Z", "2013-01-02 10:00"], "timestamp"),
        (["1", "x"], "string"),
        (["07001", "10001"], "string"),
        (["12345678901234567890"], "string"),
        ([None, None], "string"),
    ],
)
def test_without_a_contract_the_narrowest_type_that_loses_nothing_is_taken(
    tmp_path: Path, texts: list[str | None], kind: ColumnType
) -> None:
    rows = pa.table({"v": pa.array(texts, pa.string()), "_file": ["x"] * len(texts)})
    assert guess_columns(ferry_line(tmp_path), rows, ("_file",)) == {"v": Column(type=kind, nullable=True)}
