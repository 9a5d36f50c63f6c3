"""What a reader makes of one file: its rows, and the lines that are none."""

from dataclasses import dataclass, field

import pyarrow as pa

KEPT = 10_000


@dataclass
class Aside:
    """Collects lines that are no rows, each by its number (1 for the first below a header) with the reason and its text."""

    lines: dict[int, str] = field(default_factory=dict)

    def keep(self, number: int, why: str, text: bytes | str) -> None:
        """Keep a line, the beginning of it if it is very long."""
        shown = text if isinstance(text, str) else text[: 4 * KEPT].decode(errors="replace")
        whole = shown.rstrip("\r\n").replace("\0", "\N{SYMBOL FOR NULL}")
        more = "" if len(text) <= KEPT else f"... ({len(text):,} in all)"
        self.lines[number] = f"{why}: {whole[:KEPT]}{more}"


@dataclass(frozen=True)
class Parsed:
    """The rows of one file in its own columns, the number of each, and the lines that went aside."""

    rows: pa.Table
    numbers: pa.Array
    aside: Aside = field(default_factory=Aside)
