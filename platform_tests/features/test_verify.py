"""What is found to be wrong with features and label before any data are read."""

from pathlib import Path

import pytest

from headrace.core.errors import DeclarationError
from headrace.features.verify import Graph, verify
from headrace.sources.declaration import Source
from platform_tests.features.airline import CONTRACT, LABEL, LABEL_SQL, SOURCES, airline

AIRPORTS = {"airports": Source(files="airports.csv")}


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
