"""Redis as the online store. A value holds what a key is to hold from a version on, and what it held before.

Which version is served says one pointer, which is read in the same command as the values (`MGET`, which Redis carries out
as one step). So a publication may write any number of keys in small batches while the version before it is served, and
moving the pointer shows all of it at once. What a killed publication left names a version that the pointer never shows.
All keys of a product share a hash tag, so that they lie on one shard of a cluster.

A value: <q version> <i length of what holds from it on; -1: nothing> what holds from it on, what held before it.
The pointer: <q version> and one <q for each version below it that never came to be.
"""

import struct
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from headrace.core.errors import FenceLost, Refused, StoreError
from headrace.core.failpoints import failpoint
from headrace.store.fences import Fence, Fences
from headrace.store.online import BATCH, Payloads, Reading

_HEAD, _NUMBER = struct.Struct("<qi"), struct.Struct("<q")
_REMEMBERED = 100_000
"""Of more keys than these a publication does not keep count: it looks for them."""
_WRITE = """
if redis.call('get', KEYS[1]) ~= ARGV[1] then return 0 end
for i = 2, #KEYS do
  if ARGV[i] == '' then redis.call('del', KEYS[i]) else redis.call('set', KEYS[i], ARGV[i]) end
end
return 1"""
"""Write a batch, unless a later publication has begun."""
_SWAP = """
if redis.call('get', KEYS[1]) ~= ARGV[1] or (redis.call('get', KEYS[2]) or '') ~= ARGV[2] then return 0 end
redis.call('set', KEYS[2], ARGV[3])
return 1"""
"""Move the pointer, if it stands where this publication found it."""


class _Pointer(NamedTuple):
    """Which version is served, and which ones below it never came to be."""

    version: int = 0
    lost: frozenset[int] = frozenset()

    @classmethod
    def parse(cls, data: bytes | None) -> "_Pointer":
        numbers = [number for (number,) in _NUMBER.iter_unpack(data or b"")]
        return cls(numbers[0], frozenset(numbers[1:])) if numbers else cls()

    def packed(self) -> bytes:
        return b"".join(map(_NUMBER.pack, [self.version, *sorted(self.lost)]))

    def shown_of(self, values: list[bytes | None]) -> list[bytes | None]:
        """Return what of values is served."""
        newest, lost, head, unpack = self.version, self.lost, _HEAD.size, _HEAD.unpack_from
        served: list[bytes | None] = []
        for value in values:
            if value is None:
                served.append(None)
                continue
            version, size = unpack(value)
            plain = size >= 0 and version <= newest and version not in lost
            served.append(value[head : head + size] if plain else self.shown(value))
        return served

    def shown(self, value: bytes | None) -> bytes | None:
        """Return what of a value is served."""
        if value is None:
            return None
        version, size = _HEAD.unpack_from(value)
        end = _HEAD.size + max(size, 0)
        if version <= self.version and version not in self.lost:
            return None if size < 0 else value[_HEAD.size : end]
        return value[end:] or None


