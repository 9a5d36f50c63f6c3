"""The table monitoring/measures: every measure of the newest window against the training set."""

import pyarrow as pa

from headrace.core.days import Days
from headrace.models.profile import merged_profiles, rows_of
from headrace.monitoring.declaration import Drift
from headrace.monitoring.drift import window_start
from headrace.monitoring.measures import measures_of
from headrace.monitoring.profiled.table import kept_profiles
from headrace.monitoring.watch import reference_of, watched_days
from headrace.store.releases import Release
from headrace.store.site import Site

MEASURED = pa.schema(
    {
        "day": pa.date32(),
        "column": pa.string(),
        "measure": pa.string(),
        "value": pa.float64(),
        "p": pa.float64(),
        "bound": pa.float64(),
        "rows": pa.int64(),
        "new": pa.list_(pa.string()),
        "model": pa.string(),
    }
)


def measured_rows(site: Site, live: Release, policy: Drift) -> pa.Table:
    """Return a row for each column and measure of the window that ends with the newest scored day, from kept profiles alone."""
    days = watched_days(site, live, policy)
    if days is None:
        return MEASURED.empty_table()
    against = reference_of(site, live)
    window = Days(window_start(days.last, policy.window), days.last)
    whole = merged_profiles([part.profile for part in kept_profiles(site, against, "scored", window)])
    rows = [
        {
            "day": days.last,
            "column": column,
            "measure": measure.name,
            "value": measure.value,
            "p": measure.p,
            "bound": measure.bound,
            "rows": rows_of(current),
            "new": sorted(current.get("names", ())) if measure.name == "new_categories" else [],
            "model": live.model,
        }
        for column, current in whole.items()
        for measure in measures_of(against.profile[column], current)
    ]
    return pa.Table.from_pylist(rows, schema=MEASURED)
