"""One real cluster for all tests of Spark here."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.store.engine import Engine
from headrace.store.spark import Spark
from headrace.store.spill import Spill
from headrace.store.tables import Tables
from platform_tests.conformance.both import Both
from platform_tests.store.cluster import running_cluster


@pytest.fixture(scope="session")
def spark_url() -> Iterator[str]:
    with running_cluster() as url:
        yield url


@pytest.fixture(scope="session")
def both(spark_url: str, tmp_path_factory: pytest.TempPathFactory) -> Both:
    folder: Path = tmp_path_factory.mktemp("both")
    tables = Tables(folder)
    engine = Engine(tables, Spill(folder / "spill"))
    return Both(engine, Spark(spark_url, tables, engine))
