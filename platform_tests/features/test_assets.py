"""Feature tables as assets: what makes a table outdated."""

from pathlib import Path

import pytest

from headrace.features.assets import feature_assets
from headrace.features.verify import Graph
from headrace.sources.declaration import Source
from platform_tests.features.airline import airline, windows


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
