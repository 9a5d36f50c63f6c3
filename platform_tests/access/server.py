"""A real uvicorn server with a small application of the test's own, and a client that speaks bytes."""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn

from headrace.access.declaration import Limits
from headrace.access.guard import Admit, Guard
from headrace.access.protocol import GuardedProtocol, guarded
from platform_tests.waiting import eventually

DEADLINE_S = 10.0


def let_all_in(path: str, headers: Any, address: str) -> None:
    """Refuse nobody."""


@dataclass(frozen=True)
class Running:
    port: int
    guard: Guard
    server: uvicorn.Server

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE_S)

    def exchange(self, data: bytes) -> bytes:
        """Send bytes and return all that comes until the server closes."""
        with self.connect() as line:
            line.sendall(data)
            return until_closed(line)


@contextmanager
def serving(app: Any, limits: Limits, admit: Admit = let_all_in, **config: Any) -> Iterator[Running]:
    unshed = config.pop("unshed", frozenset())
    protocol: type[GuardedProtocol] = guarded(limits, admit, unshed)
    settings = {"log_config": None, "lifespan": "off", "ws": "none", "loop": "uvloop", "host": "127.0.0.1", **config}
    server = uvicorn.Server(uvicorn.Config(app, port=0, http=protocol, **settings))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert eventually(lambda: server.started)
        yield Running(server.servers[0].sockets[0].getsockname()[1], protocol.guard, server)
    finally:
        server.should_exit = True
        thread.join()


def until_closed(line: socket.socket) -> bytes:
    heard = b""
    try:
        while data := line.recv(65536):
            heard += data
    except ConnectionResetError:
        pass
    return heard


def one_answer(line: socket.socket) -> bytes:
    """Return the next answer, headers and body."""
    heard = b""
    while b"\r\n\r\n" not in heard:
        data = line.recv(1)
        assert data, f"closed behind {heard!r}"
        heard += data
    length = int(re.findall(rb"content-length: (\d+)", heard)[0])
    while length > 0 and (data := line.recv(length)):
        heard, length = heard + data, length - len(data)
    return heard


def statuses(answers: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3})", answers)]


class Echo:
    """Answers with the length of the body; `seen` are the requests that reached it, `gone` those whose client left."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.gone: list[str] = []
        self.headers: list[tuple[bytes, bytes]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.seen.append(scope["path"])
        length, more = 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.gone.append(scope["path"])
                return
            length, more = length + len(message["body"]), message["more_body"]
        self.headers = list(scope["headers"])
        await answer(send, str(length).encode())


async def answer(send: Any, body: bytes) -> None:
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def request(path: str = "/", *, method: str = "POST", body: bytes = b"", **headers: str) -> bytes:
    said = {"host": "x", "content-length": str(len(body)), **{k.replace("_", "-"): v for k, v in headers.items()}}
    lines = "".join(f"{name}: {value}\r\n" for name, value in said.items())
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + body