class RedisStore:
    """A product's keys in one Redis database."""

    kind = "redis"

    def __init__(self, address: str, product: str, folder: Path, wait_s: float = 30.0) -> None:
        self._redis = _connected(address, wait_s)
        self._product = product
        self._fences = Fences(folder / "_fences")
        self._prefix = f"headrace:{{{product}}}:".encode()
        self._where, self._begun = self._prefix + b"\0pointer", self._prefix + b"\0begun"
        self._known = (b"", _Pointer())
        self._local = threading.local()
        from redis import exceptions

        self._away = (exceptions.ConnectionError, exceptions.TimeoutError)

    def read(self, keys: Sequence[bytes]) -> Reading:
        """Return what keys hold, all in one version, by one MGET."""
        raw, *values = self._mget([self._where, *[self._prefix + key for key in keys]])
        pointer = self._pointer(raw)
        return Reading(pointer.version, pointer.shown_of(values))

    @contextmanager
    def publishing(self) -> Iterator["_Batches"]:
        """Begin a publication: no earlier one can write from now on."""
        fence = self._fences.claim(f"{self._product}@redis")
        try:
            with _in_words(self._redis):
                _refuse_eviction(self._redis)
                yield _Batches(self, int(self._redis.incr(self._begun)), fence)
        finally:
            self._fences.settle(fence)

    def remove(self, holds: Callable[[bytes, bytes], bool]) -> int:
        """Remove keys, with what they hold and what they held before."""
        with _in_words(self._redis):
            return sum(self._redis.delete(key) for key in self._holding(holds))

    def count(self, holds: Callable[[bytes, bytes], bool]) -> int:
        """Return how many keys `remove` would remove."""
        with _in_words(self._redis):
            return sum(1 for _ in self._holding(holds))

    def close(self) -> None:
        """Close all connections."""
        self._redis.connection_pool.disconnect()
        self._redis.close()

    def _mget(self, keys: list[bytes]) -> list[bytes | None]:
        """Return what keys hold, by this thread's own connection: the client's pool takes longer than Redis does."""
        connection = getattr(self._local, "connection", None)
        with _in_words(self._redis):
            if connection is None:
                connection = self._local.connection = self._redis.connection_pool.get_connection()
            try:
                connection.send_command("MGET", *keys)
                values: list[bytes | None] = connection.read_response()
            except self._away:
                connection.disconnect()
                values = self._redis.mget(keys)
            return values

    def _pointer(self, raw: bytes | None) -> _Pointer:
        """Return what the pointer's bytes say; it rarely moves."""
        known, pointer = self._known
        if (raw or b"") != known:
            pointer = _Pointer.parse(raw)
            self._known = (raw or b"", pointer)
        return pointer

    def _holding(self, holds: Callable[[bytes, bytes], bool]) -> Iterator[bytes]:
        for keys in self._keys(b""):
            for key, value in zip(keys, self._redis.mget(keys), strict=True):
                if value is not None and holds(key[len(self._prefix) :], value[_HEAD.size :]):
                    yield key

    def _keys(self, prefix: bytes) -> Iterator[list[bytes]]:
        """Yield the keys with a prefix, in batches, but for the two that are none of a payload."""
        found: list[bytes] = []
        for key in self._redis.scan_iter(match=_literally(self._prefix + prefix) + b"*", count=BATCH):
            if key not in (self._where, self._begun):
                found.append(key)
            if len(found) == BATCH:
                yield found
                found = []
        if found:
            yield found


