"""A circuit breaker around the online store: while it does not answer, requests are answered as the product declares, at once.

`fail` answers none of them, `default` answers as if nobody had been seen before, `stale` by what was read not too long ago.
An answer that is not by the store itself is marked as degraded.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Literal

from headrace.core.errors import StoreError
from headrace.store.online import OnlineStore, Publication, Reading

Policy = Literal["fail", "default"] | timedelta
AGAIN_SECONDS = 1.0
"""How long the store is left alone before it is asked again."""
REMEMBERED = 100_000


class StoreAway(StoreError):
    """The online store does not answer, and nothing may be answered without it."""


class Guarded:
    """An online store whose failures cost time once a second at most. Any number of threads may use it."""

    def __init__(self, store: OnlineStore, policy: Policy, now: Callable[[], float] = time.monotonic) -> None:
        self._store, self._policy, self._now = store, policy, now
        self._again = 0.0
        self._lock = threading.Lock()
        self._version = 0
        self._read: OrderedDict[bytes, tuple[float, int, bytes | None]] = OrderedDict()
        self._local = threading.local()

    @property
    def kind(self) -> str:
        """What the store is."""
        return self._store.kind

    @property
    def is_open(self) -> bool:
        """Whether the store is left alone."""
        return self._again > 0

    def read(self, keys: Sequence[bytes]) -> Reading:
        """Return what keys hold; raises StoreAway where the store does not answer and the product declares to fail."""
        if self._again and not self._may_try():
            return self._instead(keys)
        try:
            reading = self._store.read(keys)
        except StoreError:
            self._again = self._now() + AGAIN_SECONDS
            return self._instead(keys)
        self._again = 0.0
        self._version = reading.version
        if isinstance(self._policy, timedelta):
            self._remember(keys, reading)
        return reading

    def was_degraded(self) -> bool:
        """Return whether this thread was answered otherwise than by the store since it was asked last."""
        told = getattr(self._local, "degraded", False)
        self._local.degraded = False
        return told

    def publishing(self) -> AbstractContextManager[Publication]:
        """Begin a publication."""
        return self._store.publishing()

    def remove(self, holds: Callable[[bytes, bytes], bool]) -> int:
        """Remove keys."""
        return self._store.remove(holds)

    def count(self, holds: Callable[[bytes, bytes], bool]) -> int:
        """Return of how many keys `remove` would remove something."""
        return self._store.count(holds)

    def close(self) -> None:
        """Let go of the store."""
        self._store.close()

    def _may_try(self) -> bool:
        """Return whether this call asks the store again: of all that come at a time one does."""
        with self._lock:
            if self._now() < self._again:
                return False
            self._again = self._now() + AGAIN_SECONDS
            return True

    def _instead(self, keys: Sequence[bytes]) -> Reading:
        if self._policy == "fail" or not self._version:
            raise StoreAway(
                "The online store does not answer: no features can be looked up. It is asked again each second."
            )
        self._local.degraded = True
        if self._policy == "default":
            return Reading(self._version, [None] * len(keys))
        return Reading(self._version, [self._remembered(key) for key in keys])

    def _remember(self, keys: Sequence[bytes], reading: Reading) -> None:
        now = self._now()
        with self._lock:
            for key, payload in zip(keys, reading.payloads, strict=True):
                self._read[key] = (now, reading.version, payload)
                self._read.move_to_end(key)
            while len(self._read) > REMEMBERED:
                self._read.popitem(last=False)

    def _remembered(self, key: bytes) -> bytes | None:
        assert isinstance(self._policy, timedelta)
        held = self._read.get(key)
        if held is None or held[1] != self._version or self._now() - held[0] > self._policy.total_seconds():
            raise StoreAway(
                "The online store does not answer, and what was read before is older than the product declares to be served, "
                "or another version of the features. The store is asked again each second."
            )
        return held[2]
