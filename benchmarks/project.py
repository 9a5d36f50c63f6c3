"""A project of its own for each measurement: the declared flights, landed for eight months."""

import shutil
from datetime import date
from pathlib import Path

from headrace.demo.land import land
from headrace.project import Project

ROOT = Path(__file__).parents[1]
FIRST, LAST = date(2013, 1, 1), date(2013, 8, 31)


def flights_project(root: Path) -> Project:
    """Return a fresh project with the product `flight_delays` and eight months of landed files."""
    for name in ("workspace.yaml", "dagster.yaml", "dg.toml", "platform/dg.toml", "platform/definitions.py"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, root / name)
    shutil.copytree(ROOT / "platform/products/flight_delays", root / "platform/products/flight_delays")
    project = Project(root)
    land(project.place.landing, LAST)
    return project
