"""Where Arrow and Python differ: what Arrow says that it cannot do, and values that Python has no place for."""

from typing import Any

import pyarrow as pa

from headrace.core.errors import DataError

NO_CAST = (pa.ArrowInvalid, pa.ArrowNotImplementedError)
"""Values do not fit another type: one of them does not, or none of their type ever does."""


def python_rows(table: pa.Table) -> list[dict[str, Any]]:
    """Return the rows as Python's values; raises DataError for a date that Arrow has and Python has not."""
    try:
        rows: list[dict[str, Any]] = table.to_pylist()
    except OverflowError:
        raise beyond(next(name for name in table.column_names if _overflows(table[name]))) from None
    return rows


def beyond(column: str) -> DataError:
    """Return what is said of a date or time that Python has no place for."""
    return DataError(
        f"Column '{column}' holds a date or time outside of the years 1 to 9999, which cannot be served: mend the row, "
        "or let the contract of its source bound the column."
    )


def _overflows(cells: pa.ChunkedArray) -> bool:
    try:
        cells.to_pylist()
    except OverflowError:
        return True
    return False