class _Batches:
    """A publication: its values are not served until the pointer shows its version."""

    def __init__(self, store: RedisStore, version: int, fence: Fence) -> None:
        self._store, self._redis, self._fence = store, store._redis, fence
        self._raw = self._redis.get(store._where) or b""
        self._before = _Pointer.parse(self._raw)
        self._version = version
        self._written: list[bytes] | None = []
        self._write_script = self._redis.register_script(_WRITE)

    def put(self, payloads: Payloads) -> None:
        """Write what some keys are to hold from this version on, beside what they hold."""
        keys = [self._store._prefix + key for key in payloads]
        for at in range(0, len(keys), BATCH):
            part = keys[at : at + BATCH]
            new = list(payloads.values())[at : at + BATCH]
            self._stage(part, new, self._redis.mget(part))
        failpoint("online_written")

    def replace(self, prefix: bytes, batches: Iterable[Payloads]) -> None:
        """Write what all keys with a prefix are to hold: the others hold nothing from this version on."""
        for batch in batches:
            self.put(batch)
        for keys in self._store._keys(prefix):
            there = zip(keys, self._redis.mget(keys), strict=True)
            others = [(k, v) for k, v in there if v and _HEAD.unpack_from(v)[0] != self._version]
            if others:
                self._stage([key for key, _ in others], [None] * len(others), [value for _, value in others])

    def commit(self) -> int:
        """Let readers see the new version, then remove what held before it."""
        lost = self._before.lost | set(range(self._before.version + 1, self._version))
        failpoint("online_uncommitted")
        with self._store._fences.holding(self._fence):
            swap = self._redis.register_script(_SWAP)
            keys = [self._store._begun, self._store._where]
            pointer = _Pointer(self._version, frozenset(lost)).packed()
            if not swap(keys=keys, args=[str(self._version), self._raw, pointer]):
                raise _lost(self._store._product)
        failpoint("online_unswept")
        self._sweep()
        return self._version

    def _stage(self, keys: list[bytes], new: list[bytes | None], values: list[bytes | None]) -> None:
        staged = [_value(self._version, n, self._before.shown(v)) for n, v in zip(new, values, strict=True)]
        if not self._write(keys, staged):
            raise _lost(self._store._product)
        if self._written is not None:
            self._written += keys
            self._written = self._written if len(self._written) <= _REMEMBERED else None

    def _sweep(self) -> None:
        """Remove what held before; nobody reads it any more, as pointer and values are read together."""
        for keys in self._touched():
            kept = [_swept(value, self._version) for value in self._redis.mget(keys)]
            if not self._write(keys, kept):
                return  # a later publication has begun: it writes these values anew, or leaves them as they are

    def _touched(self) -> Iterator[list[bytes]]:
        if self._written is None:
            yield from self._store._keys(b"")
        else:
            yield from (self._written[at : at + BATCH] for at in range(0, len(self._written), BATCH))

    def _write(self, keys: list[bytes], values: list[bytes]) -> bool:
        return bool(self._write_script(keys=[self._store._begun, *keys], args=[str(self._version), *values]))


def _value(version: int, new: bytes | None, old: bytes | None) -> bytes:
    return b"".join((_HEAD.pack(version, -1 if new is None else len(new)), new or b"", old or b""))


def _swept(value: bytes | None, version: int) -> bytes:
    """Return a value of a version without what held before; nothing where nothing holds."""
    if value is None:
        return b""
    mine, size = _HEAD.unpack_from(value)
    if mine != version:
        return value
    return b"" if size < 0 else value[: _HEAD.size + size]


def _lost(product: str) -> FenceLost:
    return FenceLost(
        f"A later publication of {product}'s features has begun in Redis: this one was not shown. Nothing is lost: the later "
        "one publishes the newest tables."
    )


def _literally(prefix: bytes) -> bytes:
    """Return a pattern that matches these bytes alone."""
    return b"".join(b"\\" + bytes([c]) if c in b"*?[]\\^-" else bytes([c]) for c in prefix)


def _connected(address: str, wait_s: float) -> Any:
    try:
        from redis import Redis
    except ImportError as error:
        raise StoreError("HEADRACE_ONLINE_URL names Redis: pip install 'headrace[redis]'") from error
    try:
        return Redis.from_url(
            address, socket_connect_timeout=min(2.0, wait_s), socket_timeout=wait_s, health_check_interval=30
        )
    except ValueError as error:
        raise StoreError("HEADRACE_ONLINE_URL is no address of Redis: write redis://[:password@]host:port/0") from error


def _refuse_eviction(redis: Any) -> None:
    """Raise Refused where Redis would drop keys when its memory is full: an entity without one looks like a new one."""
    policy = str(redis.info("memory").get("maxmemory_policy", "noeviction"))
    if policy.startswith("allkeys"):
        raise Refused(
            f"Redis has maxmemory-policy {policy}: it would drop features when its memory is full, and entities without them "
            "would look new. Set it to noeviction."
        )


@contextmanager
def _in_words(redis: Any) -> Iterator[None]:
    """Say where Redis did not answer: host, port and database, never the address, which may hold a password."""
    from redis.exceptions import RedisError

    try:
        yield
    except RedisError as error:
        place = redis.connection_pool.connection_kwargs
        where = f"{place.get('host', place.get('path', '?'))}:{place.get('port', '')}/{place.get('db', 0)}"
        raise StoreError(f"Redis at {where} did not do its work: {type(error).__name__}: {error}") from error
