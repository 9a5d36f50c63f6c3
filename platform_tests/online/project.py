"""The shop as a project whose features are served online."""

from pathlib import Path

import dagster as dg

from headrace.product import build
from headrace.project import Project
from platform_tests.end_to_end.shop import DECLARATION, land_days, make_project

DEFS = "platform/products/shop/defs.yaml"
CALENDAR = "select hour(asked_at) as hour, amount * habit_count_3d as worth from request"
ONLINE = (
    DECLARATION.replace("  label:", "    calendar: {on_request: calendar.sql}\n  label:")
    + "  serve: {online: {back: 1d}}\n"
)


def make_shop(root: Path, declaration: str = ONLINE) -> Project:
    """Return the shop's project with ten days landed."""
    make_project(root)
    (root / DEFS).write_text(declaration)
    (root / "platform/products/shop/calendar.sql").write_text(CALENDAR)
    land_days(root, 0, 9, rows=40)
    return Project(root)


def materialize(
    project: Project, instance: dg.DagsterInstance, *names: str, first: int = 1, last: int = 10
) -> dg.ExecuteInProcessResult:
    """Make some assets of the shop, such as `online/features`, for days of January."""
    job = build(*project.load("shop")).resolve_implicit_global_asset_job_def()
    chosen = job.get_subset(asset_selection={dg.AssetKey(["shop", *name.split("/")]) for name in names})
    ends = {"start": f"2024-01-{first:02}", "end": f"2024-01-{last:02}"}
    tags = {f"dagster/asset_partition_range_{end}": day for end, day in ends.items()}
    return chosen.execute_in_process(instance=instance, tags=tags)


DATA = ["raw/orders", "validated/orders", "features/habit", "online/features"]
