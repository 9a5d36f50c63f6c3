"""What Python has no place for is named, and never shown as something else."""

import pyarrow as pa
import pytest

from headrace.core.arrow import python_rows
from headrace.core.errors import DataError

LATE = pa.array([20_000, 4_000_000], pa.int32()).view(pa.date32())


def test_rows_are_pythons_own() -> None:
    assert python_rows(pa.table({"a": [1, None], "b": ["x", "y"]})) == [{"a": 1, "b": "x"}, {"a": None, "b": "y"}]


@pytest.mark.parametrize(
    "cells", [LATE, LATE.cast(pa.timestamp("s")), pa.array([-(10**18)], pa.int64()).view(pa.timestamp("us", "UTC"))]
)
def test_a_date_that_python_does_not_have_is_named_by_its_column(cells: pa.Array) -> None:
    with pytest.raises(DataError, match="Column 'until' holds a date or time outside of the years 1 to 9999"):
        python_rows(pa.table({"n": [1] * len(cells), "until": cells}))
