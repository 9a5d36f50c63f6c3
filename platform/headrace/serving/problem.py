"""What went wrong with a request, as RFC 9457 has it: `application/problem+json`."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec

CONTENT_TYPE = b"application/problem+json"
_TITLES: Mapping[int, str] = {
    400: "The request cannot be read",
    401: "No valid key",
    403: "The key may not do this",
    404: "Nothing is here",
    405: "Not by this method",
    413: "The request is too large",
    415: "Not in this form",
    422: "The request breaks the contract",
    429: "Too many requests",
    500: "The server failed",
    501: "This model cannot do that",
    503: "Nothing can be answered now",
}


class Problem(Exception):
    """A request that is not answered: with which status, why, and what is wrong with which row and column."""

    def __init__(
        self, status: int, detail: str, errors: Sequence[Mapping[str, Any]] = (), *, retry_after: int | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.errors = errors
        self.retry_after = retry_after

    def body(self, request: str = "") -> bytes:
        """Return the problem as JSON; `request` is the id by which the log knows the request."""
        facts: dict[str, Any] = {
            "type": "about:blank",
            "title": _TITLES.get(self.status) or HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": str(self),
        }
        if request:
            facts["instance"] = f"urn:headrace:request:{request}"
        if self.errors:
            facts["errors"] = list(self.errors)
        return msgspec.json.encode(facts)

    def as_inference(self) -> bytes:
        """Return the problem as the Open Inference Protocol has it."""
        return msgspec.json.encode({"error": str(self)})
