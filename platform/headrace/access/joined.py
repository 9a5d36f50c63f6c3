"""An answer's head and body, written together: uvicorn writes one after the other, and each write wakes the client."""

import asyncio

_GO_ON = b"HTTP/1.1 100"


class Joined:
    """What an answer is written to: its head waits for the first of its body, or for the end of the answer."""

    __slots__ = ("_head", "_is_open", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head = b""
        self._is_open = True

    def write(self, data: bytes) -> None:
        """Keep the head, or write what has come with it."""
        if self._is_open and not self._head and not data.startswith(_GO_ON):
            self._head = data
            return
        if self._head:
            data, self._head, self._is_open = self._head + data, b"", False
        self._transport.write(data)

    def flush(self) -> None:
        """Write a head that nothing comes behind."""
        if self._head:
            self._transport.write(self._head)
            self._head, self._is_open = b"", False

    def close(self) -> None:
        """Close the connection behind what was written."""
        self.flush()
        self._transport.close()

    def is_closing(self) -> bool:
        """Return whether the connection is at its end."""
        return self._transport.is_closing()
