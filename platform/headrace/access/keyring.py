"""The file of a product's API keys: no secret stands in it, and nothing in it can be changed without the server's own secret.

The file is JSON, a line break, and the HMAC-SHA256 of that JSON. A key is kept as the HMAC-SHA256 of its id and secret. Both
are made under a secret of the server: a file beside it, or what the environment says.
"""

import hmac
import json
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock

from headrace.core.errors import Refused, StoreError
from headrace.store.publish import make_folder, publish

Scope = Literal["predict", "explain", "metrics"]
State = Literal["live", "expired", "revoked"]
OWN = 0o600
LEAST_SECRET = 32
_SECRET_BYTES = 32


@dataclass(frozen=True)
class Key:
    """What is known of an API key; its secret is known to its holder alone."""

    id: str
    """12 hexadecimal digits."""
    name: str
    """Who holds it: two keys of one name live at most."""
    scopes: frozenset[Scope]
    created: datetime
    expires: datetime | None
    """From when on it is refused; None: never."""
    revoked: datetime | None
    digest: bytes = field(repr=False)
    """HMAC-SHA256 of its id and secret."""

    def state(self, now: datetime) -> State:
        """Return whether it is let in at a moment."""
        if self.revoked is not None:
            return "revoked"
        return "expired" if self.expires is not None and self.expires <= now else "live"


@dataclass(frozen=True)
class Stamp:
    """By what it shows that a file is another one."""

    changed_ns: int
    size: int
    inode: int


class Keyring:
    """A file of keys; `secret` is what they are hashed under, by default that of the file beside it."""

    def __init__(self, path: Path, secret: str | None = None) -> None:
        if secret is not None and len(secret) < LEAST_SECRET:
            raise Refused(
                f"HEADRACE_KEYS_SECRET has {len(secret)} characters: it needs {LEAST_SECRET} or more that nobody guesses. "
                "Make one: openssl rand -hex 32"
            )
        self.path = path
        self._given = secret
        self._beside = path.with_suffix(".secret")

    def stamp(self) -> Stamp | None:
        """Return by what a change of the file shows; None where there is none."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        return Stamp(found.st_mtime_ns, found.st_size, found.st_ino)

    def read(self) -> list[Key]:
        """Return all keys, oldest first; none where there is no file. Raises StoreError where it is not as it was written."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return []
        facts, _, seal = data.rpartition(b"\n")
        if not hmac.compare_digest(seal, self._seal(facts)):
            raise StoreError(
                f"{self.path} is damaged, or was written under another secret: no key is let in. Restore it and "
                f"{self._where_secret()} from a backup, or remove both and create new keys."
            )
        return [_key(fact) for fact in json.loads(facts)]

    def digest(self, id_: bytes, secret: bytes) -> bytes:
        """Return by what a key is recognised: 32 bytes. Raises StoreError where the server's secret is gone."""
        return digest_under(self.secret(), id_, secret)

    @contextmanager
    def changing(self) -> Iterator[list[Key]]:
        """Yield all keys, for the caller to change the list, which is written then; others wait meanwhile."""
        make_folder(self.path.parent)
        with FileLock(self.path.with_suffix(".lock")):
            self._make_secret()
            keys = self.read()
            yield keys
            facts = _facts(keys)
            publish(self.path, facts + b"\n" + self._seal(facts), f"{self.path} stays as it was", OWN)

    def secret(self) -> bytes:
        """Return the server's secret; raises StoreError where its file is gone or cut."""
        if self._given is not None:
            return self._given.encode()
        data = self._beside.read_bytes() if self._beside.exists() else b""
        if len(data) != 2 * _SECRET_BYTES:
            raise StoreError(
                f"The secret of {self.path} is gone or damaged: {self._beside}. No key is let in without it. Restore the file "
                "from a backup, or remove both files and create new keys."
            )
        return data

    def _make_secret(self) -> None:
        if self._given is None and not self._beside.exists() and not self.path.exists():
            publish(self._beside, secrets.token_hex(_SECRET_BYTES).encode(), "no secret was made", OWN)

    def _seal(self, facts: bytes) -> bytes:
        return hmac.digest(self.secret(), b"file:" + facts, "sha256").hex().encode()

    def _where_secret(self) -> str:
        return "HEADRACE_KEYS_SECRET" if self._given is not None else str(self._beside)


def digest_under(server: bytes, id_: bytes, secret: bytes) -> bytes:
    """Return the HMAC-SHA256 of a key's id and secret under the server's secret."""
    return hmac.digest(server, b"key:" + id_ + b":" + secret, "sha256")


def _facts(keys: Sequence[Key]) -> bytes:
    return json.dumps([_fact(key) for key in keys], indent=1).encode()


def _fact(key: Key) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "scopes": sorted(key.scopes),
        **{word: _text(getattr(key, word)) for word in ("created", "expires", "revoked")},
        "digest": key.digest.hex(),
    }


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _key(fact: dict[str, Any]) -> Key:
    moments = {
        word: datetime.fromisoformat(fact[word]) if fact[word] else None for word in ("created", "expires", "revoked")
    }
    known = {**fact, **moments, "scopes": frozenset(fact["scopes"]), "digest": bytes.fromhex(fact["digest"])}
    return Key(**known)
