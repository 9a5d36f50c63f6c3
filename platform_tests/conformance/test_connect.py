"""Spark Connect: the same questions through a server, in a process of their own, for one process has one kind of session."""

import subprocess
import sys
from pathlib import Path

import pytest

from platform_tests.store.cluster import running_connect_server

ROOT = Path(__file__).parents[2]
ASK = """
import sys
from pathlib import Path
import pytest
from headrace.store.engine import Engine
from headrace.store.spark import Spark
from headrace.store.spill import Spill
from headrace.store.tables import Tables
from platform_tests.conformance import test_join, test_profiles, test_windows
from platform_tests.conformance.both import Both, differing
from platform_tests.conformance.edges import EDGES
from platform_tests.features.test_window_laws import LATE_ROWS, NUMBERS
from headrace.core.errors import DataError
from headrace.sources.declaration import Source
from headrace.store.engine import TableView
tables = Tables(Path(sys.argv[2]))
tables.replace("p/validated/edges", EDGES)
engine = Engine(tables, Spill(Path(sys.argv[2]) / "spill"))
both = Both(engine, Spark(sys.argv[1], tables, engine))
assert not differing(*both.ask("select s, count(*) as n, max(moment) as m from edges group by s", {"edges": TableView("p/validated/edges")}))
windows, source = test_windows.declared({"x": "amount"}, NUMBERS), Source.model_validate(LATE_ROWS)
sales = test_windows.histories(3)
assert not differing(*(make(both, windows, source, sales, None) for make in (test_windows.locally, test_windows.on_spark)))
test_join.test_the_join_on_spark_is_that_of_the_local_engine_row_by_row(both)
test_profiles.test_profiles_on_spark_are_those_of_the_local_engine_to_the_last_row(sys.argv[1], Path(sys.argv[2]) / "scored")
with pytest.raises(DataError, match="asked.sql: Spark stopped: "):
    both.spark.query("select sqrt(i - 1) as v from few", {"few": EDGES.select(["i"]).slice(9, 9)}, origin="asked.sql")
print("all the same")
"""


@pytest.mark.slow
def test_spark_connect_gives_the_same_answers(spark_url: str, tmp_path: Path) -> None:
    with running_connect_server(spark_url) as address:
        done = subprocess.run(
            [sys.executable, "-c", ASK, address, str(tmp_path)],
            cwd=ROOT,
            env={"PYTHONPATH": f"{ROOT}:{ROOT / 'platform'}", "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.stdout.strip().endswith("all the same"), done.stdout[-2000:] + done.stderr[-4000:]
