"""Unpacking: gzip is undone piece by piece, so that a bomb is refused before it uses memory."""

import zlib

from headrace.core.errors import FileRefused
from headrace.core.names import size_text
from headrace.sources.declaration import Limits

GZIP = b"\x1f\x8b"
RATIO_FROM = 16_000_000
_PIECE = 1 << 20


def unpacked(name: str, data: bytes, limits: Limits) -> bytes:
    """Return the content of a file, unpacked if it is gzip; raises FileRefused for a torn one and for a bomb."""
    if not data.startswith(GZIP):
        if name.endswith(".gz"):
            raise FileRefused(f"{name} is named .gz and is no gzip file. Land it again, or under its right name.")
        refuse_larger(name, len(data), len(data), limits)
        return data
    pieces = bytearray()
    rest = data
    while rest.startswith(GZIP):  # a gzip file is one or more members
        member = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        while not member.eof:
            try:
                pieces += member.decompress(rest, _PIECE)
            except zlib.error as error:
                raise FileRefused(f"{name} is damaged: {error}. Land it again.") from None
            refuse_larger(name, len(pieces), len(data), limits)
            rest = member.unconsumed_tail or member.unused_data
            if not rest and not member.eof:
                raise FileRefused(f"{name} ends in the middle: it is no whole gzip file. Land it again.")
    if rest.strip(b"\0"):
        raise FileRefused(f"{name} has {len(rest)} bytes behind its gzip content that are none. Land it again.")
    return bytes(pieces)


def refuse_larger(name: str, size: int, packed: int, limits: Limits) -> None:
    """Raise FileRefused where `size` bytes of content, of `packed` bytes in the file, are more than a file may hold."""
    if size > limits.unpacked:
        raise FileRefused(
            f"{name} holds more than {size_text(limits.unpacked)}, the most that a file may. Split it, or declare "
            "`limits: {unpacked: ...}` if it should be so large."
        )
    if size > RATIO_FROM and size > limits.ratio * packed:
        raise FileRefused(
            f"{name} unpacks to more than {limits.ratio:g} times its {packed:,} bytes, as a bomb does. If it should, "
            "declare `limits: {ratio: ...}`."
        )
