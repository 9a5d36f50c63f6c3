"""Code that a model was made by: the files of a product's folder, kept by their content for as long as anybody asks."""

import json
from collections.abc import Mapping
from pathlib import Path

from headrace.core.errors import DigestMismatch
from headrace.store.checksum import bytes_digest
from headrace.store.publish import publish

LARGEST = 1024**2
"""Bytes of the largest file that is code; what is larger is data, and is not kept."""


class Code:
    """Files under `<folder>/<digest>`, and lists of files under `<folder>/<digest>.json`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, files: Mapping[str, bytes]) -> str:
        """Keep some files, each once, and return the digest of their list."""
        listed = json.dumps({name: bytes_digest(data) for name, data in sorted(files.items())}).encode()
        digest = bytes_digest(listed)
        for data in files.values():
            self._keep(self._folder / bytes_digest(data), data)
        self._keep(self._folder / f"{digest}.json", listed)
        return digest

    def listed(self, digest: str) -> dict[str, str]:
        """Return the digest of each file of a list, by its path; raises DigestMismatch where the list is not as it was kept."""
        files: dict[str, str] = json.loads(self._read(self._folder / f"{digest}.json", digest))
        return files

    def get(self, digest: str) -> dict[str, bytes]:
        """Return the files of a list, by path; raises DigestMismatch where one is not as it was kept."""
        return {name: self._read(self._folder / of, of) for name, of in self.listed(digest).items()}

    def _keep(self, path: Path, data: bytes) -> None:
        if not path.exists() or path.read_bytes() != data:
            publish(path, data, "the code of the model was not kept")

    def _read(self, path: Path, digest: str) -> bytes:
        data = path.read_bytes() if path.exists() else b""
        if bytes_digest(data) != digest:
            raise DigestMismatch(f"{path} is not the file that was kept: it was edited, damaged or removed.")
        return data


def code_files(folder: Path) -> dict[str, bytes]:
    """Return the files of a product's folder, by their path in it: declaration, SQL, Python, whatever else is small."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.stat().st_size <= LARGEST)
    own = (path for path in paths if not any(_is_apart(part) for part in path.relative_to(folder).parts))
    return {str(path.relative_to(folder)): path.read_bytes() for path in own}


def _is_apart(part: str) -> bool:
    return part.startswith(".") or part == "__pycache__" or part.endswith(".pyc")
