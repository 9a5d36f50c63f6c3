"""What a changed column touches: the tables that read it, through the source's own SQL too, and no others."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from headrace.contracts.declaration import Contract
from headrace.features.declaration import Feature, Label
from headrace.features.readers import readers_of
from headrace.features.verify import Graph
from headrace.product import build
from headrace.project import Project
from headrace.sources.declaration import Source
from headrace.store.site import Site
from platform_tests.end_to_end.shop import land_days, make_project
from platform_tests.sources.ferries import CROSSINGS, crossing, csv, ferry_line, land_file, take

SQL = "select *, try_cast(passengers as double) as load, departs || '' as left_at from landed"
COLUMNS = {name: {"type": "string"} for name in ("crossing", "ship", "departs", "left_at")} | {
    "load": {"type": "double"}
}


def windows(of: dict[str, str], entity: str = "ship") -> Feature:
    declared = {"from": "crossings", "entity": entity, "time": "departs", "of": of, "agg": ["mean"], "over": ["1d"]}
    return Feature.model_validate({"windows": declared})


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = ferry_line(tmp_path, SQL)
    (site.folder / "label.sql").write_text("select crossing, departs as at, ship, false as label from crossings")
    return site


def graph(contract: bool = True) -> Graph:
    return Graph(
        sources={"crossings": Source(files="x.csv", sql="crossings.sql")},
        contracts={"crossings": Contract.model_validate({"columns": COLUMNS})} if contract else {},
        features={"full": windows({"load": "load"}), "names": windows({"n": "length(crossing)"})},
        label=Label.model_validate({"sql": "label.sql", "entity": "crossing", "time": "at", "known_after": "1d"}),
    )


@pytest.mark.parametrize(
    ("column", "touched"),
    [
        ("passengers", ["features/full", "training/set"]),  # through `load`
        ("ship", ["features/full", "features/names", "label", "training/set"]),
        ("weather", []),
    ],
)
def test_a_column_touches_what_reads_it(site: Site, column: str, touched: list[str]) -> None:
    land_file(site, "crossings/a.csv", csv([crossing(1)]))
    take(site, CROSSINGS.model_copy(update={"sql": "crossings.sql"}))
    assert readers_of(site, graph(), {}, "crossings", column) == touched


def test_without_a_contract_whatever_reads_the_source_counts(site: Site) -> None:
    assert "label" in readers_of(site, graph(contract=False), {}, "crossings", "ship")


def test_the_check_of_a_source_tells_what_a_renamed_column_touches(tmp_path: Path) -> None:
    project = Project(make_project(tmp_path / "shop"))
    land_days(project.root, 0, 3, rows=5)
    file = project.root / "landing" / "orders" / "2024-01-04.csv"
    file.write_text(file.read_text().replace("amount", "amuont"))
    definitions = build(*project.load("shop"))
    raw = next(a for a in definitions.assets or [] if isinstance(a, dg.AssetsDefinition) and "raw" in a.key.path)
    tags = {"dagster/asset_partition_range_start": "2024-01-01", "dagster/asset_partition_range_end": "2024-01-03"}
    result: Any = dg.materialize([raw], tags=tags, raise_on_error=False)
    (check,) = [c for c in result.get_asset_check_evaluations() if c.check_name == "files"]
    assert "This touches features/habit, label, training/set" in str(check.description)
    shown = {row.data["column"]: row.data for row in check.metadata["columns"].records}
    assert (shown["amount"]["is"], shown["amount"]["nearest"]) == ("missing", "amuont")
    assert shown["amount"]["touches"] == "features/habit, label, training/set"
