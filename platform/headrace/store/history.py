"""A table's history in words: what each version holds, when and why it was written."""

from collections.abc import Sequence

from headrace.core.columns import in_columns
from headrace.store.commits import Version
from headrace.store.removed import Removed

HEAD = ("version", "when (UTC)", "run", "rows", "days", "why")
NONE = Removed()


def history_text(versions: Sequence[Version], removed: Removed = NONE) -> str:
    """Return a line for each version, the newest first; `removed` are those whose rows are gone."""
    return in_columns(HEAD, [_line(version, removed.words(version.number)) for version in reversed(versions)])


def _line(version: Version, became: str) -> tuple[object, ...]:
    why = f"{version.why} of {_inputs(version)}" if version.inputs else version.why
    return (
        version.number,
        f"{version.at:%Y-%m-%d %H:%M:%S}",
        version.run[:8] or "-",
        version.rows,
        version.days or "-",
        f"{became}{why.strip()}",
    )


def _inputs(version: Version) -> str:
    return ", ".join(f"{table}@{number}" for table, number in version.inputs.items())
