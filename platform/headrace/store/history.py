"""A table's history in words: what each version holds, when and why it was written."""

from collections.abc import Sequence

from headrace.core.columns import in_columns
from headrace.store.commits import Version

HEAD = ("version", "when (UTC)", "run", "rows", "days", "why")


def history_text(versions: Sequence[Version], removed: frozenset[int] = frozenset()) -> str:
    """Return a line for each version, the newest first; `removed` are those whose rows are gone."""
    return in_columns(HEAD, [_line(version, version.number in removed) for version in reversed(versions)])


def _line(version: Version, removed: bool) -> tuple[object, ...]:
    why = f"{version.why} of {_inputs(version)}" if version.inputs else version.why
    return (
        version.number,
        f"{version.at:%Y-%m-%d %H:%M:%S}",
        version.run[:8] or "-",
        version.rows,
        version.days or "-",
        f"{'(removed by gc) ' if removed else ''}{why.strip()}",
    )


def _inputs(version: Version) -> str:
    return ", ".join(f"{table}@{number}" for table, number in version.inputs.items())
