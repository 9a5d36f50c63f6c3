"""Requests to an application of this process, as a server hands them over."""

import asyncio
from collections.abc import Mapping, MutableMapping
from typing import Any

from headrace.serving.app import App
from platform_tests.serving.bar import Reply


def ask(
    app: App, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None, method: str = "POST"
) -> Reply:
    """Return what an application answers."""
    told: list[MutableMapping[str, Any]] = []
    given = [(name.lower().encode(), value.encode("latin-1")) for name, value in (headers or {}).items()]
    bare, _, query = path.partition("?")
    scope = {
        "type": "http", "http_version": "1.1", "method": method, "path": bare, "raw_path": bare.encode(),
        "query_string": query.encode(), "headers": given, "scheme": "http", "server": ("test", 80), "root_path": "",
    }  # fmt: skip

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        told.append(message)

    asyncio.run(app(scope, receive, send))
    found = {name.decode(): value.decode("latin-1") for name, value in told[0]["headers"]}
    return Reply(told[0]["status"], found, b"".join(message.get("body", b"") for message in told[1:]))
