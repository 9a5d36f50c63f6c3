"""What Spark is asked means what DuckDB understands: value by value, type by type; or it is refused by name."""

import re
from pathlib import Path

import pyarrow as pa
import pytest

from headrace.core.errors import DataError, NotCarried, SqlError
from headrace.core.spark_functions import NAMED, REWRITTEN
from headrace.core.spark_sql import carried, refuse_uncarried, schema_of
from headrace.core.sql import parse
from platform_tests.conformance.both import Both, differing
from platform_tests.conformance.edges import EDGES, EXPRESSIONS, NEARLY, REFUSED, STATEMENTS

SCHEMA = schema_of({"edges": EDGES.schema, "others": EDGES.schema})


@pytest.mark.slow
def test_every_expression_that_is_carried_has_the_values_that_it_has_in_duckdb(both: Both) -> None:
    columns = ", ".join(f"{sql} as v{n}" for n, sql in enumerate(EXPRESSIONS))
    local, spark = both.ask(f"select id, {columns} from edges", {"edges": EDGES})
    found = differing(local, spark)
    assert not found, [(EXPRESSIONS[int(what.split('"')[1][1:])], what) for what in found[:5]]


@pytest.mark.slow
def test_what_adds_up_doubles_or_takes_logarithms_agrees_to_the_last_digits(both: Both) -> None:
    for sql in NEARLY:
        local, spark = both.ask(sql, {"edges": EDGES})
        assert not differing(local, spark, rel=1e-13), sql


@pytest.mark.slow
def test_every_statement_that_is_carried_has_the_rows_that_it_has_in_duckdb(both: Both) -> None:
    views = {"edges": EDGES, "others": EDGES.slice(3, 60)}
    for sql in STATEMENTS:
        local, spark = both.ask(sql, views)
        assert not differing(local, spark), sql


def test_every_function_that_is_carried_is_asked_of_both_engines() -> None:
    asked = [*(f"select {e}" for e in EXPRESSIONS), *STATEMENTS, *NEARLY]
    nodes = [node for sql in asked for node in parse(sql, "asked").walk()]
    assert set(REWRITTEN) - {type(node) for node in nodes} == set()
    assert set(NAMED) - {node.name.lower() for node in nodes} == set()


def test_the_page_of_what_is_carried_names_nothing_that_is_not_asked_of_both() -> None:
    rows = (Path(__file__).parents[2] / "docs" / "spark.md").read_text().splitlines()
    named = {row.split("|")[1].strip(): row for row in rows if row.startswith("| ")}
    words = {
        word
        for kind in ("numbers", "nothing", "texts", "time", "aggregates", "windows")
        for listed in re.findall(r"`([a-z0-9_ ]+)`", named[kind])
        for word in listed.split()
    }
    asked = " ".join([*EXPRESSIONS, *STATEMENTS, *NEARLY])
    assert len(words) > 60
    assert [word for word in sorted(words) if not re.search(rf"\b{word}\b", asked)] == []


@pytest.mark.parametrize("sql", REFUSED)
def test_what_could_mean_something_else_is_refused_by_file_line_and_name(sql: str) -> None:
    with pytest.raises(NotCarried, match=r"asked\.sql:\d+: `engine: spark` does not carry `") as refused:
        carried(sql, "asked.sql", SCHEMA)
    assert "engine: duckdb" in str(refused.value) or "write " in str(refused.value)


def test_an_asof_join_is_refused_on_its_own_line_and_says_what_to_do() -> None:
    with pytest.raises(NotCarried, match=r"asked\.sql:2: .*ASOF.*declare `time` and `ttl`"):
        refuse_uncarried(
            "select e.id from edges e\nasof join others o on e.id = o.id and e.moment >= o.moment", "asked.sql"
        )


def test_a_function_that_nobody_knows_is_never_passed_on() -> None:
    with pytest.raises(NotCarried, match=r"asked\.sql:3: .*the function frobnicate"):
        refuse_uncarried("select id,\n  i,\n  frobnicate(x)\nfrom edges", "asked.sql")


def test_an_operand_whose_type_nobody_knows_is_refused_where_it_decides_what_is_meant() -> None:
    with pytest.raises(NotCarried, match="nobody can tell the type of"):
        carried("select a / 2 as half from edges", "asked.sql", {"edges": {"a": "unknown"}})


@pytest.mark.slow
@pytest.mark.parametrize("text", ["stra\u00dfe", "\u03a3\u03a3", "\u0130"])
def test_letters_that_the_engines_write_differently_stop_spark(both: Both, text: str) -> None:
    with pytest.raises(DataError, match="of a letter that Spark may write differently"):
        both.spark.query("select upper(s) as v, lower(s) as w from few", {"few": pa.table({"s": [text]})})


@pytest.mark.slow
@pytest.mark.parametrize(
    "sql",
    [
        "select i * 9223372036854775807 as v from few",
        "select sqrt(x) as v from few",
        "select ln(x) as v from few",
        "select cast(y as bigint) as v from few",
    ],
)
def test_what_stops_duckdb_stops_spark(both: Both, sql: str) -> None:
    few = {"few": pa.table({"i": [2], "x": [-1.0], "y": [1e30]})}
    with pytest.raises(SqlError):
        both.local.query(sql, few)
    with pytest.raises(DataError):
        both.spark.query(sql, few, origin="asked.sql")
