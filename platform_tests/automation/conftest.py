"""What each test of automation has: its project as its sensors see it, and an instance of Dagster that is gone afterwards."""

from collections.abc import Iterator

import dagster as dg
import pytest

from headrace.automation.loop import Loop
from headrace.product import loop_of
from headrace.project import Project


@pytest.fixture
def loop(project: Project) -> Loop:
    return loop_of(*project.load("shop"))


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance
