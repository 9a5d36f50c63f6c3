"""Contracts on Spark: the same typed rows, the same rows aside with the same reasons, the same verdict."""

import math
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pytest

from headrace.contracts.declaration import Contract
from headrace.contracts.spark import Part, asked_of_spark, split_by_spark
from headrace.contracts.validate import Validated, validate, validate_by_pieces
from headrace.core.days import Days
from headrace.core.errors import DataError
from headrace.sources.declaration import Source
from headrace.sources.read import DIGEST, FILE, MALFORMED, ROW
from headrace.store.digest import rows_digest
from headrace.store.site import Site
from headrace.store.tables import DAY
from platform_tests.conformance.both import differing
from platform_tests.conformance.test_profiles import on_spark
from platform_tests.monitoring.watched import at
from platform_tests.sources.ferries import ferry_line

FIRST, DAYS = date(2013, 3, 8), 4
NOW = datetime(2013, 3, 11, 12, tzinfo=UTC)
MARCH = Days(FIRST, FIRST + timedelta(days=DAYS - 1))
ODD: dict[str, list[str | None]] = {
    "integer": ["007", " 7", "7 ", "+7", "-0", "--7", "7.0", "1e3", "1_000", "9223372036854775807", "9223372036854775808", "999999999999999999", "-999999999999999999", "\u0663", "", "7\n", "0x1", "NA"],
    "double": [".5", "5.", "-0", "-0.0", "1e308", "1e999", "1E5", "NaN", "nan", " NaN ", "inf", "-Infinity", "1,5", "9007199254740992", "9007199254740993", "0.1", "0.30000000000000004", "1e-99", "5e-324", "123456789012345.678", "12345678901234567", "1d", "1f", "0x1p3", "", "1_0.5"],
    "boolean": ["True", "FALSE", "tRue", "t", "F", "1", "0", "yes", "no", "y", "on", " true", "", "2"],
    "date": ["2013-02-30", "2012-02-29", "2013-2-3", "1970-01-01", "1969-12-31", "1582-10-10", "0001-01-01", "9999-12-31", "2013-03-10 ", "epoch", "2013-13-01", "2099-12-31", ""],
    "timestamp": [
        "2013-03-10 02:30", "2013-03-10T03:00:00", "2013-11-03T01:30:00", "2013-11-03 01:30:00-05:00", "2013-11-03 01:30:00-04:00", "2013-03-09T12:00:00Z", "2013-03-09T12:00:00.25Z",
        "2013-03-09T12:00:00.1234567Z", "2013-03-09 24:00:00", "2013-03-09 23:59:60", "2013-03-09 12:00:00+05", "2013-03-09 12:00:00+0530", "2013-03-09 12:00:00+14:59", "2013-03-09 12:00:00-15:00",
        "2013-03-09 12:00:00 UTC", "2013-03-09 12:00:00 America/Chicago", "2013-03-09", "2013-3-9 1:05", "1066-10-14", "1969-07-20 20:17:40", "2099-12-31 23:59", "2999-01-01", "epoch", "infinity", "now", "2013-02-29T10:00", "2013-03-09T12", "2013-03-09 12:00:00z", "",
    ],
    "string": ["GH678", "", " ", "AB12", "ab12", "A\u00c9", "A\n", "\u0661\u0662", "e\u0301", "a\\b", "it's", "\U0001f600", "A1\u2028"],
}  # fmt: skip
"""What may land where a type is declared."""
GOOD = {
    "integer": lambda chance: str(chance.choice([*range(151), 137, 145])),
    "double": lambda chance: repr(chance.choice([chance.gauss(0, 9), chance.random() * 1e9, 1.5])),
    "boolean": lambda chance: chance.choice(["true", "false"]),
    "date": lambda chance: str(FIRST + timedelta(days=chance.randrange(300))),
    "timestamp": lambda chance: (
        f"{FIRST + timedelta(days=chance.randrange(DAYS))}T{chance.randrange(24):02}:{chance.randrange(60):02}:00"
    ),
    "string": lambda chance: chance.choice(["AB12", "CD3", "EF45"]),
}
TYPED = {
    "landed_whole": pa.int64(),
    "landed_number": pa.float64(),
    "landed_flag": pa.bool_(),
    "landed_at": pa.timestamp("us", "UTC"),
}
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        *((kind, pa.string()) for kind in ODD),
        *TYPED.items(),
        (FILE, pa.string()),
        (DIGEST, pa.string()),
        (ROW, pa.int64()),
        (MALFORMED, pa.string()),
        (DAY, pa.date32()),
    ]
)
SOURCE = Source(files="landing/all/*.csv", time="timestamp", partition="day")
COLUMNS: dict[str, Any] = {
    "id": {"type": "string", "unique": True, "nullable": True},
    "integer": {"type": "integer", "min": 0, "max": 150.5, "nullable": True},
    "double": {"type": "double", "min": -20, "allow_nan": True, "nullable": True, "max_mean": 1000},
    "boolean": {"type": "boolean", "on_fail": "warn", "max_missing": 0.01},
    "date": {"type": "date"},
    "timestamp": {"type": "timestamp", "max_ahead": "1d"},
    "string": {
        "type": "string",
        "matches": r"[A-Z]+\d+",
        "one_of": ["AB12", "CD3", "EF45", "it's", "a\\b", "\u0661\u0662"],
        "nullable": True,
    },
    "landed_whole": {"type": "integer", "one_of": [0, 1, 2, 3, 2**53 + 1], "severity": "warn"},
    "landed_number": {"type": "double", "min": 0, "nullable": True},
    "landed_flag": {"type": "boolean", "nullable": True},
    "landed_at": {"type": "timestamp", "nullable": True},
}
RULES = {
    "sane": "integer < 140 or double > 0",
    "short": {"sql": "length(string) / 2 <= 2", "severity": "error"},
    "logged": "ln(abs(double) + 1) < 15 and upper(string) <> 'ab12'",
    "here_alone": {"sql": "string not glob 'GH*'", "on_fail": "warn"},
}


