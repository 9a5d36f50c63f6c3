"""How the columns of a file differ from those that the source has always had."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa

from headrace.core.names import nearest

GONE, NEW = "missing", "not there"


@dataclass(frozen=True)
class Change:
    """One column that is not as it was: added, removed (renamed, if a new one is near), or of another type."""

    file: str
    column: str
    was: str
    now: str
    nearest: str = ""
    """The new column of the file that looks most like one that is gone."""

    @property
    def stops(self) -> bool:
        """Whether the file cannot be taken for it: an added column is only left out."""
        return self.was != NEW

    def __str__(self) -> str:
        near = f" (nearest: {self.nearest})" if self.nearest else ""
        return f"{self.column}: was {self.was}, is {self.now}{near}"


def column_changes(
    file: str, there: Mapping[str, pa.DataType], expected: Mapping[str, pa.DataType], retyped: list[str]
) -> Iterator[Change]:
    """Yield each column that differs, those that stop the file first; the order of columns means nothing."""
    added = [column for column in there if column not in expected]
    for column, kind in expected.items():
        if column not in there:
            yield Change(file, column, str(kind), GONE, nearest(column, added) or "")
        elif column in retyped:
            yield Change(file, column, str(kind), str(there[column]))
    for column in added:
        yield Change(file, column, NEW, str(there[column]))
