"""Models: folders addressed by the digest of what is in them, and what was found out about each."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headrace.core.errors import DigestMismatch, StoreError
from headrace.core.failpoints import failpoint
from headrace.store.digest import bytes_digest

_MANIFEST = "manifest.json"


class Models:
    """Model folders under `<folder>/<digest>`; a folder is complete or not there at all."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, files: Mapping[str, bytes]) -> str:
        """Store the files of a model and return its digest; the same files are stored once."""
        manifest = _json({name: bytes_digest(data) for name, data in sorted(files.items())})
        digest = bytes_digest(manifest)
        target = self._folder / digest
        if (target / _MANIFEST).exists():
            return digest
        failpoint("model_staging")
        staged = self._folder / f".{digest}.{os.getpid()}"
        staged.mkdir(parents=True, exist_ok=True)
        for name, data in {**files, _MANIFEST: manifest}.items():
            _write_durably(staged / name, data)
        _publish(staged, target)
        failpoint("model_stored")
        return digest

    def get(self, digest: str, name: str) -> bytes:
        """Return one file of a model; raises DigestMismatch if any byte is not as it was stored."""
        folder = self._folder / digest
        if not (folder / _MANIFEST).exists():
            raise StoreError(f"There is no model {digest[:12]} in {self._folder}.")
        manifest = (folder / _MANIFEST).read_bytes()
        listed = json.loads(manifest) if bytes_digest(manifest) == digest else {}
        data = (folder / name).read_bytes() if name in listed and (folder / name).exists() else b""
        if bytes_digest(data) != listed.get(name):
            raise DigestMismatch(
                f"{folder / name} is not the file that was stored with model {digest[:12]}: it was edited or damaged. "
                "The model is refused; restore the file from a backup, or train again."
            )
        return data

    def exists(self, digest: str) -> bool:
        """Return whether the model is in the store."""
        return (self._folder / digest / _MANIFEST).exists()

    def record(self, digest: str, kind: str, facts: Mapping[str, Any]) -> None:
        """Keep facts about a model (its evaluation, say); the newest record of a kind counts."""
        folder = self._folder / "records" / digest
        folder.mkdir(parents=True, exist_ok=True)
        staged = folder / f".{kind}.{os.getpid()}"
        _write_durably(staged, _json(facts))
        staged.replace(folder / f"{kind}.json")

    def recorded(self, digest: str, kind: str) -> dict[str, Any] | None:
        """Return the newest record of a kind, or None."""
        path = self._folder / "records" / digest / f"{kind}.json"
        facts: dict[str, Any] | None = json.loads(path.read_text()) if path.exists() else None
        return facts


def _publish(staged: Path, target: Path) -> None:
    """Give a staged folder its name; where another process stored the same model first, its folder stays."""
    try:
        staged.rename(target)
    except OSError:
        if not (target / _MANIFEST).exists():
            raise
        shutil.rmtree(staged)


def _json(facts: Mapping[str, Any]) -> bytes:
    return json.dumps(facts, sort_keys=True, indent=1).encode()


def _write_durably(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
