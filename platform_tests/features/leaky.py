"""The small shop with one feature in SQL or Python more, honest or not, made by the real assets."""

from contextlib import nullcontext
from pathlib import Path

import dagster as dg

from headrace.automation.looks.sensors import RANGE_END, RANGE_START
from headrace.features.training import training_rows
from headrace.product import build
from headrace.project import Project
from platform_tests.end_to_end.shop import land_days, make_project

DAYS = 6
RETURNS_OF_A_CUSTOMER = """
select customer, {time} as known_at,
  sum(coalesce(returned, false)::int) over (partition by customer order by {time} rows between unbounded preceding and {last}) as returns
from orders
"""


def shop_with(root: Path, declared: str, files: dict[str, str]) -> Project:
    """Return the shop with a feature table `more`, declared in one line of YAML, and six days of orders that have landed."""
    project = Project(make_project(root))
    folder = root / "platform" / "products" / "shop"
    for name, text in files.items():
        (folder / name).write_text(text)
    declare(project, "  label:", f"    more: {declared}\n  label:")
    land_days(root, 0, DAYS - 1, rows=30)
    return project


def declare(project: Project, old: str, new: str) -> None:
    """Write the declaration anew, with one text in the place of another."""
    file = project.root / "platform" / "products" / "shop" / "defs.yaml"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new, 1))


def make(project: Project, *names: str, instance: dg.DagsterInstance | None = None) -> dg.ExecuteInProcessResult:
    """Materialize assets over all days; a failure is in the result. Without an instance nothing was said before."""
    job = build(*project.load("shop")).resolve_implicit_global_asset_job_def()
    keys = {dg.AssetKey(["shop", *name.split("/")]) for name in names}
    tags = {RANGE_START: "2024-01-01", RANGE_END: f"2024-01-{DAYS:02d}"}
    with nullcontext(instance) if instance else dg.DagsterInstance.ephemeral() as used:
        return job.get_subset(asset_selection=keys).execute_in_process(instance=used, tags=tags, raise_on_error=False)


def make_all(project: Project, instance: dg.DagsterInstance | None = None) -> dg.ExecuteInProcessResult:
    """Materialize everything up to the training set."""
    declared, _ = project.load("shop")
    tables = [f"features/{name}" for name, feature in declared.features.items() if not feature.on_request]
    return make(project, "raw/orders", "validated/orders", *tables, "training/set", instance=instance)


def write_unchecked(project: Project) -> None:
    """Write a training set that nobody has checked."""
    declared, site = project.load("shop")
    assert declared.label
    site.tables.replace("shop/training/set", training_rows(site, declared.features, declared.label))


def said(result: dg.ExecuteInProcessResult, check: str) -> dg.AssetCheckEvaluation:
    """Return what a check said."""
    return next(e for e in result.get_asset_check_evaluations() if e.check_name == check)
