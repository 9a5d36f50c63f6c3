import pytest

from headrace.core.errors import SqlError
from headrace.core.sql import Statement, columns_of, parse, with_column

SCHEMA = {"flights": {"tailnum": "varchar", "arr_at": "timestamptz", "arr_delay": "double"}}
LAST_LEG = """with landed as (
  select tailnum, arr_at, arr_delay + 1 as delay from flights where arr_delay is not null
)
select tailnum, arr_at as known_at, delay from landed
"""


def test_lineage_reaches_through_common_table_expressions() -> None:
    assert Statement(LAST_LEG, "last_leg.sql").lineage(SCHEMA) == {
        "tailnum": {("flights", "tailnum")},
        "known_at": {("flights", "arr_at")},
        "delay": {("flights", "arr_delay")},
    }


def test_an_unknown_column_is_named_with_its_line_and_the_nearest_word() -> None:
    with pytest.raises(SqlError, match=r"last_leg.sql:2: no column 'arr_dely'.*Did you mean 'arr_delay'"):
        Statement(LAST_LEG.replace("arr_delay + 1", "arr_dely + 1"), "last_leg.sql").columns(SCHEMA)


def test_an_unknown_table_is_named_with_the_nearest_word() -> None:
    with pytest.raises(SqlError, match=r"no table 'flihgts'; there are flights. Did you mean 'flights'"):
        Statement("select 1 as one from flihgts", "a.sql").columns(SCHEMA)


def test_text_that_is_no_sql_is_named_with_its_line() -> None:
    with pytest.raises(SqlError, match=r"a.sql:2: this is not SQL"):
        parse("select a,\n b frm (x", "a.sql")


@pytest.mark.parametrize("text", ["", "select 1; select 2", "drop table flights"])
def test_anything_but_one_select_is_refused(text: str) -> None:
    with pytest.raises(SqlError, match="exactly one SELECT"):
        parse(text, "a.sql")


def test_an_expression_names_its_columns() -> None:
    assert columns_of("dep_delay > 15 and origin = 'JFK'", "windows") == {"dep_delay", "origin"}


def test_a_column_can_be_carried_through_the_outermost_projection() -> None:
    assert with_column("select a + 1 as b from t", "a.sql", "_row") == "SELECT a + 1 AS b, _row FROM t"
