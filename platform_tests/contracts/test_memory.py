"""A source that is larger than the contract's memory is validated within it."""

import pytest

from benchmarks.validate import memory


@pytest.mark.slow
def test_a_source_is_validated_within_the_memory_that_its_contract_declares() -> None:
    assert memory(0.8, "640MiB")
