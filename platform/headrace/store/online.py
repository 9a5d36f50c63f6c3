"""Online stores: a payload for each key, published by version. Readers see all of one version and nothing of another.

A publication writes what has changed. Until it commits, and for ever if it is killed, readers see the version before it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from headrace.core.errors import DeclarationError
from headrace.core.place import Place

Payloads = Mapping[bytes, bytes | None]
"""Key → what it is to hold; None where nothing."""
BATCH = 2000
"""How many payloads are written at once."""


class Reading(NamedTuple):
    """What keys hold in one version."""

    version: int
    """The version; 0 where nothing was published."""
    payloads: list[bytes | None]
    """One for each key that was asked for; None where it holds nothing."""


class Publication(Protocol):
    """A version in the making, which nobody sees yet."""

    def put(self, payloads: Payloads) -> None:
        """Write what some keys are to hold; raises FenceLost once a later publication has begun."""
        ...

    def replace(self, prefix: bytes, batches: Iterable[Payloads]) -> None:
        """Write what all keys with a prefix are to hold: those that are in no batch hold nothing then."""
        ...

    def commit(self) -> int:
        """Let readers see all that was written, and return its version; raises FenceLost if another came first."""
        ...


class OnlineStore(Protocol):
    """The published payloads of one product. Any number of threads may use it; it outlives publications."""

    @property
    def kind(self) -> str:
        """What it is: `sqlite` or `redis`."""
        ...

    def read(self, keys: Sequence[bytes]) -> Reading:
        """Return what keys hold, all in one version, in one round trip."""
        ...

    def publishing(self) -> AbstractContextManager[Publication]:
        """Begin a publication; earlier ones that are under way can no longer commit. Without `commit` it leaves nothing."""
        ...

    def remove(self, holds: Callable[[bytes, bytes], bool]) -> int:
        """Remove the keys of which key and payload meet a condition from all versions at once; return how many."""
        ...

    def count(self, holds: Callable[[bytes, bytes], bool]) -> int:
        """Return of how many keys `remove` would remove something."""
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...


def open_online(place: Place, product: str, *, wait_s: float = 30.0) -> OnlineStore:
    """Return the online store of a product: that of the environment, else an embedded one below the project's home.

    A server that does not answer within `wait_s` is away.
    """
    address = place.online_server
    if not address:
        from headrace.store.online_embedded import EmbeddedStore

        return EmbeddedStore(place.online / f"{product}.sqlite")
    if address.partition("://")[0] not in ("redis", "rediss"):
        raise DeclarationError(
            f"HEADRACE_ONLINE_URL begins with '{address.partition(':')[0]}': write redis://host:6379/0 (rediss:// for TLS), "
            "or take it out for the embedded store."
        )
    from headrace.store.online_redis import RedisStore

    return RedisStore(address, product, place.online, wait_s)