def landed(seed: int, count: int = 1500, odd: float = 0.02) -> pa.Table:
    """Return raw rows in no order; a share of the values is odd, and some lines are no rows."""
    chance = Random(seed)

    def row(number: int) -> dict[str, Any]:
        own = {
            FILE: f"f{number % 3}.csv",
            DIGEST: "d",
            ROW: number // 3,
            DAY: FIRST + timedelta(days=number * DAYS // count),
        }
        if chance.random() < odd / 4:
            return own | {MALFORMED: "a,b"}
        values = {
            kind: chance.choice([None, *ODD[kind]]) if chance.random() < odd else good(chance)
            for kind, good in GOOD.items()
        }
        return own | values | {
            "id": chance.choice([None, f"i{chance.randrange(9)}"]) if chance.random() < odd else f"n{number}",
            "landed_whole": chance.choice([0, 1, 2, 3]) if chance.random() > odd else chance.choice([None, 2**53, 2**53 + 1, -(2**63)]),
            "landed_number": chance.random() if chance.random() > odd else chance.choice([None, math.nan, math.inf, -0.0, 1e300, 1e16, -1.0]),
            "landed_flag": chance.choice([None, True, False]),
            "landed_at": chance.choice([None, datetime(2013, 3, 9, tzinfo=UTC), datetime(1800, 1, 1, tzinfo=UTC)]),
        }  # fmt: skip

    rows = [row(number) for number in range(count)]
    chance.shuffle(rows)
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def declared(**changes: Any) -> Contract:
    more = {"rules": RULES, "unique": [["integer", "date", "string"]], "max_bad": 0.5}
    return Contract.model_validate({"columns": COLUMNS} | more | changes)


def quay(folder: Path, rows: pa.Table) -> Site:
    """Return a site with raw rows, and ports that they name."""
    site = ferry_line(folder, clock="replay")
    at(site, NOW)
    site.tables.replace("ferry/raw/all", rows, days=MARCH)
    site.tables.replace("ferry/validated/ports", pa.table({"name": ["AB12", "EF45", "GH678"]}))
    return site


def differences(local: Validated, spark: Validated) -> list[str]:
    found = [*differing(local.valid, spark.valid), *differing(local.quarantined, spark.quarantined)]
    found += [
        f"{one} is another content"
        for one in ("valid", "quarantined")
        if rows_digest(getattr(local, one)) != rows_digest(getattr(spark, one))
    ]
    return [*found, *([f"{local.verdict} is not {spark.verdict}"] if local.verdict != spark.verdict else [])]


@pytest.mark.slow
def test_spark_splits_rows_as_the_local_engine_does_reason_by_reason(spark_url: str, tmp_path: Path) -> None:
    site = quay(tmp_path, landed(1, 3000))
    far, contract = on_spark(site, spark_url), declared()
    local, spark = (validate(one, "all", SOURCE, contract, MARCH) for one in (site, far))
    assert {failure.rule for failure in local.verdict.failures} >= {
        "type",
        "nullable",
        "unique",
        "one_of",
        "min",
        "max",
        "row",
        "time",
        *RULES,
    } - {"logged"}
    assert 100 < local.quarantined.num_rows < local.valid.num_rows
    assert not differences(local, spark)
    part = Part(far, "all", SOURCE, contract, MARCH)
    asked = asked_of_spark(part)
    assert asked
    assert list(asked.rules_here) == ["logged", "here_alone"]
    split = split_by_spark(part, asked)
    assert split.numbers is not None
    assert len(split.numbers) < 1.5 * local.verdict.bad
    last = Days(MARCH.last, MARCH.last)
    again = {
        "columns": COLUMNS | {"string": {"type": "string", "references": "ports.name"}},
        "unique": [["integer", "string"]],
        "rules": {},
    }
    pieces = [
        list(validate_by_pieces(one, "all", SOURCE, declared(**again, memory="64MiB"), last)) for one in (site, far)
    ]
    assert {"unique", "references"} <= {failure.rule for failure in pieces[0][0].verdict.failures}
    assert not [found for pair in zip(*pieces, strict=True) for found in differences(*pair)]


@pytest.mark.slow
def test_every_odd_text_is_read_as_it_is_read_here(spark_url: str, tmp_path: Path) -> None:
    site = quay(tmp_path, landed(2, 800, odd=0.9))
    far, timeless = on_spark(site, spark_url), Source(files="landing/all/*.csv")
    found = {}
    for kind in ODD:
        contract = declared(columns={kind: {"type": kind, "nullable": True}}, rules={}, unique=[])
        local, spark = (validate(one, "all", timeless, contract, MARCH) for one in (site, far))
        found[kind] = differences(local, spark)
        part = Part(far, "all", timeless, contract, MARCH)
        asked = asked_of_spark(part)
        assert asked
        split = split_by_spark(part, asked)
        assert split.numbers is not None
        found[kind] += [f"{kind}: most rows are doubtful"] * (len(split.numbers) > 0.8 * 800)
    assert not any(found.values()), found


@pytest.mark.slow
def test_days_without_rows_give_none_and_a_column_of_another_type_is_refused_in_the_same_words(
    spark_url: str, tmp_path: Path
) -> None:
    site = quay(tmp_path, landed(3, 60, odd=0.0))
    wrong = declared(columns={"string": {"type": "integer"}}, rules={}, unique=[])
    said = []
    for one in (site, on_spark(site, spark_url)):
        with pytest.raises(DataError, match=r"string \(was integer, is string\)") as error:
            validate(one, "all", SOURCE, wrong, MARCH)
        said.append(str(error.value))
    assert said[0] == said[1]
    nothing = Days(MARCH.last + timedelta(days=1), MARCH.last + timedelta(days=1))
    empty = [validate(one, "all", SOURCE, declared(), nothing) for one in (site, on_spark(site, spark_url))]
    assert empty[0].valid.num_rows == 0
    assert not differences(*empty)


@pytest.mark.parametrize("column", [{"type": "string", "matches": r"[^\d]+"}, {"type": "integer", "one_of": [2**63]}])
def test_limits_that_spark_would_hold_otherwise_are_held_here(tmp_path: Path, column: dict[str, Any]) -> None:
    site = on_spark(quay(tmp_path, landed(1, 20)), "spark://127.0.0.1:1")
    contract = Contract.model_validate({"columns": {column["type"]: column | {"nullable": True}}})
    assert asked_of_spark(Part(site, "all", SOURCE, contract, MARCH)) is None


def test_rows_that_were_mended_and_rows_with_columns_of_other_kinds_are_judged_here(tmp_path: Path) -> None:
    site = on_spark(quay(tmp_path, landed(1, 20)), "spark://127.0.0.1:1")
    part = Part(site, "all", SOURCE, declared(), MARCH)
    assert asked_of_spark(part)
    with_parts = landed(1, 20).append_column("parts", pa.array([["a"]] * 20))
    site.tables.replace("ferry/raw/all", with_parts)
    assert asked_of_spark(part) is None
    site.tables.replace("ferry/raw/all", landed(1, 20))
    assert asked_of_spark(part)
    site.tables.replace("ferry/mended/all", landed(1, 1))
    assert asked_of_spark(part) is None
