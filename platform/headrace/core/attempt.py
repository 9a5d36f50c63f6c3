"""An attempt that may fail in any way, for threads that must go on: what was raised is kept, and whoever made it says so."""

from types import TracebackType
from typing import Self


class Attempt:
    """What is done within it ends it at the first error, whatever that is."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        """What was raised; None where all was done."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> bool:
        """Keep an error; what ends a process or a thread goes on."""
        self.error = error if isinstance(error, Exception) else None
        return self.error is not None
