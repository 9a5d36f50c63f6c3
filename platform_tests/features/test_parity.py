"""Two tables of two engines: which cells differ, and by how much at most."""

import math
import shutil
from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import CliRunner

from headrace.cli import main
from headrace.features.parity import ROUNDING, compare, parity_text

PRODUCT = Path(__file__).parents[2] / "platform" / "products" / "flight_delays"
ROWS = pa.table({"x": [1.0, math.nan, None], "n": pa.array([1, 2, None], pa.int64()), "s": ["a", "b", None]})


def changed(column: str, values: pa.Array) -> pa.Table:
    return ROWS.set_column(ROWS.column_names.index(column), column, values)


def test_equal_tables_differ_nowhere_and_nan_is_nan() -> None:
    same = compare("t", ROWS, ROWS)
    assert (same.rows, same.cells, same.differing, same.most, same.example) == (3, 9, 0, 0.0, "")


def test_a_cell_that_differs_is_named_with_both_values() -> None:
    found = compare("t", ROWS, changed("n", pa.array([1, 3, None], pa.int64())))
    assert found.differing == 1
    assert found.example == "n of row 1 is 2 of duckdb and 3 of spark"


def test_a_null_is_no_value() -> None:
    assert compare("t", ROWS, changed("s", pa.array(["a", "b", ""]))).differing == 1


def test_the_greatest_difference_is_told_even_where_rounding_explains_it() -> None:
    close = changed("x", pa.array([1.0 + 2**-50, math.nan, None]))
    exact, rounded = compare("t", ROWS, close), compare("t", ROWS, close, ROUNDING)
    assert (exact.differing, rounded.differing) == (1, 0)
    assert exact.most == rounded.most == 2**-50


def test_rounding_explains_neither_a_missing_value_nor_an_infinite_one() -> None:
    assert compare("t", ROWS, changed("x", pa.array([math.inf, 1.0, None])), ROUNDING).differing == 2


def test_other_rows_columns_or_types_differ_in_every_cell() -> None:
    fewer = compare("t", ROWS, ROWS.slice(1))
    assert (fewer.differing, fewer.example) == (9, "3 rows of duckdb are 2 of spark")
    assert compare("t", ROWS, ROWS.drop_columns(["s"])).differing == 9
    assert compare("t", ROWS, changed("n", pa.array([1, 2, None], pa.int32()))).differing == 9


def test_no_rows_against_some_is_a_difference() -> None:
    assert compare("t", ROWS.slice(0, 0), ROWS).differing == 9


def test_the_text_names_each_table_and_what_differs_in_it() -> None:
    other = changed("n", pa.array([1, 3, None], pa.int64()))
    text = parity_text([compare("p/features/a", ROWS, ROWS), compare("p/features/b", ROWS, other)])
    assert [line.split()[:4] for line in text.splitlines()[1:3]] == [
        ["p/features/a", "3", "9", "0"],
        ["p/features/b", "3", "9", "1"],
    ]
    assert text.splitlines()[3] == "p/features/b: n of row 1 is 2 of duckdb and 3 of spark"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of the flights product in a project without data."""
    folder = tmp_path / "platform" / "products" / "flight_delays"
    shutil.copytree(PRODUCT, folder)
    (tmp_path / "workspace.yaml").write_text("load_from: []\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HEADRACE_SPARK_URL", raising=False)
    return folder


def test_the_command_says_which_variable_names_the_cluster(project: Path) -> None:
    told = CliRunner().invoke(main, ["parity", "flight_delays"])
    assert told.exit_code == 1
    assert "set HEADRACE_SPARK_URL" in told.output


def test_the_command_refuses_what_spark_cannot_be_asked_before_it_asks(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADRACE_SPARK_URL", "spark://127.0.0.1:1")
    (project / "aircraft.sql").write_text("select tailnum, year, seats, engines\nfrom planes\nlimit 5\n")
    told = CliRunner().invoke(main, ["parity", "flight_delays"])
    assert told.exit_code == 1
    assert "aircraft.sql:" in told.output
    assert "LIMIT" in told.output
