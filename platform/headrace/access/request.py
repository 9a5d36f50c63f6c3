"""What the protocol reads of a request before the application does."""

from collections.abc import Sequence
from urllib.parse import unquote

from httptools import HttpParserInvalidURLError, parse_url


def path_of(url: bytes) -> str | None:
    """Return the path as the application will see it, percent signs decoded; None where there is none."""
    try:
        raw = parse_url(url).path
        return unquote(raw.decode("ascii")) if raw else None
    except (HttpParserInvalidURLError, UnicodeDecodeError):
        return None


def length_of(headers: Sequence[tuple[bytes, bytes]]) -> int | None:
    """Return the length of the body that headers say, None where it comes in chunks; the parser has checked them."""
    length = 0
    for name, value in headers:
        if name == b"transfer-encoding":
            return None
        if name == b"content-length":
            length = int(value)
    return length
