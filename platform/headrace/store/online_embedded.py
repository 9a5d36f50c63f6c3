"""The embedded online store: one SQLite file a product, in WAL mode: readers and a publication do not wait for each other.

A publication is one transaction. SQLite keeps what was killed in the middle of one out of sight.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import lru_cache
from pathlib import Path

from headrace.core.errors import Refused, StoreError
from headrace.core.failpoints import failpoint
from headrace.store.fences import Fence, Fences
from headrace.store.online import Payloads, Reading
from headrace.store.publish import make_folder
from headrace.store.room import room_at

VERSION = b"\0version"
_MOST_KEYS = 1000
"""How many keys one statement asks for."""
_WAIT_SECONDS = 600
"""How long a publication waits for another one to end."""
_TIDY_MILLISECONDS = 2000
"""How long a publication waits for readers until its log is empty: the next one tries again."""
_MAPPED = 1 << 30
_STATEMENTS = 1024


class EmbeddedStore:
    """A file that is opened once a thread."""

    kind = "sqlite"

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fences = Fences(path.parent / "_fences")
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []

    def read(self, keys: Sequence[bytes]) -> Reading:
        """Return what keys hold, all in one version."""
        try:
            connection = self._reader()
            if connection is None:
                return Reading(0, [None] * len(keys))
            if len(keys) < _MOST_KEYS:
                version, *values = connection.execute(_select_versioned(len(keys)), keys).fetchone()
            else:
                version, *values = _read_many(connection, [VERSION, *keys])
        except sqlite3.Error as error:
            raise StoreError(
                f"{self._path} cannot be read ({error}): remove it, and publish again by materializing online/features."
            ) from error
        return Reading(int.from_bytes(version) if version else 0, values)

    @contextmanager
    def publishing(self) -> Iterator["_Transaction"]:
        """Begin a publication: one transaction, which ends with this block."""
        fence = self._fences.claim(self._path.stem)
        with room_at(self._path.parent, "the version before it is served"), closing(self._writer()) as connection:
            try:
                connection.execute("begin immediate")
            except sqlite3.OperationalError as error:
                raise StoreError(
                    f"{self._path}: another publication does not end ({error}). Look for its run, and try again."
                ) from error
            try:
                yield _Transaction(connection, self._fences, fence)
            finally:
                if connection.in_transaction:
                    connection.execute("rollback")
                self._fences.settle(fence)

    def remove(self, holds: Callable[[bytes, bytes], bool]) -> int:
        """Remove keys for good: no free page and no log of the file holds them afterwards."""
        if not self._path.exists():
            return 0
        with closing(self._writer()) as connection:
            connection.create_function("holds", 2, holds, deterministic=True)
            connection.execute("pragma secure_delete = on")
            gone = connection.execute("delete from payloads where k <> ? and holds(k, v)", (VERSION,)).rowcount
            connection.execute("pragma wal_checkpoint(truncate)")
            connection.execute("vacuum")
            connection.execute("pragma wal_checkpoint(truncate)")
        return gone

    def count(self, holds: Callable[[bytes, bytes], bool]) -> int:
        """Return how many keys `remove` would remove."""
        if not self._path.exists():
            return 0
        with closing(self._writer()) as connection:
            connection.create_function("holds", 2, holds, deterministic=True)
            (count,) = connection.execute(
                "select count(*) from payloads where k <> ? and holds(k, v)", (VERSION,)
            ).fetchone()
        return int(count)

    def copy_to(self, path: Path) -> None:
        """Write what is published now, all of one version, into a new file that is read without writing beside it.

        Nothing that was removed is in it. Raises Refused where nothing was ever published.
        """
        if not self._path.exists():
            raise Refused(f"Nothing is published in {self._path}: materialize the product's online/features first.")
        with closing(sqlite3.connect(f"file:{self._path}?mode=ro", uri=True, isolation_level=None)) as connection:
            connection.execute("vacuum into ?", (str(path),))
        with closing(sqlite3.connect(path, isolation_level=None)) as copy:
            copy.execute("pragma journal_mode = delete")

    def close(self) -> None:
        """Close the file in all threads."""
        while self._opened:
            self._opened.pop().close()
        self._local = threading.local()

    def _reader(self) -> sqlite3.Connection | None:
        """Return this thread's connection; None where nothing was ever published."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None and self._path.exists():
            connection = sqlite3.connect(
                f"file:{self._path}?mode=ro",
                uri=True,
                isolation_level=None,
                check_same_thread=False,
                cached_statements=_STATEMENTS,
            )
            connection.execute(f"pragma mmap_size = {_MAPPED}")
            if not connection.execute("select 1 from sqlite_master where name = 'payloads'").fetchone():
                connection.close()
                return None
            self._opened.append(connection)
            self._local.connection = connection
        return connection

    def _writer(self) -> sqlite3.Connection:
        make_folder(self._path.parent)
        connection = sqlite3.connect(self._path, timeout=_WAIT_SECONDS, isolation_level=None)
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = full")
        connection.execute("create table if not exists payloads (k blob primary key, v blob) without rowid")
        return connection


