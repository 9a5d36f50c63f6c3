"""A project of its own for each measurement: the declared flights, landed for eight months."""

import shutil
from datetime import date
from pathlib import Path

from headrace.demo.land import land
from headrace.project import Project

ROOT = Path(__file__).parents[1]
SETTINGS = ("workspace.yaml", "dagster.yaml", "dg.toml", "platform/dg.toml", "platform/definitions.py")
FIRST, LAST = date(2013, 1, 1), date(2013, 8, 31)


def copy_settings(root: Path) -> Project:
    """Return a new project with this one's settings and no product."""
    for name in SETTINGS:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, root / name)
    return Project(root)


def copy_flights(root: Path) -> Project:
    """Return a new project with the product `flight_delays`, in which nothing has landed."""
    shutil.copytree(ROOT / "platform/products/flight_delays", root / "platform/products/flight_delays")
    return copy_settings(root)


def flights_project(root: Path, through: date = LAST) -> Project:
    """Return a new project with the product `flight_delays` and landed files, of eight months if nothing else is said."""
    project = copy_flights(root)
    land(project.place.landing, through)
    return project
