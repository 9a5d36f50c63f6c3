"""What the protocol answers by itself, each made once."""

from headrace.access.problem import closing, problem

BUSY = problem(503, "busy", "More requests wait than can be answered in time: try again in 1 s.", 1)
FULL = closing(problem(503, "too_many_connections", "Too many connections: try again in 1 s.", 1))
MALFORMED = problem(400, "malformed_request", "This is not an HTTP/1.1 request.")
TOO_SLOW = problem(408, "too_slow", "The request did not come in time.")
TOO_LARGE_HEAD = problem(431, "headers_too_large", "The request's line and headers are above 64 KiB.")
TOO_LATE = problem(504, "too_late", "The answer was not made in time.")
BROKEN = problem(500, "broken", "The server failed before it looked at the request.")


def too_large(most: int) -> bytes:
    """Return the answer to a body above `most` bytes."""
    return problem(413, "body_too_large", f"The body is above {most:,} bytes.")
