"""API keys: made, shown once, checked on each request, let go.

A key reads `hr_<id>_<secret>`, with a secret of 256 bits, and is presented as `Authorization: Bearer hr_...`.
"""

import logging
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha256
from hmac import compare_digest
from pathlib import Path
from typing import get_args

from headrace.access.keyring import Key, Keyring, Scope, Stamp, digest_under
from headrace.core.errors import Refused, StoreError
from headrace.core.names import NAME_PATTERN, did_you_mean
from headrace.core.place import Place

SCOPES: tuple[Scope, ...] = get_args(Scope)
MOST_LIVE = 2
MOST_REMEMBERED = 1024
LOOKED_AT_EVERY_S = 1.0
_HEADER = re.compile(rb"[Bb][Ee][Aa][Rr][Ee][Rr] hr_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_log = logging.getLogger("headrace.access")


@dataclass(frozen=True)
class Denied:
    """A request that is not let in: 401 where no key was recognised, 403 where it may not do this."""

    status: int
    code: str
    detail: str


@dataclass(frozen=True)
class Issued:
    """A new key; `text` is what its holder needs, and is never to be had again."""

    key: Key
    text: str = field(repr=False)


MISSING = Denied(401, "key_missing", "Send an API key: Authorization: Bearer hr_...")
MALFORMED = Denied(
    401, "key_malformed", "This is no API key: they read hr_<12 digits>_<43 characters>, after 'Bearer '."
)
UNKNOWN = Denied(401, "key_unknown", "This API key is not known here.")
REVOKED = Denied(401, "key_revoked", "This API key was revoked.")
EXPIRED = Denied(401, "key_expired", "This API key has expired.")
UNREADABLE = Denied(403, "keys_unreadable", "API keys cannot be checked now, so that none is let in.")


def keys_of(place: Place, product: str) -> "Keys":
    """Return the API keys of a product."""
    return Keys(place.keys / f"{product}.json", place.keys_secret)


class Keys:
    """The API keys of one product, in a file that any process may change: a check sees it within a second."""

    def __init__(self, path: Path, secret: str | None = None) -> None:
        self._ring = Keyring(path, secret)
        self._keys: dict[str, Key] = {}
        self._server = b""
        self._nobody = secrets.token_bytes(32)
        self._remembered: OrderedDict[bytes, str] = OrderedDict()
        self._stamp: Stamp | None = None
        self._trouble = ""
        self._looked_at = float("-inf")

    def check(self, header: bytes | None, scope: str, now: datetime) -> Key | Denied:
        """Return the key that an Authorization header presents, or why it is not let in to a scope; never raises.

        A header that was verified is remembered by its SHA-256; expiry and revocation are looked at each time.
        """
        if time.monotonic() - self._looked_at > LOOKED_AT_EVERY_S:
            self._look()
        if self._trouble:
            return UNREADABLE
        if header is None:
            return MISSING
        presented = sha256(header).digest()
        known = self._remembered.get(presented)
        if known is None:
            found = self._verified(header, presented)
            return _judged(found, scope, now) if isinstance(found, Key) else found
        self._remembered.move_to_end(presented)
        return _judged(self._keys[known], scope, now)

    def all(self) -> list[Key]:
        """Return every key that was ever made, oldest first; raises StoreError where the file is damaged."""
        return self._ring.read()

    def create(self, name: str, scopes: Collection[str], now: datetime, expires: datetime | None) -> Issued:
        """Make a key; raises Refused for what is no name or scope, and for a name that has a live key: rotate that."""
        _refuse_words(name, scopes, now, expires)
        with self._ring.changing() as keys:
            if _live(keys, name, now):
                raise Refused(f"'{name}' has a live key: rotate it (headrace keys rotate), or take another name.")
            return self._add(keys, Key(_new_id(), name, _scopes(scopes), now, expires, None, b""))

    def rotate(self, name: str, now: datetime, grace: timedelta, expires: datetime | None) -> Issued:
        """Make a second live key of a name, with the scopes of the first, which ends after `grace` at the latest.

        Raises Refused where the name has no live key, or two already.
        """
        with self._ring.changing() as keys:
            live = _live(keys, name, now)
            if not live:
                named = {key.name for key in keys if key.state(now) == "live"}
                raise Refused(f"'{name}' has no live key.{did_you_mean(name, named)} Make one: headrace keys create")
            if len(live) >= MOST_LIVE:
                raise Refused(
                    f"'{name}' has two live keys, {live[0].id} and {live[1].id}: revoke one first, or wait until "
                    f"{live[0].id} ends."
                )
            _refuse_words(name, live[0].scopes, now, expires)
            ends = min(now + grace, live[0].expires or now + grace)
            keys[keys.index(live[0])] = replace(live[0], expires=ends)
            return self._add(keys, Key(_new_id(), name, live[0].scopes, now, expires, None, b""))

    def revoke(self, id_: str, now: datetime) -> Key:
        """Let a key in no more, from now on; raises Refused for an id that nobody knows. Twice is once."""
        with self._ring.changing() as keys:
            found = next((key for key in keys if key.id == id_), None)
            if found is None:
                known = [key.id for key in keys]
                raise Refused(f"No key has the id '{id_}'.{did_you_mean(id_, known)} List them: headrace keys list")
            revoked = found if found.revoked else replace(found, revoked=now)
            keys[keys.index(found)] = revoked
        return revoked

    def _add(self, keys: list[Key], key: Key) -> Issued:
        secret = secrets.token_urlsafe(32)
        added = replace(key, digest=self._ring.digest(key.id.encode(), secret.encode()))
        keys.append(added)
        return Issued(added, f"hr_{key.id}_{secret}")

    def _look(self) -> None:
        """Read the file again if it is another one; whatever is wrong with it lets nobody in, and is logged."""
        self._looked_at = time.monotonic()
        try:
            stamp = self._ring.stamp()
            if stamp == self._stamp and not self._trouble and self._server:
                return
            keys = {key.id: key for key in self._ring.read()}
            server = self._ring.secret() if stamp else self._nobody
        except (OSError, StoreError) as error:
            if str(error) != self._trouble:
                _log.critical("API keys cannot be checked, so that every request is denied: %s", error)
            self._trouble = str(error)
            return
        if self._trouble:
            _log.warning("API keys can be checked again: %s", self._ring.path)
        self._keys, self._server, self._stamp, self._trouble = keys, server, stamp, ""
        self._remembered.clear()

    def _verified(self, header: bytes, presented: bytes) -> Key | Denied:
        """Return the key whose secret stands in a header. An unknown id costs what a known one does."""
        parts = _HEADER.fullmatch(header)
        if parts is None:
            return MALFORMED
        key = self._keys.get(parts[1].decode())
        digest = digest_under(self._server, parts[1], parts[2])
        if not compare_digest(digest, key.digest if key else self._nobody) or key is None:
            return UNKNOWN
        self._remembered[presented] = key.id
        if len(self._remembered) > MOST_REMEMBERED:
            self._remembered.popitem(last=False)
        return key


def _judged(key: Key, scope: str, now: datetime) -> Key | Denied:
    if key.revoked is not None:
        return REVOKED
    if key.expires is not None and key.expires <= now:
        return EXPIRED
    if scope not in key.scopes:
        return Denied(403, "scope_missing", f"This API key may not {scope}: it may {', '.join(sorted(key.scopes))}.")
    return key


def _live(keys: list[Key], name: str, now: datetime) -> list[Key]:
    return [key for key in keys if key.name == name and key.state(now) == "live"]


def _new_id() -> str:
    return secrets.token_hex(6)


def _scopes(words: Collection[str]) -> frozenset[Scope]:
    return frozenset(scope for scope in SCOPES if scope in words)


def _refuse_words(name: str, scopes: Collection[str], now: datetime, expires: datetime | None) -> None:
    if not re.fullmatch(NAME_PATTERN, name):
        raise Refused(f"'{name}' is no name: write a small letter, then up to 62 small letters, digits and _.")
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown or not scopes:
        wrong = f"'{unknown[0]}' is no scope" if unknown else "A key without a scope may do nothing"
        hint = did_you_mean(unknown[0], SCOPES) if unknown else ""
        raise Refused(f"{wrong}: there are {', '.join(SCOPES)}.{hint}")
    if expires is not None and expires <= now:
        raise Refused(f"A key that expires at {expires:%Y-%m-%d %H:%M} UTC is never let in.")
