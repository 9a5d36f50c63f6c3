"""Packed values: what all feature tables that are looked up by the same columns hold of one entity, under one key.

A value, all numbers little-endian:

    n * I      the size of each table's payload, in the order of the tables' names; 0 where it holds nothing of the entity
    payloads   one after another
"""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from headrace.online.keys import prefix_of
from headrace.online.manifest import FORM, Manifest, ServedTable
from headrace.online.many import Spots
from headrace.online.payload import ALONE, Layout


@dataclass(frozen=True)
class Group:
    """Feature tables that lie under one key: those that are looked up by the same columns, of the same kinds."""

    tables: Sequence[ServedTable]
    """By name."""

    @property
    def entities(self) -> list[str]:
        """The columns of the key."""
        return self.tables[0].entities

    @property
    def kinds(self) -> list[str]:
        """What these columns are in requests."""
        return self.tables[0].kinds

    @cached_property
    def prefix(self) -> bytes:
        """What all keys of the group begin with."""
        return prefix_of(self.entities, self.kinds)

    def is_packed_as(self, other: "Group") -> bool:
        """Return whether values of both look the same."""
        mine, theirs = [t.table for t in self.tables], [t.table for t in other.tables]
        laid_out = zip(self.tables, other.tables, strict=False)
        return mine == theirs and all(one.is_laid_out_as(two) for one, two in laid_out)


class Alone:
    """Reads values in which each table has one step, of plain columns and no null: all of them at once."""

    def __init__(self, layouts: Sequence[Layout]) -> None:
        self._struct = struct.Struct(f"<{len(layouts)}I" + "".join(layout.form for layout in layouts))
        self._sizes = tuple(layout.longest for layout in layouts)
        self._parts: list[tuple[int, int, bytes]] = []
        at = len(layouts)
        for layout in layouts:
            first = at + 3
            at = first + len(layout.schema)
            self._parts.append((first, at, bytes((len(layout.schema) + 7) // 8)))

    def values(self, value: bytes, instant: int) -> list[Sequence[Any]] | None:
        """Return the values of each table that hold at an instant; None where the value is not such a one."""
        if len(value) != self._struct.size:
            return None
        cells = self._struct.unpack(value)
        if cells[: len(self._sizes)] != self._sizes:
            return None
        read: list[Sequence[Any]] = []
        for first, end, none in self._parts:
            if cells[first - 3] not in ALONE or cells[first - 2] > instant or cells[first - 1] != none:
                return None
            read.append(cells[first:end])
        return read


def groups_of(tables: Iterable[ServedTable]) -> list[Group]:
    """Return tables by their keys, in the order of the first table of each."""
    together: dict[bytes, list[ServedTable]] = {}
    for table in tables:
        together.setdefault(prefix_of(table.entities, table.kinds), []).append(table)
    return [Group(sorted(group, key=lambda table: table.name)) for group in together.values()]


def prefixes_of(manifest: Manifest | None) -> set[bytes]:
    """Return what the keys of a published version begin with."""
    if manifest is None:
        return set()
    if manifest.form == FORM:
        return {group.prefix for group in groups_of(manifest.tables)}
    return {table.name.encode() + b"\0" for table in manifest.tables}


def packed(payloads: Sequence[bytes]) -> bytes:
    """Return one value of the payloads of an entity, one a table; empty where a table holds nothing of it."""
    return b"".join((_sizes(len(payloads)).pack(*map(len, payloads)), *payloads))


def starts_in(value: bytes, count: int) -> list[int]:
    """Return where the payload of each of `count` tables begins in a value; -1 of one that holds nothing."""
    head, starts = _sizes(count), []
    at = head.size
    for size in head.unpack_from(value):
        starts.append(at if size else -1)
        at += size
    return starts


def spots_in(values: Sequence[bytes | None], count: int, room: int) -> list[Spots]:
    """Return where the payloads of each of `count` tables lie in many values, with `room` zeros behind them."""
    even = _even(values, count, room)
    if even:
        return even
    nothing, head = bytes(4 * count), np.dtype([("sizes", "<u4", (count,))])
    there = [nothing if value is None else value for value in values]
    data = b"".join((*there, bytes(max(room, head.itemsize))))
    lengths = np.fromiter(map(len, there), np.int64, len(there))
    starts = np.cumsum(lengths) - lengths
    sizes = Spots(data, starts).cut(starts, head, 0)["sizes"]
    ends = starts[:, None] + head.itemsize + np.cumsum(sizes, axis=1, dtype=np.int64)
    return [Spots(data, np.where(size > 0, end - size, -1)) for size, end in zip(sizes.T, ends.T, strict=True)]


def _even(values: Sequence[bytes | None], count: int, room: int) -> list[Spots] | None:
    """Return the same of values that are all as long as each other, and so are their payloads, of which none is empty."""
    if None in values or not values:
        return None
    there: Sequence[bytes] = values  # type: ignore[assignment]
    length, head = len(there[0]), _sizes(count)
    places = starts_in(there[0], count)
    if set(map(len, there)) != {length} or -1 in places:
        return None
    data = b"".join((*there, bytes(room)))
    sizes = np.ndarray((len(there),), f"V{head.size}", data, 0, (length,))
    if not (sizes == sizes[0]).all():
        return None
    firsts = np.arange(0, length * len(there), length)
    return [Spots(data, firsts + place, length) for place in places]


@lru_cache(maxsize=1000)
def _sizes(count: int) -> struct.Struct:
    return struct.Struct(f"<{count}I")
