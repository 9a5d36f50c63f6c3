"""Rows of text in columns, for people at a terminal."""

from collections.abc import Sequence


def in_columns(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a plain table: each column as wide as its longest text, numbers to the right."""
    texts = [[f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in rows]
    widths = [max(len(line[i]) for line in [list(head), *texts]) for i in range(len(head))]
    right = [bool(rows) and isinstance(rows[0][i], int) for i in range(len(head))]
    lines = [
        "  ".join(
            text.rjust(width) if to_right else text.ljust(width)
            for text, width, to_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in [list(head), *texts]
    ]
    return "\n".join(lines)
