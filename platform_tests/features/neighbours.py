"""The small shop and, beside it in one project, its care desk: calls whose rows are called `orders`, too, and a feature table of the shop's."""

import csv
from contextlib import nullcontext
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import dagster as dg
import numpy as np

from headrace.automation.looks.sensors import RANGE_END, RANGE_START
from headrace.product import build
from headrace.project import Project
from platform_tests.end_to_end.shop import START, land_days, make_project

CARE = """\
type: headrace.Product
attributes:
  product: care
  timezone: {timezone}
  start: 2024-01-01
  end: 2024-12-31
  clock: replay
  sources:
    orders: {{files: "landing/calls/*.csv", time: called_at, partition: day}}
  contracts:
    orders:
      columns:
        call_id: {{type: string, unique: true}}
        customer: {{type: string}}
        called_at: {{type: timestamp}}
        minutes: {{type: double}}
        angry: {{type: boolean}}
  features:
    habit: {{shared: shop}}
{features}  label: {{sql: label.sql, entity: call_id, time: called_at, column: angry, known_after: 1d}}
  model: {{split: {{by: time, test: 5d}}, trees: 10, params: {{num_leaves: 4, min_data_in_leaf: 10}}}}
"""
LABEL = "select call_id, called_at, customer, angry from orders\n"


def neighbours(root: Path, days: int = 6, timezone: str = "UTC", features: str = "", **files: str) -> Project:
    """Return a project with both products, whose files of some days have landed; `features` are lines of the care desk's."""
    project = Project(make_project(root))
    folder = root / "platform" / "products" / "care"
    folder.mkdir(parents=True)
    (folder / "defs.yaml").write_text(CARE.format(timezone=timezone, features=features))
    (folder / "label.sql").write_text(LABEL)
    for name, text in files.items():
        (folder / f"{name}.sql").write_text(text)
    land_days(root, 0, days - 1, rows=30)
    land_calls(root, days)
    return project


def land_calls(root: Path, days: int, rows: int = 30, minutes: int = 1439) -> None:
    """Land a file of calls for each of the first days, all within its first minutes by UTC."""
    folder = root / "landing" / "calls"
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(days):
        day, chance = START + timedelta(days=number), np.random.default_rng(1000 + number)
        with (folder / f"{day}.csv").open("w", newline="") as file:
            lines = csv.writer(file)
            lines.writerow(["call_id", "customer", "called_at", "minutes", "angry"])
            for i in range(rows):
                at = datetime.combine(day, time(), UTC) + timedelta(
                    minutes=int(chance.integers(0, minutes)), seconds=30
                )
                customer = int(chance.integers(0, 20))
                angry = chance.random() < (0.7 if customer % 2 else 0.3)
                lines.writerow([f"{day}-{i}", f"c{customer}", at.isoformat(), 5.0, angry])


def make(
    project: Project, product: str, *names: str, days: int = 6, instance: dg.DagsterInstance | None = None
) -> dg.ExecuteInProcessResult:
    """Materialize assets of one product over the first days; a failure is in the result."""
    job = build(*project.load(product)).resolve_implicit_global_asset_job_def()
    keys = {dg.AssetKey([product, *name.split("/")]) for name in names}
    last = START + timedelta(days=days - 1)
    tags = {RANGE_START: str(START), RANGE_END: str(last)}
    with nullcontext(instance) if instance else dg.DagsterInstance.ephemeral() as used:
        return job.get_subset(asset_selection=keys).execute_in_process(instance=used, tags=tags, raise_on_error=False)


def make_shop(project: Project, *more: str, days: int = 6) -> None:
    """Make the shop's tables up to its features."""
    assert make(project, "shop", "raw/orders", "validated/orders", "features/habit", *more, days=days).success


def make_care(project: Project, *more: str, days: int = 6) -> dg.ExecuteInProcessResult:
    """Make the care desk's tables up to its training set."""
    return make(project, "care", "raw/orders", "validated/orders", *more, "training/set", days=days)
