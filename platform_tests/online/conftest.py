"""Each store in turn."""

from collections.abc import Iterator

import pytest
from redis import Redis

from platform_tests.online.redis_server import running_redis


@pytest.fixture(scope="session")
def redis_address() -> Iterator[str]:
    with running_redis() as address:
        yield address


@pytest.fixture(params=["embedded", "redis"])
def address(request: pytest.FixtureRequest) -> Iterator[str | None]:
    """Where features are published: None for the embedded store, else an empty database of a real Redis."""
    if request.param == "embedded":
        yield None
        return
    address = request.getfixturevalue("redis_address")
    with Redis.from_url(address) as client:
        client.flushall()
    yield address
