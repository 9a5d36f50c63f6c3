"""A snapshot knows its files and their days, whatever else stands in its rows."""

from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest

from headrace.core.days import Days
from headrace.store.tables import Tables

DAY = date(2024, 1, 1)
YEAR_10000 = 253_402_300_800_000_000
"""In microseconds since 1970: the first that Python has no time for."""
YEAR_1 = -62_135_596_800_000_000
"""The first that it has one for."""


@pytest.mark.parametrize("zone", [None, "UTC"])
@pytest.mark.parametrize("moment", [YEAR_10000 - 1, YEAR_10000, 2**60, YEAR_1, YEAR_1 - 1, -(2**60)])
def test_times_that_python_does_not_have_hinder_nobody(tmp_path: Path, moment: int, zone: str | None) -> None:
    tables = Tables(tmp_path)
    kind = pa.timestamp("us", zone)
    rows = pa.table({"_day": pa.array([DAY], pa.date32()), "until": pa.array([moment], pa.int64()).cast(kind)})
    tables.replace("shop/validated/orders", rows)
    commit = tables.replace("shop/validated/orders", pa.concat_tables([rows, rows]), days=Days(DAY, DAY))
    snapshot = tables.snapshot("shop/validated/orders")
    assert snapshot
    assert (commit.version, commit.snapshot) == (1, snapshot.digest)
    assert list(snapshot.files.values()) == [Days(DAY, DAY)]
    assert tables.read("shop/validated/orders")["until"].cast(pa.int64()).to_pylist() == [moment, moment]
