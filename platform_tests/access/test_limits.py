"""Token buckets: a law of how much comes through, in bounded memory."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.access.declaration import Limits
from headrace.access.limits import MOST_KNOWN, Buckets, Limiter, RetryAfter, network_of


def make_limiter(**said: object) -> Limiter:
    return Limiter(Limits.model_validate({"per_key": "10/s", "per_address": "20/s", "burst": 5, **said}))


def admitted(
    limiter: Limiter, moments: Iterable[float], key: str | None = "k", address: str | None = "a"
) -> list[float]:
    return [now for now in moments if limiter.admit(key, address, now) is None]


def test_a_burst_comes_through_at_once_and_the_next_request_after_one_interval() -> None:
    limiter = make_limiter()
    assert len(admitted(limiter, [100.0] * 9, address=None)) == 5
    assert limiter.admit("k", None, 100.0) == RetryAfter(1, "key")
    assert limiter.admit("k", None, 100.1) is None
    assert limiter.admit("k", None, 100.1) is not None


def test_keys_and_addresses_are_counted_each_for_itself() -> None:
    limiter = make_limiter(per_key="1/h")
    assert len(admitted(limiter, [0.0] * 9, key="k1", address=None)) == 5
    assert len(admitted(limiter, [0.0] * 9, key="k2", address=None)) == 5
    assert limiter.admit("k1", None, 0.0) == RetryAfter(3600, "key")
    assert len(admitted(limiter, [0.0] * 9, key=None, address="a")) == 5
    assert limiter.admit("k3", "a", 0.0) == RetryAfter(1, "address")


def test_a_limit_that_is_none_lets_all_through() -> None:
    limiter = make_limiter(per_key=None, per_address=None)
    assert len(admitted(limiter, [0.0] * 1000)) == 1000


@given(
    steps=st.lists(st.floats(0, 2), min_size=1, max_size=200),
    rate=st.sampled_from([0.5, 1.0, 7.0, 100.0]),
    burst=st.integers(1, 20),
    start=st.sampled_from([0.0, 1e3, 1e6]),
)
def test_in_any_span_no_more_comes_through_than_the_burst_and_the_rate_allow(
    steps: list[float], rate: float, burst: int, start: float
) -> None:
    buckets, now, through = Buckets(rate, burst), start, []
    for step in steps:
        now += step
        if buckets.take("k", now) == 0:
            through.append(now)
    for first in range(len(through)):
        for last in range(first, len(through)):
            assert last - first + 1 <= burst + rate * (through[last] - through[first] + 1e-6)


@given(rate=st.sampled_from([0.5, 3.0, 100.0]), burst=st.integers(1, 20), taken=st.integers(1, 60))
def test_whoever_waits_as_long_as_he_is_told_is_let_in(rate: float, burst: int, taken: int) -> None:
    buckets = Buckets(rate, burst)
    for _ in range(taken):
        wait = buckets.take("k", 5.0)
    assert wait == 0 or buckets.take("k", 5.0 + wait + 1e-6) == 0


def test_a_spray_of_addresses_does_not_grow_the_memory() -> None:
    limiter = make_limiter()
    for n in range(5 * MOST_KNOWN):
        limiter.admit(None, f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}", 0.0)
    assert limiter._addresses is not None
    assert len(limiter._addresses) <= 2 * MOST_KNOWN


def test_an_address_that_asks_all_the_time_stays_limited_in_a_spray_of_others() -> None:
    buckets = Buckets(1.0, 5, most=100)
    through = 0
    for n in range(2000):
        buckets.take(f"spray {n}", 0.0)
        through += n % 50 == 0 and buckets.take("loud", 0.0) == 0
    assert through == 5


@pytest.mark.parametrize(
    ("address", "counted_as"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("not:an:address", "not:an:address"),
    ],
)
def test_an_address_of_ipv6_is_counted_as_its_network(address: str, counted_as: str) -> None:
    assert network_of(address) == counted_as
