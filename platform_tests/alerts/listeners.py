"""Real listeners: an HTTP server and a mail server on this machine, that keep what they are told, or fail as they are told."""

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import asyncore
    import smtpd


@dataclass
class Heard:
    """What a server was told, and how it is to answer."""

    address: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    mails: list[EmailMessage] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    """What it answers to the next requests; 200 when there are none left. 0: it never answers."""
    over: Event = field(default_factory=Event)


@contextmanager
def http_server(*answers: int) -> Iterator[Heard]:
    heard = Heard(answers=list(answers))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answer = heard.answers.pop(0) if heard.answers else 200
            if answer == 0:
                heard.over.wait(60)
                return
            if answer == 200:
                heard.bodies.append(json.loads(body))
                heard.headers.append(dict(self.headers))
            self.send_response(answer)
            if answer == 302:
                self.send_header("Location", f"{heard.address}/elsewhere")
            if answer == 429:
                self.send_header("Retry-After", "600")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    heard.address = f"http://127.0.0.1:{server.server_port}"
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield heard
    finally:
        heard.over.set()
        server.shutdown()
        server.server_close()


@contextmanager
def mail_server(*answers: str) -> Iterator[Heard]:
    """Answer mails with these lines, such as "451 try later"; then take them."""
    heard, left, channels = Heard(), list(answers), {}

    class Server(smtpd.SMTPServer):
        def process_message(self, *told: Any, **_: Any) -> str | None:
            if left:
                return left.pop(0)
            heard.mails.append(message_from_bytes(told[3], policy=policy.default))  # type: ignore[arg-type]
            return None

    server = Server(("127.0.0.1", 0), None, map=channels)
    heard.address = f"smtp://127.0.0.1:{server.socket.getsockname()[1]}"

    def serve() -> None:
        while not heard.over.is_set():
            asyncore.loop(timeout=0.05, map=channels, count=1)

    thread = Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield heard
    finally:
        heard.over.set()
        thread.join(10)
        asyncore.close_all(map=channels)
