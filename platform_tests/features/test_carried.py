"""What `engine: spark` cannot do is said while the product loads, with file, line and construct."""

from dataclasses import replace
from pathlib import Path

import pytest

from headrace.core.errors import DeclarationError
from headrace.features.declaration import Feature
from headrace.features.graph import Graph
from headrace.features.recipe import feature_parts
from headrace.features.verify import verify
from headrace.store.site import Site
from platform_tests.features.airline import CONTRACT, LABEL, SOURCES, airline, windows

NOWHERE = "spark://127.0.0.1:1"


def site_on_spark(folder: Path, files: dict[str, str] | None = None, url: str | None = NOWHERE) -> Site:
    site = airline(folder, [], files)
    product = site.product.model_copy(update={"engine": "spark"})
    return replace(site, product=product, place=replace(site.place, spark_url=url))


def graph(**features: Feature) -> Graph:
    return Graph(SOURCES, {"flights": CONTRACT}, features, LABEL)


def test_without_the_address_of_a_cluster_it_says_which_variable_to_set(tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match="set HEADRACE_SPARK_URL to spark://host:port") as error:
        verify(site_on_spark(tmp_path, url=None), graph())
    assert error.value.path == ("engine",)


def test_without_pyspark_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headrace.store.site.find_spec", lambda _: None)
    with pytest.raises(DeclarationError, match=r"pip install 'headrace\[spark\]'"):
        verify(site_on_spark(tmp_path), graph())


def test_the_address_is_never_shown(tmp_path: Path) -> None:
    assert NOWHERE not in repr(site_on_spark(tmp_path))


def test_a_declaration_that_can_be_carried_loads_without_asking_the_cluster(tmp_path: Path) -> None:
    verify(site_on_spark(tmp_path), graph(now=windows(where="dep_delay / 2 > 1")))


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("select l.origin, l.dep_at\nfrom flights l\nasof join flights r on l.dep_at >= r.dep_at", ":3: .*ASOF JOIN"),
        ("select origin, dep_at,\n  frobnicate(dep_delay) as x\nfrom flights", ":2: .*the function frobnicate"),
        ("select origin, dep_at, tailnum::double as x from flights", ":1: .*from text to double"),
        ("select origin, dep_at, now() as x from flights", ":1: .*the function now"),
    ],
)
def test_sql_that_spark_would_understand_differently_is_refused_while_loading(
    tmp_path: Path, sql: str, told: str
) -> None:
    feature = Feature.model_validate({"sql": "last.sql", "entity": "origin", "time": "dep_at"})
    with pytest.raises(DeclarationError, match=f"last.sql{told}") as error:
        verify(site_on_spark(tmp_path, {"last.sql": sql}), graph(last=feature))
    assert error.value.path == ("features", "last")


def test_an_expression_of_windows_is_refused_by_the_name_of_its_table(tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match=r"features\.now:1: .*the function frobnicate"):
        verify(site_on_spark(tmp_path), graph(now=windows(of={"x": "frobnicate(dep_delay)"})))


def test_a_label_is_refused_where_its_sql_cannot_be_carried(tmp_path: Path) -> None:
    label = "select flight_id, sched_dep as predict_at, sched_dep, origin, arr_delay > 15 as late from flights limit 5"
    with pytest.raises(DeclarationError, match=r"label\.sql:1: .*LIMIT") as error:
        verify(site_on_spark(tmp_path, {"label.sql": label}), graph())
    assert error.value.path == ("label", "sql")


def test_a_table_is_outdated_once_another_engine_makes_it(tmp_path: Path) -> None:
    feature, declared = windows(), graph(now=windows())
    local = feature_parts(airline(tmp_path / "local", []), declared, feature)
    spark = feature_parts(site_on_spark(tmp_path / "spark"), declared, feature)
    other = {name for name in {*local, *spark} if local.get(name) != spark.get(name)}
    assert {"engine", "library pyspark", "headrace.features.spark.window_rows"} <= other
    assert all(name.startswith("headrace.features.spark") for name in other - {"engine", "library pyspark"})
