"""The checksum of bytes."""

from hashlib import sha256


def bytes_digest(data: bytes) -> str:
    """Return the SHA-256 of the bytes, in hex."""
    return sha256(data).hexdigest()
