"""What is answered beside predictions: which model answers, why a row has its score, whether the server is well."""

from importlib.metadata import version
from typing import Any

import msgspec
from fastapi import FastAPI, Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from headrace.core.place import Place
from headrace.serving.about import explanation, model_facts
from headrace.serving.card import HTML, MARKDOWN, has_card, live_card
from headrace.serving.inference_routes import inference_routes
from headrace.serving.manners import asker, json_body, shown, teach
from headrace.serving.metrics import Exposition
from headrace.serving.openapi import ASKING, JSON, ROWS, Document, told
from headrace.serving.problem import Problem
from headrace.serving.service import Service
from headrace.serving.tryit import HEADERS, try_page


def routes_of(service: Service, place: Place) -> FastAPI:
    """Return the application that answers them."""
    served = service.served
    api = FastAPI(title=served.product, version=version("headrace"), openapi_url=None, docs_url=None, redoc_url=None)
    teach(api)
    _ask(api, service)
    _look(api, service, place)
    inference_routes(api, service)
    return api


def _ask(api: FastAPI, service: Service) -> None:
    @api.post("/v1/predict", **told("Answer", *ASKING, body=ROWS))
    async def predict(request: Request) -> Response:
        """Predict one row, or a list of rows.

        Only the columns of the contract come with a row: features are looked up as of its own instant.
        """
        body = await json_body(request)
        call = service.call(body, *asker(request.scope["headers"]))
        [answer] = await run_in_threadpool(service.answer_all, [call])
        if isinstance(answer, Problem):
            raise answer
        return Response(answer, media_type=JSON)

    @api.post("/v1/explain", **told("Explanations", *ASKING, 501, body=ROWS))
    async def explain(request: Request) -> Response:
        """Say why rows have their scores.

        What each input adds to the raw score of a row, the greatest first: base and contributions sum up to it. The raw score
        is log-odds where the score is a chance.
        """
        body = await json_body(request)
        answer = await run_in_threadpool(explanation, service, body)
        return Response(answer, media_type=JSON)


def _look(api: FastAPI, service: Service, place: Place) -> None:
    document = Document(service, api)

    @api.get("/v1/model", **told("Model", 401, 403, 429, 503))
    async def model() -> Response:
        """Say which model answers, since when, and what is known of it."""
        card = "/v1/card" if has_card(service, place) else None
        return Response(msgspec.json.encode({**model_facts(service), "card": card}), media_type=JSON)

    @api.get("/v1/card", **_card())
    async def card(request: Request) -> Response:
        """Return the model card of the release that answers: Markdown, or a page where `accept` prefers `text/html`."""
        found = await run_in_threadpool(live_card, service, place, request.headers.get("accept", ""))
        return Response(found.text, media_type=found.kind, headers=_CARD_HEADERS)

    @api.get("/healthz", **told("Health", is_open=True))
    async def healthz() -> Response:
        """Say that the process is alive."""
        return Response(b'{"status":"alive"}', media_type=JSON)

    @api.get("/readyz", **told("Health", 503, is_open=True))
    async def readyz() -> Response:
        """Say whether requests can be answered now."""
        why = await run_in_threadpool(service.why_not_ready)
        return shown(Problem(503, why)) if why else Response(b'{"status":"ready"}', media_type=JSON)

    @api.get("/", include_in_schema=False)
    async def page() -> Response:
        return Response(await run_in_threadpool(try_page, service, place), media_type=HTML, headers=HEADERS)

    @api.get("/openapi.json", include_in_schema=False)
    async def openapi() -> Response:
        return Response(await run_in_threadpool(document.text), media_type=JSON)


_CARD_HEADERS = {
    "vary": "accept",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
}


def _card() -> dict[str, Any]:
    said = told("", 401, 403, 404, 429, 503, kind=MARKDOWN)
    said["responses"][200]["content"][HTML] = {"schema": {"type": "string"}}
    return said


def add_metrics(api: FastAPI, exposition: Exposition) -> None:
    """Let an application also answer what is measured."""
    said = told("", 401, 403, 429, kind="text/plain")
    said["responses"][200]["content"]["application/openmetrics-text"] = {"schema": {"type": "string"}}

    @api.get("/metrics", **said)
    async def metrics(request: Request) -> Response:
        """Return what all workers have counted, for Prometheus."""
        text, kind = await run_in_threadpool(exposition.shown, request.headers.get("accept", ""))
        return Response(text, headers={"content-type": kind})
