"""The steps of many entities, read at once: numpy finds them in the bytes that the store has given, and Arrow gets columns."""

from collections.abc import Iterator
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from headrace.core.errors import StoreError
from headrace.online.cells import aligned, arrow_column, is_number, is_varied
from headrace.online.payload import FORMAT, HEAD, MARK, OTHER, TIMED_HEAD, Layout

_FIRST_STEP = np.dtype([("head", "<u8"), ("since", "<i8")])
_MARKED, _MARKS, _COUNTED = int.from_bytes(MARK + bytes([FORMAT]), "little"), 0xFFFFFF, 32


class Spots(NamedTuple):
    """Where the payloads of many entities lie: one after another in the same bytes."""

    data: bytes
    """All of them, and at the end as many zeros as the longest step has bytes, and its head."""
    starts: Any
    """Where each begins (int64); negative where an entity has none."""
    stride: int = 0
    """How far all of them lie apart, where that is the same."""

    def cut(self, starts: Any, kind: np.dtype[Any], stride: int) -> Any:
        """Return what lies at `starts`, which are `stride` bytes apart if that is not 0."""
        if stride and len(starts):
            return np.ndarray(len(starts), kind, self.data, int(starts[0]), (stride,))
        places = starts[:, None] + np.arange(kind.itemsize)
        return np.frombuffer(self.data, np.uint8)[places].view(kind)[:, 0]


class Steps(NamedTuple):
    """The steps that hold for many entities, each at an instant of its own."""

    spots: Spots
    at: Any
    """Where each begins in the bytes of the spots (int64); negative where none holds."""
    heap: Any
    """Where the texts and binaries of its payload begin (int64)."""
    since: Any
    """From which instants on they hold (int64); 0 where none does, or in a table without time."""
    stride: int = 0
    """How far all of them lie apart, where that is the same."""

    def only(self, holds: Any) -> "Steps":
        """Return the steps of which a condition (booleans) is true."""
        return self if holds.all() else self._replace(at=np.where(holds, self.at, -1), stride=0)


class ManySteps:
    """Reads the steps of a feature table for many requests."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def find_all(self, spots: Spots, instants: Any) -> Steps:
        """Return the steps that hold in many payloads, each at its own instant (int64); raises TooEarly.

        Payloads of one step are looked at all at once, the others one by one.
        """
        if spots.stride and self._layout.timed:
            steps = self._find_even(spots, instants)
            if steps:
                return steps
        starts, there = spots.starts, spots.starts >= 0
        firsts = spots.cut(np.where(there, starts, len(spots.data) - self._layout.longest), _FIRST_STEP, 0)
        if (firsts["head"] & _MARKS != _MARKED)[there].any():
            raise StoreError(OTHER)
        counts = (firsts["head"] >> _COUNTED).astype(np.int64)
        if not self._layout.timed:
            at = np.where(there, starts + HEAD.size, -1)
            return Steps(spots, at, at + counts * self._layout.size, np.zeros_like(at))
        easy = (counts == 1) & (firsts["since"] <= instants)
        at = np.where(easy, starts + TIMED_HEAD.size, -1)
        steps = Steps(spots, at, at + self._layout.size, np.where(easy, firsts["since"], 0))
        for number in np.flatnonzero(there & ~easy).tolist():
            found = self._layout.find(spots.data, int(instants[number]), int(starts[number]))
            if found:
                at[number], steps.heap[number], steps.since[number] = found[1:]
        return steps

    def _find_even(self, spots: Spots, instants: Any) -> Steps | None:
        """Return the steps of payloads that lie evenly, if each has one step, which holds."""
        firsts = spots.cut(spots.starts, _FIRST_STEP, spots.stride)
        since = firsts["since"]
        alone = firsts["head"] & ~np.uint64(0xFF << 24) == _MARKED + (1 << _COUNTED)
        if not (alone & (since <= instants)).all():
            return None
        at = spots.starts + TIMED_HEAD.size
        return Steps(spots, at, at + self._layout.size, since, spots.stride)

    def columns(self, steps: Steps) -> list[pa.Array]:
        """Return the values of many steps as one Arrow array a column; a row of nulls where none holds."""
        if steps.stride:
            rows = steps.spots.cut(steps.at, self._layout.record, steps.stride)
            if not rows["nulls"].any():
                return list(self._blocks(steps, rows))
            nulls = rows["nulls"]
        else:
            nowhere = steps.at < 0
            rows = steps.spots.cut(
                np.where(nowhere, len(steps.spots.data) - self._layout.size, steps.at), self._layout.record, 0
            )
            nulls = rows["nulls"] | np.where(nowhere, 255, 0).astype("u1")[:, None]
        return [
            self._column(steps, rows, number, (nulls[:, number // 8] >> number % 8 & 1).astype(bool))
            for number in range(len(self._layout.schema))
        ]

    def _blocks(self, steps: Steps, rows: Any) -> Iterator[pa.Array]:
        """Yield the columns of rows without nulls; numbers of one type side by side are turned at once."""
        together, count = rows.view(self._together), len(rows)
        for first, width in self._runs:
            if width == 1:
                yield self._column(steps, rows, first, None)
            else:
                flat = pa.array(aligned(together[f"{first}"].T.ravel()))
                yield from (flat.slice(number * count, count) for number in range(width))

    def _column(self, steps: Steps, rows: Any, number: int, empty: Any) -> pa.Array:
        kind = self._layout.schema.field(number).type
        if is_varied(kind):
            return _texts(steps, rows[f"{number}"], rows[f"length{number}"], empty).cast(kind)
        return arrow_column(rows[f"{number}"], kind, empty)

    @cached_property
    def _runs(self) -> list[tuple[int, int]]:
        """Columns of one type of numbers side by side: the first one's number, and how many."""
        runs: list[tuple[int, int]] = []
        for number, column in enumerate(self._layout.schema):
            first, width = runs[-1] if runs else (0, 0)
            if number and is_number(column.type) and column.type == self._layout.schema.field(first).type:
                runs[-1] = first, width + 1
            else:
                runs.append((number, 1))
        return runs

    @cached_property
    def _together(self) -> np.dtype[Any]:
        """A row of numpy in which columns of one type side by side are one."""
        own = self._layout.record
        wide = [(f"{first}", own[f"{first}"], (width,)) for first, width in self._runs if width > 1]
        places = [own.fields[name][1] for name, *_ in wide] if own.fields else []
        return np.dtype(
            {
                "names": [name for name, *_ in wide],
                "formats": [(kind, shape) for _, kind, shape in wide],
                "offsets": places,
                "itemsize": own.itemsize,
            }
        )


def _texts(steps: Steps, starts: Any, lengths: Any, empty: Any) -> pa.Array:
    """Return texts or binaries, which begin at `starts` of their payloads' own."""
    data, first = steps.spots.data, steps.heap + starts
    cells = [data[start:end] for start, end in zip(first.tolist(), (first + lengths).tolist(), strict=True)]
    return pa.array(cells, pa.large_binary(), mask=empty)
