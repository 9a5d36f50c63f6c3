"""What is found to be wrong with features and label before any data are read."""

from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from headrace.contracts.declaration import Column, Contract
from headrace.core.errors import DeclarationError
from headrace.features.compute import feature_rows
from headrace.features.declaration import Label
from headrace.features.leakage import find_leaks
from headrace.features.look import Declared
from headrace.features.training import training_rows
from headrace.features.verify import Graph, verify
from headrace.sources.declaration import Source
from headrace.store.site import Site
from platform_tests.features.airline import CONTRACT, LABEL, LABEL_SQL, NOON, SOURCES, airline, windows

AIRPORTS = {"airports": Source(files="airports.csv")}
ORDERS = {"orders": Source(files="orders.csv", time="OrderedAt", known_at={"Survived": "SettledAt"})}
COLUMNS = {
    "OrderId": "string",
    "CustomerId": "string",
    "OrderedAt": "timestamp",
    "SettledAt": "timestamp",
    "Survived": "boolean",
}
ORDER_CONTRACT = Contract(columns={name: Column.model_validate({"type": kind}) for name, kind in COLUMNS.items()})
ORDER_LABEL = Label(
    sql="label.sql", entity="OrderId", time="OrderedAt", column="Survived", known_after=timedelta(days=1)
)
LABEL_OF_ORDERS = "select OrderId, OrderedAt, customerid, Survived{hint} from orders"
HABIT = windows(**{"from": "orders"}, entity="CustomerId", time="OrderedAt", of={"kept": "cast(survived as int)"})


def test_a_contract_for_no_source_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match=r"no source 'fligths'; there are flights. Did you mean 'flights'") as no:
        verify(airline(tmp_path, []), Graph(SOURCES, {"fligths": CONTRACT}, {}, None))
    assert no.value.path == ("contracts", "fligths")


def test_a_label_that_reads_values_known_later_needs_a_contract_to_tell_them_by(tmp_path: Path) -> None:
    site = airline(tmp_path, [])
    with pytest.raises(DeclarationError, match=r"label.sql reads 'flights'.*Write a contract for 'flights'") as no:
        verify(site, Graph(SOURCES, {}, {}, LABEL))
    assert no.value.path == ("label", "sql")
    verify(site, Graph(SOURCES, {"flights": CONTRACT}, {}, LABEL))
    verify(site, Graph({"flights": Source(files="flights/*.csv", time="sched_dep")}, {}, {}, LABEL))


def test_a_table_without_a_contract_does_not_hide_values_known_later_in_another(tmp_path: Path) -> None:
    site = airline(tmp_path, [], {"label.sql": LABEL_SQL + " join airports on origin = code"})
    with pytest.raises(DeclarationError, match="Write a contract for 'airports'"):
        verify(site, Graph(SOURCES | AIRPORTS, {"flights": CONTRACT}, {}, LABEL))


def orders_graph(folder: Path, hint: str = "") -> tuple[Site, Graph]:
    site = airline(folder, [], {"label.sql": LABEL_OF_ORDERS.format(hint=hint)})
    return site, Graph(ORDERS, {"orders": ORDER_CONTRACT}, {"habit": HABIT}, ORDER_LABEL)


def test_columns_with_capital_letters_can_be_declared_with_a_contract(tmp_path: Path) -> None:
    verify(*orders_graph(tmp_path))


@pytest.mark.parametrize("hint", [", survived as hint", ", SURVIVED and true as hint"])
def test_a_value_that_is_known_later_is_found_whatever_the_case_of_its_name(tmp_path: Path, hint: str) -> None:
    with pytest.raises(DeclarationError, match=r"'hint' is made of orders.Survived, which is known at 'SettledAt'"):
        verify(*orders_graph(tmp_path, hint))


def test_windows_count_a_value_from_when_it_is_known_whatever_the_case_of_its_name(tmp_path: Path) -> None:
    site, graph = orders_graph(tmp_path)
    at = NOON + timedelta(hours=3)
    order = {
        "OrderId": "o1",
        "CustomerId": "c1",
        "OrderedAt": NOON,
        "SettledAt": NOON + timedelta(hours=1),
        "Survived": True,
    }
    asked = {**order, "OrderId": "o2", "OrderedAt": at, "SettledAt": at + timedelta(hours=1)}
    site.tables.replace("air/validated/orders", pa.Table.from_pylist([order, asked]))
    rows = feature_rows(site, "habit", HABIT, ORDERS, None)
    assert pc.min(rows["time"]).as_py() == NOON + timedelta(hours=1)
    site.tables.replace("air/features/habit", rows)
    trained = training_rows(site, graph.features, ORDER_LABEL)
    assert trained.column_names == [
        "OrderId",
        "OrderedAt",
        "CustomerId",
        "Survived",
        "habit_count_2h",
        "habit_kept_mean_2h",
    ]
    assert find_leaks(site, Declared(ORDERS, graph.features, ORDER_LABEL), trained) == []
