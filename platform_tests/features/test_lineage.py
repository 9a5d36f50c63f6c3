"""Lineage: which columns a table of features gives, and which only begin like it."""

from pathlib import Path

from headrace.features.declaration import Feature
from headrace.features.lineage import training_lineage
from headrace.features.verify import Graph
from platform_tests.features.airline import CONTRACT, LABEL, SOURCES, airline


def test_an_entity_that_begins_like_its_table_stays_a_column_of_the_request(tmp_path: Path) -> None:
    site = airline(tmp_path, [], {"fleet.sql": "select flight_id, 1 as size from flights"})
    features = {"flight": Feature(sql="fleet.sql", entity="flight_id")}
    lineage = training_lineage(site, Graph(SOURCES, {"flights": CONTRACT}, features, LABEL))
    assert lineage["flight_id"] == {("validated", "flights", "flight_id")}
    assert lineage["flight_size"] == {("features", "flight", "flight_size")}
