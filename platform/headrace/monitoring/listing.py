"""The feature registry in plain text, for a terminal of 120 columns, and as facts for programs."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from textwrap import wrap
from typing import Any

from headrace.monitoring.registry import FeatureFacts, Registry, TableFacts

WIDTH = 120
HEAD = ("feature", "type", "missing", "gain", "rank", "in releases")
MOST_RELEASES = 6
_KINDS = {"windows": "windows", "sql": "SQL", "python": "Python", "on_request": "on request"}


def listing_text(registry: Registry) -> str:
    """Return a line for each feature below one for its table, aligned."""
    rows = {table.name: [_cells(feature) for feature in table.features] for table in registry.tables}
    widths = [
        max(map(len, column)) for column in zip(HEAD, *(cells for of in rows.values() for cells in of), strict=True)
    ]
    lines = [_title(registry), "", _line(HEAD, widths)]
    for table in registry.tables:
        lines += ["", *_fitted(f"{table.name}: {_of_table(registry, table)}"), *_used_elsewhere(registry, table)]
        lines += [_line(cells, widths) for cells in rows[table.name]]
    return "\n".join([*lines, "", *_fitted(f"missing: of {registry.of}"), *_others(registry)])


def listing_facts(registry: Registry) -> list[dict[str, Any]]:
    """Return one object for each feature."""
    return [
        {
            "product": registry.product.product,
            **_table_facts(registry, table),
            "feature": feature.name,
            "type": feature.kind,
            "missing": feature.statistics.missing_share if feature.statistics else None,
            "missing_of": registry.of,
            "rank": feature.live.rank if feature.live else None,
            "gain": feature.live.share if feature.live else None,
            "releases": [weight.release for weight in feature.weights],
        }
        for table, feature in registry.features
    ]


def kind_text(table: TableFacts) -> str:
    """Return how a table is made, and of whom its rows tell."""
    owner = f"shared by {table.feature.shared}, " if table.feature.shared else ""
    kind = f"{owner}{_KINDS[table.feature.making]}"
    return f"{kind} by {', '.join(table.feature.entities)}" if table.feature.entities else kind


def freshness_text(table: TableFacts, now: datetime) -> str:
    """Return how fresh a table's rows are, in words."""
    if table.feature.on_request:
        return "computed from each request"
    if not table.made:
        return "not made yet"
    if not table.feature.timed:
        return "holds for all time"
    if table.newest is None:
        return "no row but of times to come" if table.rows else "no row"
    what = "newest change" if table.feature.windows else "newest row"
    return f"{what} {ago(now - table.newest)}, {moment_text(table.newest)}"


def moment_text(moment: datetime) -> str:
    """Return a moment in UTC, to the minute."""
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def ago(span: timedelta) -> str:
    """Return how long ago something was, in the largest unit of which there are two."""
    minutes = span.total_seconds() / 60
    if minutes < 120:
        return f"{minutes:.0f} min ago"
    return f"{minutes / 60:.0f} h ago" if minutes < 48 * 60 else f"{minutes / 1440:,.0f} d ago"


def users_of(registry: Registry, table: TableFacts) -> list[str]:
    """Return who uses a table: feature tables that read it, and products."""
    used = table.feature.on_request or any(f.weights or f.statistics for f in table.features)
    own = [registry.product.product] if used else []
    return [*(f"features/{name}" for name in table.read_by), *own, *table.shared_with]


def share_text(share: float) -> str:
    """Return a share in percent, none as such."""
    return f"{100 * share:.1f}%" if share >= 0.0005 or share == 0 else "<0.1%"


def _table_facts(registry: Registry, table: TableFacts) -> dict[str, Any]:
    return {
        "table": table.name,
        "kind": table.feature.form,
        "owner_product": table.feature.shared or registry.product.product,
        "entity": table.feature.entities,
        "newest": table.newest.isoformat() if table.newest else None,
        "age_seconds": (registry.now - table.newest).total_seconds() if table.newest else None,
        "committed": table.committed.isoformat() if table.committed else None,
        "version": table.version,
        "used_by": users_of(registry, table),
    }


def _title(registry: Registry) -> str:
    live = f"release {registry.live.number} is live" if registry.live else "no model is live"
    counted = f"{len(registry.features)} features in {len(registry.tables)} tables"
    return f"{registry.product.product} at {moment_text(registry.now)}: {counted}, {live}"


def _of_table(registry: Registry, table: TableFacts) -> str:
    written = [f"written {moment_text(table.committed)}"] if table.committed else []
    return "; ".join([kind_text(table), freshness_text(table, registry.now), *written])


def _used_elsewhere(registry: Registry, table: TableFacts) -> list[str]:
    """Return who uses a table beside its own product; that nobody does where nobody does at all."""
    users = users_of(registry, table)
    others = [user for user in users if user != registry.product.product]
    if users and not others:
        return []
    return _fitted(f"    used by {', '.join(others) or 'nobody yet'}")


def _cells(feature: FeatureFacts) -> tuple[str, ...]:
    live = feature.live
    releases = [str(weight.release) for weight in feature.weights]
    shown = ["..."] * (len(releases) > MOST_RELEASES) + releases[-MOST_RELEASES:]
    return (
        feature.name,
        feature.kind or "-",
        share_text(feature.statistics.missing_share) if feature.statistics else "-",
        share_text(live.share) if live else "-",
        f"{live.rank} of {live.inputs}" if live else "-",
        ", ".join(shown) or "-",
    )


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    name, kind, *numbers, releases = cells
    most = WIDTH - sum(widths[1:]) - 2 * len(widths)
    wide = min(widths[0], most)
    name = name if len(name) <= wide else f"{name[: wide - 3]}..."
    right = "  ".join(cell.rjust(width) for cell, width in zip(numbers, widths[2:-1], strict=True))
    return f"  {name:<{wide}}  {kind:<{widths[1]}}  {right}  {releases}".rstrip()


def _fitted(text: str) -> list[str]:
    return wrap(text, WIDTH, subsequent_indent="    ")


def _others(registry: Registry) -> Iterator[str]:
    if registry.others:
        total = sum(weight.share for weight in registry.others)
        yield f"{len(registry.others)} more inputs of the live model are columns of the request itself: {share_text(total)} of the gain"
