"""Requests of all routes beside predictions: counted, said where they fail or take long, and traced."""

import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from headrace.serving.logs import FAILED, Line, RequestLines
from headrace.serving.meter import Meter
from headrace.serving.traces import Traces

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]
ELSEWHERE = "none"
"""The route of a request that no route answers."""
TRACED = "/v1/"


class Watched:
    """An ASGI application whose requests are watched, each by the route that FastAPI has found for it."""

    def __init__(self, others: Asgi, meter: Meter, lines: RequestLines, traces: Traces | None = None) -> None:
        self._others, self._meter, self._lines, self._traces = others, meter, lines, traces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "http":
            await self._answer(scope, receive, send)
        else:
            await self._others(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        began, status = time.perf_counter(), FAILED
        # What is traced is named by the route that answers, which is known only then: until then by its first part.
        is_traced = self._traces is not None and scope["path"].startswith(TRACED)
        trace = self._traces.begin(scope["method"], TRACED, scope["headers"]) if self._traces and is_traced else None

        async def sent(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            status = message.get("status", status)
            if trace is not None and "headers" in message:
                message = {**message, "headers": [*message["headers"], (b"traceparent", trace.header)]}
            await send(message)

        try:
            await self._others(scope, receive, sent)
        finally:
            seconds, route = time.perf_counter() - began, getattr(scope.get("route"), "path", ELSEWHERE)
            self._meter.done_elsewhere(route, status, seconds)
            if trace is not None:
                trace.name(f"{scope['method']} {route}", route)
                trace.end(status)
            if seconds > self._lines.from_seconds or status >= FAILED:
                self._lines.add(Line(route, status, seconds, trace=trace.id if trace else ""))
