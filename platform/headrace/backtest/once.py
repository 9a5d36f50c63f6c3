"""What is made once, whichever thread asks first; those that ask meanwhile wait for it."""

from collections.abc import Callable, Hashable
from threading import Lock
from typing import Generic, TypeVar

Made = TypeVar("Made")


class Once(Generic[Made]):
    """Values by their keys. What makes one may ask for others, as long as none of these asks for it."""

    def __init__(self) -> None:
        self._made: dict[Hashable, Made] = {}
        self._makers: dict[Hashable, Lock] = {}
        self._keys = Lock()

    def __len__(self) -> int:
        return len(self._made)

    def of(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """Return the value of a key, and make it if nobody has."""
        if key not in self._made:
            with self._keys:
                maker = self._makers.setdefault(key, Lock())
            with maker:
                if key not in self._made:
                    self._made[key] = make()
        return self._made[key]
