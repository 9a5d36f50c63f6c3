import pytest

from headrace.core.errors import SqlError
from headrace.core.sql import Statement, columns_of, computed_columns, normalized, parse, with_column

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


def test_columns_come_back_as_they_are_declared_or_renamed_whatever_their_case() -> None:
    titanic = {"titanic": {"PassengerId": "varchar", "Survived": "bigint", "fare": "double"}}
    sql = 'select passengerid, "Survived", Fare as Paid from Titanic'
    assert Statement(sql, "label.sql").lineage(titanic) == {
        "PassengerId": {("titanic", "PassengerId")},
        "Survived": {("titanic", "Survived")},
        "Paid": {("titanic", "fare")},
    }
    with pytest.raises(SqlError, match=r"no column 'Survivd'.*Did you mean 'Survived'"):
        Statement("select Survivd from titanic", "label.sql").columns(titanic)


@pytest.mark.parametrize(
    ("sql", "tables"),
    [
        ("with flights as (select * from flights) select * from flights", ["flights"]),
        ("with landed as (select * from flights) select * from LANDED", ["flights"]),
        ("select * from (with a as (select 1) select * from a) as x join a on true", ["a"]),
        ("with recursive n as (select 1 as i union all select i + 1 from n) select * from n, flights", ["flights"]),
        ("select (select max(tailnum) from planes) as newest from flights", ["flights", "planes"]),
        ("(select 1 from flights) union all (select 2 from planes)", ["flights", "planes"]),
        ("select tailnum, n from flights, range(3) as r(n)", ["flights"]),
        ("select * from flights, unnest([1, 2]) as u(x)", ["flights"]),
    ],
)
def test_tables_are_those_that_are_read_and_not_expressions_or_functions(sql: str, tables: list[str]) -> None:
    assert Statement(sql, "a.sql").tables == tables


def test_a_table_function_has_no_lineage_and_its_star_must_be_spelled_out() -> None:
    lineage = Statement("select tailnum, n from flights, range(3) as r(n)", "a.sql").lineage(SCHEMA)
    assert lineage == {"tailnum": {("flights", "tailnum")}, "n": set()}
    with pytest.raises(SqlError, match=r"a.sql: nobody can tell which columns `[*]` brings here: name them"):
        Statement("select * from flights, range(3)", "a.sql").columns(SCHEMA)


def test_an_unknown_column_is_named_with_its_line_and_the_nearest_word() -> None:
    with pytest.raises(SqlError, match=r"last_leg.sql:2: no column 'arr_dely'.*Did you mean 'arr_delay'"):
        Statement(LAST_LEG.replace("arr_delay + 1", "arr_dely + 1"), "last_leg.sql").columns(SCHEMA)


def test_an_unknown_table_is_named_with_the_nearest_word() -> None:
    with pytest.raises(SqlError, match=r"no table 'flihgts'; there are flights. Did you mean 'flights'"):
        Statement("select 1 as one from flihgts", "a.sql").columns(SCHEMA)


def test_text_that_is_no_sql_is_named_with_its_line() -> None:
    with pytest.raises(SqlError, match=r"a.sql:2: this is not SQL"):
        parse("select a,\n b frm (x", "a.sql")


@pytest.mark.parametrize("text", ["select 'a from flights", "select 1 /* from flights"])
def test_an_open_quote_or_comment_is_named_with_its_file(text: str) -> None:
    with pytest.raises(SqlError, match=r"a.sql: this is not SQL: .*Is a quote or a comment left open"):
        parse(text, "a.sql")


@pytest.mark.parametrize("text", ["select 'a from landed", "select * frm (landed"])
def test_text_that_cannot_be_normalized_is_named_with_its_file(text: str) -> None:
    with pytest.raises(SqlError, match=r"flights.sql(:1)?: this is not SQL"):
        normalized(text, "flights.sql")


def test_what_has_no_tables_to_speak_of_is_named_with_its_file() -> None:
    with pytest.raises(SqlError, match=r"a.sql: .*SUMMARIZE flights"):
        _ = Statement("select 1 union summarize flights", "a.sql").tables


def test_two_tables_under_one_name_are_named_with_their_file() -> None:
    with pytest.raises(SqlError, match=r"a.sql: Alias already used: f"):
        Statement("select tailnum from flights f, flights f", "a.sql").columns(SCHEMA)


@pytest.mark.parametrize("text", ["", "select 1; select 2", "drop table flights"])
def test_anything_but_one_select_is_refused(text: str) -> None:
    with pytest.raises(SqlError, match="exactly one SELECT"):
        parse(text, "a.sql")


def test_an_expression_names_its_columns() -> None:
    assert columns_of("dep_delay > 15 and origin = 'JFK'", "windows") == {"dep_delay", "origin"}


def test_a_column_can_be_carried_through_the_outermost_projection() -> None:
    assert with_column("select a + 1 as b from t", "a.sql", "_row") == "SELECT a + 1 AS b, _row FROM t"


@pytest.mark.parametrize(
    ("text", "computed"),
    [
        ("select a, b + 1 as c, d as e from t", {"c", "e"}),
        ("select *, 1 as x from t", {"x"}),
        ("select t.* replace (a + 1 as a) from t", {"a"}),
        ("with u as (select 1 as x from t) select * from u", set()),
    ],
)
def test_computed_columns_are_those_that_the_outermost_projection_makes(text: str, computed: set[str]) -> None:
    assert computed_columns(text, "a.sql") == computed
