"""What is written instead of a value that nobody is to read: its keyed hash."""

import hmac
from hashlib import sha256
from typing import Any

PATTERN = "[0-9a-f]{64}"
"""What a keyed hash looks like."""


def hidden(value: Any, secret: bytes) -> str:
    """Return the keyed hash of a value's text (HMAC-SHA256), in hexadecimal digits."""
    return hmac.new(secret, str(value).encode(errors="surrogatepass"), sha256).hexdigest()
