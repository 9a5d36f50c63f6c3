"""Models: folders addressed by the digest of what is in them, and what was found out about each."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from headrace.core.errors import DigestMismatch, DiskFull, StoreError
from headrace.core.failpoints import failpoint
from headrace.store.checksum import bytes_digest
from headrace.store.fences import Fences
from headrace.store.publish import make_folder, publish, sync_folder, write_durably
from headrace.store.room import room_at

_MANIFEST = "manifest.json"
_LATCH = "models"
_SEALED = "sealed"
LEAST_PREFIX = 6
"""How many characters of a digest name a model."""


@dataclass(frozen=True)
class Training:
    """What a model was trained on: a version of a training set, and the versions of the tables that it was made of."""

    product: str
    table: str
    version: int
    inputs: Mapping[str, int]
    at: str
    """ISO 8601, UTC."""


class Models:
    """Model folders under `<folder>/<digest>`; a folder is complete or not there at all."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._fences = Fences(folder / "records" / "_fences")

    @property
    def is_sealed(self) -> bool:
        """Whether nothing is written here: the models are those of a package, which is held against its list."""
        return (self._folder / _SEALED).exists()

    def seal(self) -> None:
        """Let nothing be written here from now on by whoever only reads models."""
        make_folder(self._folder)
        (self._folder / _SEALED).touch()

    def digests(self) -> list[str]:
        """Return the digests of all models."""
        return sorted(path.parent.name for path in self._folder.glob(f"*/{_MANIFEST}") if path.parent.name[0] != ".")

    def named(self, prefix: str) -> str:
        """Return the digest that six or more characters begin; raises StoreError where no model has such a one, or several have."""
        found = [d for d in self.digests() if len(prefix) >= LEAST_PREFIX and d.startswith(prefix.casefold())]
        if len(found) != 1:
            what = "several models have" if found else "no model has"
            raise StoreError(
                f"{what} a digest that begins with '{prefix}': write {LEAST_PREFIX} or more characters of one."
            )
        return found[0]

    def put(self, files: Mapping[str, bytes]) -> str:
        """Store the files of a model and return its digest; the same files are stored once."""
        manifest = _manifest(files)
        digest = bytes_digest(manifest)
        target = self._folder / digest
        with self._fences.writing(_LATCH):
            return self._put(digest, target, {**files, _MANIFEST: manifest})

    def _put(self, digest: str, target: Path, files: Mapping[str, bytes]) -> str:
        if (target / _MANIFEST).exists():
            self._mend(digest, files)
            os.utime(target / _MANIFEST)
            return digest
        failpoint("model_staging")
        staged = self._folder / f".{digest}.{os.getpid()}"
        make_folder(staged)
        try:
            with room_at(staged, f"model {digest[:12]} was not stored"):
                for name, data in files.items():
                    write_durably(staged / name, data)
        except DiskFull:
            shutil.rmtree(staged)
            raise
        _publish(staged, target)
        failpoint("model_stored")
        return digest

    def _mend(self, digest: str, files: Mapping[str, bytes]) -> None:
        """Write files of a model again that are not as they were stored."""
        for name, data in files.items():
            path = self._folder / digest / name
            if not path.exists() or path.read_bytes() != data:
                publish(path, data, f"model {digest[:12]} stays damaged")

    def get(self, digest: str, name: str) -> bytes:
        """Return one file of a model; raises DigestMismatch if any byte is not as it was stored."""
        folder = self._folder / digest
        if not (folder / _MANIFEST).exists():
            raise StoreError(f"There is no model {digest[:12]} in {self._folder}.")
        return self._file(digest, name)

    def _file(self, digest: str, name: str) -> bytes:
        """Return one file, or the manifest, if it is what was stored."""
        folder = self._folder / digest
        manifest = (folder / _MANIFEST).read_bytes()
        listed = json.loads(manifest) if bytes_digest(manifest) == digest else {}
        listed |= {_MANIFEST: digest}
        data = (folder / name).read_bytes() if name in listed and (folder / name).exists() else b""
        if bytes_digest(data) != listed.get(name):
            raise DigestMismatch(
                f"{folder / name} is not the file that was stored with model {digest[:12]}: it was edited or damaged. "
                "The model is refused; restore the file from a backup, or train again."
            )
        return data

    def put_beside(self, digest: str, name: str, data: bytes) -> str:
        """Store what was made of a model beside its files, where it is still there, and return the digest of these bytes.

        It is no part of the model: its digest has to be kept elsewhere, and it goes when the model goes.
        """
        with self._fences.writing(_LATCH):
            if self.exists(digest):
                publish(self._folder / digest / name, data, f"nothing was kept beside model {digest[:12]}")
        return bytes_digest(data)

    def get_beside(self, digest: str, name: str, stored: str) -> bytes | None:
        """Return what was made of a model; None where that is gone, or its bytes have another digest than `stored`."""
        path = self._folder / digest / name
        data = path.read_bytes() if path.exists() else b""
        return data if bytes_digest(data) == stored else None

    def verify(self, digest: str) -> None:
        """Raise DigestMismatch if any file of a model is missing or not as it was stored, StoreError where there is none."""
        if not self.exists(digest):
            raise StoreError(f"There is no model {digest[:12]} in {self._folder}.")
        self._file(digest, _MANIFEST)
        for name in json.loads((self._folder / digest / _MANIFEST).read_bytes()):
            self.get(digest, name)

    def files(self, digest: str) -> dict[str, bytes]:
        """Return all files of a model, by name; raises DigestMismatch if any byte is not as it was stored."""
        self.verify(digest)
        return {name: self.get(digest, name) for name in json.loads(self._file(digest, _MANIFEST))}

    def restore(self, digest: str, files: Mapping[str, bytes]) -> bool:
        """Put a model's files back, if they are what was stored; return whether they are."""
        manifest = _manifest(files)
        if bytes_digest(manifest) != digest:
            return False
        self._mend(digest, {**files, _MANIFEST: manifest})
        return True

    def is_known(self, digest: str) -> bool:
        """Return whether a model was ever stored here: what was found out about it stays."""
        return bool(digest) and (self.exists(digest) or (self._folder / "records" / digest).is_dir())

    def exists(self, digest: str) -> bool:
        """Return whether the model is in the store."""
        return (self._folder / digest / _MANIFEST).exists()

    def record(self, digest: str, kind: str, facts: Mapping[str, Any]) -> None:
        """Keep facts about a model (its evaluation, say); the newest record of a kind counts."""
        path = self._folder / "records" / digest / f"{kind}.json"
        publish(path, _json(facts), f"the {kind} of model {digest[:12]} was not recorded")

    def record_training(self, digest: str, training: Training) -> None:
        """Keep what a model was trained on: each version once, beside those that gave the same model before."""
        self.record(digest, f"trained.{training.product}.{training.version}", asdict(training))

    def trainings(self, digest: str) -> list[dict[str, Any]]:
        """Return what a model was trained on: product, table, version, inputs and time of each training, the newest version last."""
        paths = (self._folder / "records" / digest).glob("trained.*.json")
        return sorted((json.loads(path.read_text()) for path in paths), key=lambda t: (t["product"], t["version"]))

    @contextmanager
    def quiet(self) -> Iterator[bool]:
        """Yield True while no process stores a model, for whoever removes one; False where one does."""
        with self._fences.quiet(_LATCH) as is_quiet:
            yield is_quiet

    def stored_at(self, digest: str) -> datetime:
        """Return when a model was stored last."""
        return datetime.fromtimestamp((self._folder / digest / _MANIFEST).stat().st_mtime, UTC)

    def size(self, digest: str) -> int:
        """Return the bytes of a model's files."""
        return sum(path.stat().st_size for path in (self._folder / digest).iterdir())

    def remove(self, digest: str) -> None:
        """Remove a model's files, all at once for whoever looks; what was found out about it stays."""
        leaving = self._folder / f".{digest}.{os.getpid()}"
        (self._folder / digest).rename(leaving)
        failpoint("model_removed")
        shutil.rmtree(leaving)

    def recorded(self, digest: str, kind: str) -> dict[str, Any] | None:
        """Return the newest record of a kind, or None; raises StoreError where it is torn."""
        path = self._folder / "records" / digest / f"{kind}.json"
        try:
            facts: dict[str, Any] | None = json.loads(path.read_text()) if path.exists() else None
        except ValueError as error:
            raise StoreError(
                f"{path} cannot be read: it was torn or edited. Restore it from a backup, or remove it and make it again."
            ) from error
        return facts


def _publish(staged: Path, target: Path) -> None:
    """Give a staged folder its name; where another process stored the same model first, its folder stays."""
    sync_folder(staged)
    try:
        staged.rename(target)
        sync_folder(target.parent)
    except OSError:
        if not (target / _MANIFEST).exists():
            raise
        shutil.rmtree(staged)


def _manifest(files: Mapping[str, bytes]) -> bytes:
    return _json({name: bytes_digest(data) for name, data in sorted(files.items())})


def _json(facts: Mapping[str, Any]) -> bytes:
    return json.dumps(facts, sort_keys=True, indent=1).encode()
