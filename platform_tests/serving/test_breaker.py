"""The breaker: while the store does not answer, what was declared is answered, and the store is asked once a second."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from headrace.core.errors import StoreError
from headrace.serving.breaker import Guarded, Policy, StoreAway
from headrace.store.online import Reading


class Store:
    """A store that a test turns off."""

    kind = "sqlite"
    away = False
    asked = 0
    version = 3

    def read(self, keys: Sequence[bytes]) -> Reading:
        self.asked += 1
        if self.away:
            raise StoreError("away")
        return Reading(self.version, [key + b"!" if key != b"nobody" else None for key in keys])

    publishing = remove = count = close = None


def guarded(policy: Policy) -> tuple[Store, Guarded, list[float]]:
    store, now = Store(), [0.0]
    given: Any = store
    return store, Guarded(given, policy, lambda: now[0]), now


def test_a_store_that_answers_is_read_as_it_is() -> None:
    _, guard, _ = guarded("fail")
    assert guard.read([b"a", b"nobody"]) == Reading(3, [b"a!", None])
    assert not guard.was_degraded()
    assert not guard.is_open


def test_fail_answers_nothing_and_asks_once_a_second() -> None:
    store, guard, now = guarded("fail")
    guard.read([b"a"])
    store.away = True
    for _ in range(5):
        with pytest.raises(StoreAway):
            guard.read([b"a"])
    assert store.asked == 2
    now[0] = 1.5
    for _ in range(5):
        with pytest.raises(StoreAway):
            guard.read([b"a"])
    assert store.asked == 3
    store.away, now[0] = False, 3.0
    assert guard.read([b"a"]).payloads == [b"a!"]
    assert not guard.is_open


def test_default_answers_as_for_somebody_who_was_never_seen_and_says_so() -> None:
    store, guard, _ = guarded("default")
    guard.read([b"a"])
    store.away = True
    assert guard.read([b"a", b"b"]) == Reading(3, [None, None])
    assert guard.was_degraded()
    assert not guard.was_degraded()


def test_stale_answers_what_was_read_not_too_long_ago() -> None:
    store, guard, now = guarded(timedelta(seconds=60))
    guard.read([b"a", b"nobody"])
    store.away, now[0] = True, 59.0
    assert guard.read([b"a", b"nobody"]) == Reading(3, [b"a!", None])
    assert guard.was_degraded()
    with pytest.raises(StoreAway, match="older than"):
        guard.read([b"b"])
    now[0] = 61.0
    with pytest.raises(StoreAway):
        guard.read([b"a"])


def test_what_was_read_of_another_version_is_not_mixed_in() -> None:
    store, guard, _ = guarded(timedelta(seconds=60))
    guard.read([b"a"])
    store.version = 4
    guard.read([b"b"])
    store.away = True
    assert guard.read([b"b"]).version == 4
    with pytest.raises(StoreAway):
        guard.read([b"a"])


def test_before_anything_was_read_nothing_can_be_answered() -> None:
    store, guard, _ = guarded("default")
    store.away = True
    with pytest.raises(StoreAway):
        guard.read([b"a"])
