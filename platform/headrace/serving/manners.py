"""What HTTP asks of every route: HEAD, OPTIONS, and an error in one form whatever is wrong."""

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headrace.core.errors import HeadraceError
from headrace.serving.problem import CONTENT_TYPE, Problem

Headers = Sequence[tuple[bytes, bytes]]
"""Names in lower case, and values."""
LONGEST_ID = 64
_KEY_ID = slice(10, 22)
"""Where the id of a key stands in `Bearer hr_<id>_<secret>`: the protocol lets no other header in."""
INFERENCE = "/v2"
"""Below it errors are what the Open Inference Protocol wants them to be."""
_KNOWN = frozenset({b"application/json", b"application/json; charset=utf-8", b"application/x-www-form-urlencoded", b""})


def asker(headers: Headers) -> tuple[str, str]:
    """Return the id that a request brings, if it can be kept, and that of its key; empty where there is none.

    Raises Problem 415 where its body is no plain JSON.
    A body without a type, or of the one that curl gives by itself, is taken as JSON.
    """
    told = key = ""
    for name, value in headers:
        if name == b"content-type":
            if value not in _KNOWN:
                _refuse_other_types(value)
        elif name == b"x-request-id":
            text = value.decode("latin-1")
            if len(text) <= LONGEST_ID and text.isascii() and text.replace("-", "").replace("_", "").isalnum():
                told = text
        elif name == b"authorization":
            key = value[_KEY_ID].decode("latin-1")
        elif name == b"content-encoding" and value.lower() not in (b"identity", b""):
            raise Problem(415, "The body is packed: send it as it is, without `content-encoding`.")
    return told, key


def _refuse_other_types(value: bytes) -> None:
    kind, *parameters = (part.strip().lower() for part in value.decode("latin-1").split(";"))
    charset = next((p.partition("=")[2].strip('"') for p in parameters if p.startswith("charset=")), "utf-8")
    is_json = kind in ("application/json", "application/x-www-form-urlencoded") or (
        kind.startswith("application/") and kind.endswith("+json")
    )
    if not is_json or charset not in ("utf-8", "utf8", "us-ascii"):
        raise Problem(
            415, f"'{kind[:80]}' is not read here: send JSON in UTF-8, with `content-type: application/json`."
        )


async def json_body(request: Request) -> bytes:
    """Return the body of a request; raises Problem 415 where it is said to be something else than JSON."""
    asker(request.scope["headers"])
    return await request.body()


def shown(problem: Problem, path: str = "") -> Response:
    """Return a problem as it is answered."""
    headers = {"retry-after": f"{problem.retry_after}"} if problem.retry_after else {}
    if path == INFERENCE or path.startswith(f"{INFERENCE}/"):
        return Response(problem.as_inference(), problem.status, headers, media_type="application/json")
    return Response(problem.body(), problem.status, headers, media_type=CONTENT_TYPE.decode())


def teach(api: FastAPI) -> None:
    """Let an application keep them."""

    @api.exception_handler(Problem)
    async def refused(request: Request, error: Problem) -> Response:
        return shown(error, request.url.path)

    @api.exception_handler(HeadraceError)
    async def failed(request: Request, error: HeadraceError) -> Response:
        return shown(Problem(503, str(error), retry_after=1), request.url.path)

    @api.exception_handler(RequestValidationError)
    async def malformed(request: Request, error: RequestValidationError) -> Response:
        found = [{"column": ".".join(map(str, e["loc"])), "expected": e["msg"]} for e in error.errors()]
        return shown(Problem(422, "; ".join(f"{e['column']}: {e['expected']}" for e in found)), request.url.path)

    @api.exception_handler(HTTPException)
    async def unknown(request: Request, error: HTTPException) -> Response:
        return _missed(api, request, error)

    @api.exception_handler(500)
    async def broken(request: Request, _: Exception) -> Response:
        return shown(Problem(500, "The server failed; its log says how."), request.url.path)

    api.router.redirect_slashes = False
    api.add_middleware(Heads)


def _missed(api: FastAPI, request: Request, error: HTTPException) -> Response:
    path, method = request.url.path, request.method
    if error.status_code != 405:
        detail = f"There is no {path}: /openapi.json says what there is." if error.status_code == 404 else error.detail
        return shown(Problem(error.status_code, detail), path)
    allowed = sorted({"OPTIONS", *_methods(api, request.scope)})
    headers = {"allow": ", ".join(allowed)}
    if method == "OPTIONS":
        return Response(status_code=204, headers=headers)
    answer = shown(Problem(405, f"{path} is not asked by {method[:20]}, but by {', '.join(allowed)}."), path)
    answer.headers.update(headers)
    return answer


def _methods(api: FastAPI, scope: Scope) -> set[str]:
    """Return by which methods a path can be asked."""
    fitting: list[Any] = [route for route in api.routes if route.matches(scope)[0] is not Match.NONE]
    methods = {method for route in fitting for method in route.methods or ()}
    return methods | ({"HEAD"} if "GET" in methods else set())


class Heads:
    """Answers HEAD as GET, without the body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def bare(message: Message) -> None:
            await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

        scope = {**scope, "method": "GET"}
        await self._app(scope, receive, bare)
