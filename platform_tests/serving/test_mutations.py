"""Requests that chance has damaged: whatever comes is answered, and what is refused is refused in words."""

import asyncio
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headrace.core.ports import free_port
from headrace.serving.app import App
from headrace.serving.opened import open_service
from headrace.serving.routes import routes_of
from headrace.serving.service import Service
from headrace.store.site import Site
from platform_tests.serving.bar import ROW, Reply, bar, released, running, served

FULL = {"order_id": "o1", "at": "2026-05-31T12:00:00Z", **ROW}
TOKENS = [
    b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1e999", b"1e-999", b"-0", b"0.1", b"null", b"true", b'""', b"[]", b"{}", b"[" * 2000,
    b'{"a":' * 2000, b"9" * 400, b"-9223372036854775809", b"18446744073709551616", b'"\\u0000"', b'"\\ud800"', b"\xff\xfe", b"\xef\xbb\xbf",
    b'"0001-01-01T00:00:00+14:00"', b'"9999-12-31T23:59:59-14:00"', b'"1600-02-30T00:00:00Z"', b'"2026-05-31T12:00:00.1234567890123Z"',
    b'"2026-12-31T23:59:60Z"', b'"1969-01-01T00:00:00Z"', b'"customer":', b'"price": 1, ', b"/* */", b"'", b"\\", b"\r\n", b"\0",
]  # fmt: skip
Asked = tuple[str, bytes, dict[str, str]]


def inference(*, binary: bool) -> tuple[bytes, dict[str, str]]:
    kinds = {"price": "FP64", "gift": "BOOL"}
    tensors: list[dict[str, Any]] = [{"name": name, "datatype": kinds.get(name, "BYTES"), "shape": [1]} for name in ROW]
    if not binary:
        told = {"id": "x", "inputs": [{**tensor, "data": [ROW[tensor["name"]]]} for tensor in tensors]}
        return json.dumps(told).encode(), {}
    values = [
        np.float64(1.5).tobytes() if t["name"] == "price" else b"\0" if t["name"] == "gift" else text(ROW[t["name"]])
        for t in tensors
    ]
    for tensor, value in zip(tensors, values, strict=True):
        tensor["parameters"] = {"binary_data_size": len(value)}
    head = json.dumps({"inputs": tensors, "parameters": {"binary_data_output": True}}).encode()
    return head + b"".join(values), {"inference-header-content-length": str(len(head))}


def text(value: Any) -> bytes:
    return len(value).to_bytes(4, "little") + value.encode()


def requests() -> dict[str, Asked]:
    """Return valid requests."""
    plain, packed = inference(binary=False), inference(binary=True)
    return {
        "one row": ("/v1/predict", json.dumps(FULL).encode(), {}),
        "rows": ("/v1/predict", json.dumps([ROW, FULL]).encode(), {}),
        "why": ("/v1/explain", json.dumps(FULL).encode(), {}),
        "tensors": ("/v2/models/shop/infer", *plain),
        "packed tensors": ("/v2/models/shop/infer", *packed),
    }


def damaged(body: bytes, chance: random.Random) -> bytes:
    """Return bytes that were changed in one to four places."""
    data = bytearray(body)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data) + 1)
        end = min(len(data), at + chance.choice([0, 1, 1, 2, 5, 20]))
        kind = chance.randrange(6)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            data[at:end] = b""
        elif kind == 2:
            data[at:end] = chance.choice(TOKENS)
        elif kind == 3:
            data[at:at] = bytes(data[chance.randrange(len(data) + 1) :][:30])
        elif kind == 4:
            data[at:end] = chance.randbytes(chance.randint(1, 4))
        else:
            _put_value(data, chance)
    return bytes(data[:20_000])


def _put_value(data: bytearray, chance: random.Random) -> None:
    """Put a token in the place of a value, so that what comes is JSON as often as not."""
    colons = [place for place, byte in enumerate(data) if byte == ord(":")]
    if colons:
        start = chance.choice(colons) + 1
        end = next((place for place in range(start, len(data)) if data[place] in b",}"), len(data))
        data[start:end] = chance.choice(TOKENS)