class _Transaction:
    """A publication: what it writes is seen by nobody until the transaction commits."""

    def __init__(self, connection: sqlite3.Connection, fences: Fences, fence: Fence) -> None:
        self._connection = connection
        self._fences = fences
        self._fence = fence
        self._before = _version(connection)

    def put(self, payloads: Payloads) -> None:
        """Write what some keys are to hold."""
        self._connection.executemany(
            "delete from payloads where k = ?", ((k,) for k, v in payloads.items() if v is None)
        )
        written = ((key, value) for key, value in payloads.items() if value is not None)
        self._connection.executemany("insert or replace into payloads values (?, ?)", written)
        failpoint("online_written")

    def replace(self, prefix: bytes, batches: Iterable[Payloads]) -> None:
        """Write what all keys with a prefix are to hold."""
        after = prefix[:-1] + bytes([prefix[-1] + 1])
        self._connection.execute("delete from payloads where k >= ? and k < ?", (prefix, after))
        for batch in batches:
            self.put(batch)

    def commit(self) -> int:
        """Let readers see the new version."""
        version = self._before + 1
        self.put({VERSION: version.to_bytes(8)})
        failpoint("online_uncommitted")
        with self._fences.holding(self._fence):
            self._connection.execute("commit")
        # Readers map the file; what stands in the log they would copy page by page, for as long as it is there.
        self._connection.execute(f"pragma busy_timeout = {_TIDY_MILLISECONDS}")
        self._connection.execute("pragma wal_checkpoint(truncate)")
        return version


def _read_many(connection: sqlite3.Connection, keys: Sequence[bytes]) -> list[bytes | None]:
    found: list[bytes | None] = []
    connection.execute("begin")
    try:
        for at in range(0, len(keys), _MOST_KEYS):
            part = keys[at : at + _MOST_KEYS]
            found += connection.execute(_select(len(part)), part).fetchone()
    finally:
        connection.execute("commit")
    return found


def _version(connection: sqlite3.Connection) -> int:
    (found,) = connection.execute(_select(1), (VERSION,)).fetchone()
    return int.from_bytes(found) if found else 0


@lru_cache(maxsize=_MOST_KEYS + 1)
def _select(count: int) -> str:
    """Return a query for one row: what each of some keys holds. It is faster than one by `in`, which builds a tree of them."""
    return f"select {', '.join(['(select v from payloads where k = ?)'] * count)}"


@lru_cache(maxsize=_MOST_KEYS)
def _select_versioned(count: int) -> str:
    """Return the same query with the version in front; as a literal, which costs less than another parameter."""
    return f"select (select v from payloads where k = x'{VERSION.hex()}'){_select(count).replace('select', ',', 1) if count else ''}"
