"""The values that a parameter may have: a range between two numbers, or a choice."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

Value = int | float | str | bool
Params = dict[str, Value]
LOG_FROM = 10
"""A range whose ends differ by more than this factor is searched by its logarithm: each order of magnitude as often."""


@dataclass(frozen=True)
class Range:
    """All numbers from one to another, both with it; whole ones where both ends are."""

    least: int | float
    greatest: int | float

    @property
    def is_whole(self) -> bool:
        """Whether all its numbers are integers."""
        return isinstance(self.least, int) and isinstance(self.greatest, int)

    @property
    def is_log(self) -> bool:
        """Whether it is searched by the logarithm."""
        return self.least > 0 and self.greatest > LOG_FROM * self.least


@dataclass(frozen=True)
class Choice:
    """One of some values."""

    values: tuple[Value, ...]


Dimension = Range | Choice


def dimension_of(name: str, values: Sequence[Value]) -> Dimension:
    """Return the range or the choice that a list says; raises ValueError where it leaves nothing to search."""
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if not all(math.isfinite(value) for value in numbers):
        raise ValueError(f"'{name}: {list(values)}' holds what is no finite number")
    if len(values) == 2 and len(numbers) == 2:
        least, greatest = numbers
        if not least < greatest:
            raise ValueError(f"'{name}: {list(values)}' is no range: write the least first, then the greatest")
        return Range(least, greatest)
    spelled = {(type(value), value) for value in values}
    if len(spelled) < 2 or len(spelled) < len(values):
        raise ValueError(f"'{name}: {list(values)}' is no choice: list two values or more, each once")
    return Choice(tuple(values))