async def ask(app: Any, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, str, bytes]:
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "path": path, "raw_path": path.encode(),
        "root_path": "", "scheme": "http", "query_string": b"", "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }  # fmt: skip
    await app(scope, receive, send)
    kinds = dict(sent[0]["headers"])
    return sent[0]["status"], kinds[b"content-type"].decode(), b"".join(m.get("body", b"") for m in sent[1:])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    site = bar(tmp_path_factory.mktemp("shop"))
    released(site)
    return site


@pytest.fixture
def opened(site: Site) -> Iterator[tuple[App, Service, list[str]]]:
    said: list[str] = []
    service = open_service(served(site), site.place, said.append)
    yield App(service, routes_of(service, site.place)), service, said
    service.close()


def assert_well(path: str, status: int, kind: str, body: bytes) -> None:
    assert 200 <= status < 500
    if "octet" not in kind:
        told = json.loads(body)
        if status != 200 and not path.startswith("/v2"):
            assert (kind, told["status"]) == ("application/problem+json", status)
            assert told["detail"]
        elif status != 200:
            assert list(told) == ["error"]


@pytest.mark.parametrize(
    ("name", "times"),
    [
        ("one row", 60_000),
        ("rows", 16_000),
        ("why", 8_000),
        ("tensors", 8_000),
        ("packed tensors", 8_000),
    ],
)
@pytest.mark.slow
def test_a_request_that_chance_has_damaged_is_answered_or_refused_in_words(
    opened: tuple[App, Service, list[str]], name: str, times: int
) -> None:
    app, _, said = opened
    chance = random.Random(name)
    path, valid, headers = requests()[name]

    async def all_of_them() -> dict[int, int]:
        counts: dict[int, int] = {}
        for _ in range(times):
            body = damaged(valid, chance)
            status, kind, answer = await ask(app, path, body, headers)
            assert status < 500, (body, answer)
            assert_well(path, status, kind, answer)
            counts[status] = counts.get(status, 0) + 1
        return counts

    counts = asyncio.run(all_of_them())
    assert counts[200] > 0
    assert counts[400] > 0
    assert counts[422] > 0
    assert said == []


@pytest.mark.parametrize("name", list(requests()))
def test_a_request_that_is_whole_is_answered(opened: tuple[App, Service, list[str]], name: str) -> None:
    path, body, headers = requests()[name]
    status, kind, answer = asyncio.run(ask(opened[0], path, body, headers))
    assert status == 200
    assert_well(path, status, kind, answer)


@pytest.mark.slow
def test_damaged_requests_over_the_wire_leave_no_traceback_and_no_prediction_unwritten(tmp_path: Path) -> None:
    site = bar(tmp_path)
    released(site)
    chance, answered = random.Random(1), 0
    with running(site, served(site), port=free_port()) as server:
        for path, valid, headers in requests().values():
            for _ in range(200):
                reply = server.ask(path, damaged(valid, chance), headers)
                assert_well(path, reply.status, reply.headers["content-type"], reply.body)
                answered += predicted(path, reply)
        assert server.ask("/v1/predict", ROW).status == 200
        server.stop()
    assert "Traceback" not in server.log.read_text()
    assert server.log.read_text() == ""
    written = site.tables.read("shop/predictions/online")
    assert written.num_rows == answered + 1


def predicted(path: str, reply: Reply) -> int:
    """Return how many rows an answer predicts that are written down."""
    if reply.status != 200 or path == "/v1/explain":
        return 0
    head = reply.headers.get("inference-header-content-length")
    told = json.loads(reply.body[: int(head)] if head else reply.body)
    if "outputs" in told:
        rows: int = told["outputs"][0]["shape"][0]
        return rows
    return len(told.get("predictions", [None]))
