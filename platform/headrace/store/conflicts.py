"""The store's own errors, in words that say what to do."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deltalake.exceptions import CommitFailedError, DeltaError

from headrace.core.errors import StoreError
from headrace.store.room import room_at


@contextmanager
def explained(name: str, folder: Path) -> Iterator[None]:
    """Turn what Delta and the disk say while a table is written into a StoreError."""
    try:
        with room_at(folder / name, f"'{name}' was not written, and what was there stays", (DeltaError, OSError)):
            yield
    except CommitFailedError as error:
        raise StoreError(
            f"Another run wrote '{name}' at the same moment and won ({error}). Nothing was written twice: run this again."
        ) from error
    except DeltaError as error:
        if not is_there_already(error):
            raise
        raise StoreError(
            f"Another run created '{name}' at the same moment. Nothing was written twice: run this again."
        ) from error


def is_there_already(error: Exception) -> bool:
    """Return whether a table could not be created because another process has."""
    return isinstance(error, DeltaError) and "already exists" in str(error)
