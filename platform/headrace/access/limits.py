"""How much one API key, and one address, may ask for: token buckets, each kept as a single number.

The bucket is the generic cell rate algorithm (ITU-T I.371, annex A): what is kept is the time at which the bucket will be full
again, and a request is late, or early by no more than the burst allows.
"""

import math
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv6Address
from typing import Literal

from headrace.access.declaration import Limits

MOST_KNOWN = 16_384
"""Addresses that are told from each other: about 5 MB. Who was longest away is forgotten first."""
_NEARLY = 1e-7
_NETWORK_BITS = 64


@dataclass(frozen=True)
class RetryAfter:
    """A request that came too early."""

    seconds: int
    """After how many whole seconds it would be let in; at least 1."""
    of: Literal["key", "address"]


class Buckets:
    """A bucket for each of many askers, in bounded memory: two generations of names, of which the older is dropped whole."""

    def __init__(self, rate: float, burst: int, most: int = MOST_KNOWN) -> None:
        self._interval = 1 / rate
        self._early = (burst - 1) / rate + _NEARLY
        self._most = most
        self._young: dict[str, float] = {}
        self._old: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def take(self, who: str, now: float) -> float:
        """Take a token out of a bucket and return 0, or return after how many seconds there will be one."""
        full = self._young.get(who)
        if full is None:
            full = self._old.get(who, now)
            if len(self._young) >= self._most:
                self._old, self._young = self._young, {}
        full = max(full, now)
        wait = full - now - self._early
        self._young[who] = full if wait > 0 else full + self._interval
        return max(wait, 0.0)


class Limiter:
    """The buckets of keys and addresses of one worker process."""

    def __init__(self, limits: Limits) -> None:
        self._keys = Buckets(limits.per_key, limits.burst) if limits.per_key else None
        self._addresses = Buckets(limits.per_address, limits.burst) if limits.per_address else None

    def admit(self, key_id: str | None, address: str | None, now: float) -> RetryAfter | None:
        """Count a request of a key (None: not known yet) and an address (None: counted before); say if it comes too early.

        `now` is in seconds of any clock that never goes back. An address is what `network_of` returns.
        """
        if address is not None and self._addresses is not None:
            wait = self._addresses.take(address, now)
            if wait:
                return RetryAfter(math.ceil(wait), "address")
        if key_id is not None and self._keys is not None:
            wait = self._keys.take(key_id, now)
            if wait:
                return RetryAfter(math.ceil(wait), "key")
        return None


def network_of(address: str) -> str:
    """Return whom an address is counted as: itself, or its network of 64 bits for IPv6, of which anybody has as many as he likes."""
    if ":" not in address:
        return address
    try:
        parsed = IPv6Address(address)
    except AddressValueError:
        return address
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return f"{IPv6Address(int(parsed) >> _NETWORK_BITS << _NETWORK_BITS)}/{_NETWORK_BITS}"
