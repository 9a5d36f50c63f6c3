"""Events in the place of requests: what AWS Lambda hands over goes through the same application as over HTTP.

Known are the events of API Gateway (HTTP APIs: version 2.0; REST APIs: version 1.0) and of function URLs; any other event is
itself a row, or a list of rows.
Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
"""

import asyncio
import base64
import binascii
import json
import logging
from collections.abc import Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote, urlencode

from headrace.packages.run import opened

if TYPE_CHECKING:
    from headrace.serving.watched import Asgi

PREDICT, DEFAULT_STAGE = "/v1/predict", "$default"
log = logging.getLogger("headrace.serving")
TEXTS = ("application/json", "application/problem+json", "text/")


class Request(NamedTuple):
    """What an event asks."""

    method: str
    path: str
    query: str
    headers: list[tuple[str, str]]
    body: bytes


class Reply(NamedTuple):
    """What the application said."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


class Handler:
    """Answers events one after the other, as Lambda sends them; opened once a process."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        """Open the package of a folder; predictions are not written. Raises as `run.opened`, and Refused as `open_service`."""
        packaged = opened(folder, environment)
        from headrace.serving.opened import open_service
        from headrace.serving.server import app_of

        service = open_service(packaged.served.model_copy(update={"logged": 0.0}), packaged.place, log.error)
        service.verify()
        self._service = service
        self._app: Asgi = app_of(service, packaged.place)
        self._loop = asyncio.new_event_loop()

    def __call__(self, event: Any, context: Any = None) -> Any:
        """Return what Lambda hands back: a reply to API Gateway's event, or the answer or problem itself to rows."""
        is_rows = not (isinstance(event, dict) and "requestContext" in event)
        try:
            request = _row_request(event) if is_rows else _request(event)
        except binascii.Error as error:
            return _shown(_unreadable(error))
        reply = self._loop.run_until_complete(answered(self._app, _named(request, context)))
        return json.loads(reply.body) if is_rows else _shown(reply)

    def close(self) -> None:
        """Let go of what was opened; Lambda freezes and ends its processes without."""
        self._service.close()
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()


async def answered(app: "Asgi", request: Request) -> Reply:
    """Return what an ASGI application says to a request."""
    said: list[MutableMapping[str, Any]] = []
    waiting = [{"type": "http.request", "body": request.body, "more_body": False}]

    async def receive() -> MutableMapping[str, Any]:
        return waiting.pop() if waiting else {"type": "http.disconnect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        said.append(message)

    await app(_scope(request), receive, send)
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in said[0]["headers"]]
    return Reply(said[0]["status"], headers, b"".join(message.get("body", b"") for message in said[1:]))


def _scope(request: Request) -> MutableMapping[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": "https",
        "path": request.path,
        "raw_path": request.path.encode(),
        "query_string": request.query.encode(),
        "root_path": "",
        "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in request.headers],
        "client": None,
        "server": None,
    }


def _row_request(rows: Any) -> Request:
    headers = [("content-type", "application/json")]
    return Request("POST", PREDICT, "", headers, json.dumps(rows).encode())


def _request(event: Mapping[str, Any]) -> Request:
    """Return what an event of API Gateway asks; raises binascii.Error for a body that is no base64."""
    text = event.get("body") or ""
    body = base64.b64decode(text, validate=True) if event.get("isBase64Encoded") else text.encode()
    about = event["requestContext"]
    if "http" in about:
        stage, path = f"/{about.get('stage', DEFAULT_STAGE)}", event["rawPath"]
        # The stage stands in front of the path, but for the default one.
        own = path.removeprefix(stage) if path.startswith(f"{stage}/") else path
        headers = list(event.get("headers", {}).items())
        return Request(about["http"]["method"], unquote(own), event.get("rawQueryString", ""), headers, body)
    return Request(event["httpMethod"], event["path"], urlencode(list(_many(event, "queryStringParameters"))), list(_many(event, "headers")), body)  # fmt: skip


def _many(event: Mapping[str, Any], name: str) -> Iterator[tuple[str, str]]:
    """Yield what version 1.0 tells as lists, or else one by one; either may be null."""
    several = event.get(f"multiValue{name[0].upper()}{name[1:]}")
    if several:
        yield from ((key, value) for key, values in several.items() for value in values)
    else:
        yield from (event.get(name) or {}).items()


def _named(request: Request, context: Any) -> Request:
    """Return a request with Lambda's own id, unless it brings one."""
    name = getattr(context, "aws_request_id", "")
    if not name or any(key.lower() == "x-request-id" for key, _ in request.headers):
        return request
    return request._replace(headers=[*request.headers, ("x-request-id", name)])


def _shown(reply: Reply) -> dict[str, Any]:
    headers = dict(reply.headers)
    is_text = headers.get("content-type", "").startswith(TEXTS)
    body = reply.body.decode() if is_text else base64.b64encode(reply.body).decode()
    return {"statusCode": reply.status, "headers": headers, "body": body, "isBase64Encoded": not is_text}


def _unreadable(error: binascii.Error) -> Reply:
    from headrace.serving.problem import CONTENT_TYPE, Problem

    problem = Problem(400, f"The event says that its body is base64, and it is not: {error}.")
    return Reply(problem.status, [("content-type", CONTENT_TYPE.decode())], problem.body())
