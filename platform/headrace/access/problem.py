"""Answers that refuse a request, ready to be written: RFC 9457 problems with the headers that belong to them."""

import json
from http import HTTPStatus

PROBLEM = b"application/problem+json"
_END_OF_HEAD = b"\r\n\r\n"


def problem(status: int, code: str, detail: str, retry_after_s: int | None = None) -> bytes:
    """Return a whole HTTP/1.1 answer whose body says what is wrong; `code` is for programs, `detail` for people."""
    body = problem_body(status, code, detail)
    head = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}".encode(),
        b"content-type: " + PROBLEM,
        f"content-length: {len(body)}".encode(),
        b"cache-control: no-store",
    ]
    if status == HTTPStatus.UNAUTHORIZED:
        head.append(b"www-authenticate: Bearer")
    if retry_after_s is not None:
        head.append(f"retry-after: {retry_after_s}".encode())
    return b"\r\n".join(head) + _END_OF_HEAD + body


def problem_body(status: int, code: str, detail: str) -> bytes:
    """Return the JSON of a problem: type, title, status, detail, and the code that the type ends in."""
    said = {
        "type": f"urn:headrace:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
    }
    return json.dumps(said).encode()


def closing(answer: bytes) -> bytes:
    """Return an answer that says that the connection ends behind it."""
    status, _, rest = answer.partition(b"\r\n")
    return status + b"\r\nconnection: close\r\n" + rest


def without_body(answer: bytes) -> bytes:
    """Return an answer to HEAD: its headers alone."""
    return answer.partition(_END_OF_HEAD)[0] + _END_OF_HEAD


def status_of(answer: bytes) -> int:
    """Return the status of an answer."""
    return int(answer[9:12])
