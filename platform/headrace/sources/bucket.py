"""Files in a bucket: listed by pattern, fetched once, known by size and etag. The one door to object stores."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from fnmatch import fnmatchcase
from hashlib import sha256
from itertools import takewhile
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from headrace.core.errors import DeclarationError, StoreError
from headrace.core.secrets import looked_up
from headrace.sources.declaration import Source
from headrace.sources.landing import Landed
from headrace.store.site import Site

_RETRIES: Any = {"max_retries": 3, "retry_timeout": timedelta(seconds=30)}
_TIMEOUT = "30s"


@dataclass(frozen=True)
class InBucket(Landed):
    """One object of a bucket; `path` is where its content lies once it was fetched."""

    store: Any
    key: str
    etag: str
    weight: int
    changed_at: float
    most: int
    """The bytes beyond which it is not even fetched."""

    @property
    def stamp(self) -> tuple[int | str, ...]:
        """Its size and etag: equal stamps, equal object."""
        return self.weight, self.etag

    @property
    def size(self) -> int:
        """Its bytes, as they lie there."""
        return self.weight

    @property
    def changed(self) -> float:
        """When it was last written, in seconds since 1970."""
        return self.changed_at

    def is_settled(self, now: float, settle_s: float) -> bool:  # noqa: ARG002 - an object appears whole
        """Return True: an object is there when it is whole."""
        return True

    def digest(self) -> str:
        """Return the SHA-256 of its bytes, in hex; of one that is too large to be read, its etag."""
        if self.weight > self.most:
            return f"etag:{self.etag}"
        known = self.path.with_suffix(".sha256")
        if not known.exists():
            self._fetch()
            _write_whole(known, super().digest().encode())
        return known.read_text()

    def data(self) -> bytes:
        """Return its bytes, as they lie there."""
        self._fetch()
        try:
            return super().data()
        except FileNotFoundError:  # another process has just taken it, and forgotten the content
            self._fetch()
            return super().data()

    def forget(self) -> None:
        """Remove the fetched content."""
        self.path.unlink(missing_ok=True)

    def _fetch(self) -> None:
        if self.path.exists():
            return
        import obstore

        self.path.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=self.path.parent, delete=False) as staged:
            try:
                for piece in obstore.get(self.store, self.key).stream():
                    staged.write(piece)
            except (obstore.exceptions.BaseError, OSError) as error:
                Path(staged.name).unlink()
                raise StoreError(f"{self.name} cannot be fetched: {_first_line(error)}") from None
        Path(staged.name).replace(self.path)


def bucket_files(site: Site, source: Source) -> Iterator[InBucket]:
    """Yield the objects that a source's pattern finds, by name; raises StoreError where the bucket cannot be read."""
    obstore = _library(source)
    bucket, _, pattern = source.place.removeprefix("s3://").partition("/")
    store = _open(bucket, source, site.environment)
    prefix = "/".join(takewhile(lambda part: not set(part) & set("*?["), pattern.split("/")[:-1]))
    try:
        found = [facts for chunk in obstore.list(store, prefix or None) for facts in chunk]
    except (obstore.exceptions.BaseError, OSError) as error:
        raise StoreError(f"The bucket '{bucket}' of {source.place} cannot be read: {_first_line(error)}") from None
    for facts in sorted(found, key=lambda facts: str(facts["path"])):
        name, etag = f"s3://{bucket}/{facts['path']}", facts["e_tag"] or facts["last_modified"].isoformat()
        if matches(facts["path"].split("/"), pattern.split("/")):
            yield InBucket(
                name=name,
                path=_fetched(site.place.home, name, etag),
                store=store,
                key=facts["path"],
                etag=etag,
                weight=facts["size"],
                changed_at=facts["last_modified"].timestamp(),
                most=source.limits.unpacked,
            )


def matches(parts: list[str], pattern: list[str]) -> bool:
    """Return whether a path fits a pattern, part by part: `**` stands for any number of parts. Hidden files never do."""
    if not pattern or not parts:
        return not pattern and not parts
    if pattern[0] == "**":
        return matches(parts, pattern[1:]) or matches(parts[1:], pattern)
    hidden = len(parts) == 1 and parts[0].startswith(".")
    return not hidden and fnmatchcase(parts[0], pattern[0]) and matches(parts[1:], pattern[1:])


def _write_whole(path: Path, data: bytes) -> None:
    with NamedTemporaryFile(dir=path.parent, delete=False) as staged:
        staged.write(data)
    Path(staged.name).replace(path)


def _fetched(home: Path, name: str, etag: str) -> Path:
    return home / "fetched" / sha256(f"{name}\n{etag}".encode()).hexdigest()[:32]


def _library(source: Source) -> Any:
    try:
        import obstore
    except ImportError:
        raise DeclarationError(f"{source.place} lies in a bucket: pip install 'headrace[cloud]'") from None
    return obstore


def _open(bucket: str, source: Source, environment: Mapping[str, str]) -> Any:
    """Return the store; what the declaration does not say, the environment's AWS_* variables and the machine's role do."""
    from obstore.store import S3Store

    declared = source.bucket.model_dump(exclude_none=True) if source.bucket else {}
    values = {k: looked_up(v, environment) if v.startswith("env:") else v for k, v in declared.items()}
    plain = values.get("endpoint", "").startswith("http://")
    options: Any = {"timeout": _TIMEOUT, "connect_timeout": "5s"} | ({"allow_http": True} if plain else {})
    return S3Store(bucket, client_options=options, retry_config=_RETRIES, **values)


def _first_line(error: Exception) -> str:
    """Return what is wrong, without the library's own listing of its insides."""
    return str(error).split("\n\nDebug source", maxsplit=1)[0].strip()
