"""Feature tables as assets: what makes a table outdated."""

from pathlib import Path

import pytest

from headrace.features.assets import feature_assets
from headrace.features.declaration import Feature
from headrace.features.verify import Graph
from headrace.sources.declaration import Source
from platform_tests.features.airline import CONTRACT, LABEL, SOURCES, airline, windows


def version_where(folder: Path, known_at: str | dict[str, str] | None) -> str:
    sources = {"flights": Source(files="flights/*.csv", time="sched_dep", known_at=known_at)}
    [table] = feature_assets(airline(folder, []), Graph(sources, {}, {"now": windows()}, None))
    return table.code_versions_by_key[table.key]


@pytest.mark.parametrize("known_at", [None, "dep_at", {"dep_delay": "arr_at"}])
def test_a_table_of_windows_is_outdated_once_its_source_is_known_at_another_time(
    tmp_path: Path, known_at: str | dict[str, str] | None
) -> None:
    assert version_where(tmp_path, "arr_at") != version_where(tmp_path, known_at)
    assert version_where(tmp_path, known_at) == version_where(tmp_path, known_at)


@pytest.mark.parametrize("told", [{"owner": "team:air"}, {"description": "What left by then."}])
def test_who_answers_for_a_table_and_what_it_says_make_nothing_again(tmp_path: Path, told: dict[str, str]) -> None:
    site = airline(tmp_path, [], {"now.sql": "select origin, dep_at, dep_delay from flights"})
    declared = {"sql": "now.sql", "entity": "origin", "time": "dep_at"}
    versions = []
    for words in ({}, told):
        graph = Graph(SOURCES, {"flights": CONTRACT}, {"now": Feature.model_validate(declared | words)}, LABEL)
        versions.append([next(iter(made.code_versions_by_key.values())) for made in feature_assets(site, graph)])
    assert versions[0] == versions[1]
    assert len(versions[0]) == 2
