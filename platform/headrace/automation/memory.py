"""What a process remembers between two looks: found again only when what it was found in has changed."""

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")


class Memory:
    """The newest answer to each question. Nothing depends on it but speed: a new process finds all of it again."""

    def __init__(self) -> None:
        self._known: dict[Hashable, tuple[Hashable, Any]] = {}

    def of(self, question: Hashable, state: Hashable, find: Callable[[], T]) -> T:
        """Return the answer to a question in a state of the world: found once, until the state is another."""
        known = self._known.get(question)
        if known is None or known[0] != state:
            known = (state, find())
            self._known[question] = known
        answer: T = known[1]
        return answer
