"""The routes of the Open Inference Protocol."""

from typing import Any

import msgspec
from fastapi import FastAPI, Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from headrace.serving.answers import ref
from headrace.serving.inference import infer, model_facts, refuse_other, server_facts
from headrace.serving.manners import INFERENCE, asker, json_body
from headrace.serving.openapi import JSON, refusal
from headrace.serving.problem import Problem
from headrace.serving.service import Service

OCTETS, LENGTH = "application/octet-stream", "inference-header-content-length"
_MODEL = f"{INFERENCE}/models/{{product}}"
_VERSIONED = f"{_MODEL}/versions/{{number}}"
_ERROR = {JSON: {"schema": ref("InferenceError")}}


def inference_routes(api: FastAPI, service: Service) -> None:
    """Add the routes."""
    _whole(api, service)
    _of_model(api, service)
    _asking(api, service)


def _asking(api: FastAPI, service: Service) -> None:
    said = _told("InferenceResponse", 400, 401, 403, 404, 413, 415, 422, 429, 503, asks=True)

    @api.post(f"{_MODEL}/infer", **said)
    async def inference(request: Request, product: str) -> Response:
        """Predict rows that come as tensors, one a column.

        Tensors may be JSON or, behind it, bytes (Triton's extension).
        """
        refuse_other(service, product)
        return await _inferred(service, request)

    @api.post(f"{_VERSIONED}/infer", **said)
    async def inference_by_version(request: Request, product: str, number: str) -> Response:
        """Predict rows that come as tensors, if that release is live."""
        refuse_other(service, product, number)
        return await _inferred(service, request)


async def _inferred(service: Service, request: Request) -> Response:
    header = request.headers.get(LENGTH, "")
    is_octets = request.headers.get("content-type", "").partition(";")[0].strip().lower() == OCTETS
    body = await (request.body() if header or is_octets else json_body(request))
    headers = [pair for pair in request.scope["headers"] if pair[0] != b"content-type"]
    asked = asker(headers)
    reply = await run_in_threadpool(infer, service, body, header, asked)
    if reply.head is None:
        return Response(reply.body, media_type=JSON)
    return Response(reply.body, media_type=OCTETS, headers={LENGTH: f"{reply.head}"})


def _whole(api: FastAPI, service: Service) -> None:
    @api.get(INFERENCE, **_told("InferenceServer"))
    async def server() -> Response:
        """Say what the server is."""
        return _json(server_facts())

    @api.get(f"{INFERENCE}/health/live", **_told("InferenceHealth"))
    async def live() -> Response:
        """Say that the process is alive."""
        return _json({"live": True})

    @api.get(f"{INFERENCE}/health/ready", **_told("InferenceHealth", 503))
    async def ready() -> Response:
        """Say whether requests can be answered now."""
        await _refuse_unready(service)
        return _json({"ready": True})


def _of_model(api: FastAPI, service: Service) -> None:
    ready, facts = _told("InferenceHealth", 404, 503), _told("InferenceModel", 401, 403, 404, 429, 503)

    @api.get(f"{_MODEL}/ready", **ready)
    async def model_ready(product: str) -> Response:
        """Say whether the model can be asked now."""
        refuse_other(service, product)
        await _refuse_unready(service)
        return _json({"name": product, "ready": True})

    @api.get(f"{_VERSIONED}/ready", **ready)
    async def model_ready_by_version(product: str, number: str) -> Response:
        """Say whether that release can be asked now: the live one can."""
        refuse_other(service, product, number)
        return await model_ready(product)

    @api.get(_MODEL, **facts)
    async def model(product: str) -> Response:
        """Say which tensors the model takes and gives; its version is the number of the live release."""
        refuse_other(service, product)
        return _json(await run_in_threadpool(model_facts, service))

    @api.get(_VERSIONED, **facts)
    async def model_by_version(product: str, number: str) -> Response:
        """Say which tensors a release takes and gives, if it is live."""
        refuse_other(service, product, number)
        return await model(product)


async def _refuse_unready(service: Service) -> None:
    why = await run_in_threadpool(service.why_not_ready)
    if why:
        raise Problem(503, why)


def _json(facts: dict[str, Any]) -> Response:
    return Response(msgspec.json.encode(facts), media_type=JSON)


def _told(schema: str, *problems: int, asks: bool = False) -> dict[str, Any]:
    """Return what a route says of itself; its errors are the protocol's own."""
    responses: dict[int, Any] = {200: {"description": "The answer.", "content": {JSON: {"schema": ref(schema)}}}}
    responses |= {status: refusal(status, _ERROR) for status in problems}
    extra: dict[str, Any] = {"security": [{"bearer": []}, {}] if 401 in problems else []}
    if asks:
        octets = {"schema": {"type": "string", "contentMediaType": OCTETS}}
        extra["requestBody"] = {
            "required": True,
            "content": {JSON: {"schema": ref("InferenceRequest")}, OCTETS: octets},
        }
        responses[200]["content"][OCTETS] = octets
    return {
        "responses": responses,
        "openapi_extra": extra,
        "response_class": Response,
        "tags": ["Open Inference Protocol"],
    }
