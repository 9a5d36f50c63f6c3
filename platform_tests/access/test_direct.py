"""Requests that are answered as soon as they are read: the same rules hold of them, and the application has the rest."""

import socket
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from headrace.access.guard import Direct, Headers
from headrace.access.line import MOST_TOGETHER, WIDEST
from headrace.access.problem import problem
from platform_tests.access.server import Echo, Running, one_answer, request, serving, statuses
from platform_tests.access.test_protocol import deny_all_but_open, make_limits
from platform_tests.waiting import eventually

AT_ONCE = "/open"


class Answerer:
    """Answers with the length of the body; leaves those of an odd length to the application."""

    def __init__(self, echo: Echo) -> None:
        self._echo = echo
        self.seen_by_then: list[int] = []
        """For each call of several how many requests had reached the application."""
        self.bodies: list[bytes] = []
        self.takes_s = 0.0
        self.gate: threading.Semaphore | None = None
        """What each call of several has to pass, if it is there."""

    def takes(self, body: bytes) -> bool:
        return len(body) % 2 == 0

    def answers(self, asked: Sequence[tuple[Headers, bytes]]) -> list[bytes]:
        self.seen_by_then.append(len(self._echo.seen))
        if self.gate:
            assert self.gate.acquire(timeout=60)
        return [self._answer(*one) for one in asked]

    def _answer(self, headers: Headers, body: bytes) -> bytes:
        assert (b"host", b"x") in headers
        self.bodies.append(body)
        time.sleep(self.takes_s)
        told = b"direct %d" % len(body)
        return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(told), told)


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
def direct(echo: Echo) -> Answerer:
    return Answerer(echo)


@pytest.fixture
def server(direct: Answerer, echo: Echo) -> Iterator[Running]:
    with serving(echo, make_limits(), deny_all_but_open) as running:
        running.guard.direct = Direct(AT_ONCE, AT_ONCE.encode(), direct.takes, direct.answers)
        yield running


def of(body: bytes, **headers: str) -> bytes:
    return request(AT_ONCE, body=body, **headers)


@contextmanager
def several(server: Running, count: int) -> Iterator[list[socket.socket]]:
    """Open connections, each of which was answered once."""
    with ExitStack() as opened:
        lines = [opened.enter_context(server.connect()) for _ in range(count)]
        for line in lines:
            line.sendall(of(b"x"))
            assert told(one_answer(line)) == b"1"
        yield lines


def ask_behind_the_first(lines: Sequence[socket.socket], direct: Answerer) -> threading.Semaphore:
    """Ask by all lines, so that all but the first are read in one turn, behind that one; each call has to pass what is returned."""
    gate = direct.gate = threading.Semaphore(0)
    lines[0].sendall(of(b"xx"))
    assert eventually(lambda: len(direct.seen_by_then) == 1)
    for line in lines[1:]:
        line.sendall(of(b"xx"))
    gate.release()
    return gate


def told(answer: bytes) -> bytes:
    return answer.partition(b"\r\n\r\n")[2]


def test_a_request_is_answered_without_the_application_and_its_connection_stays_good(
    server: Running, echo: Echo
) -> None:
    with server.connect() as line:
        for length in (0, 8, 70_000):
            line.sendall(of(b"x" * length))
            assert told(one_answer(line)) == b"direct %d" % length
    assert echo.seen == []


def test_what_cannot_be_answered_so_is_answered_by_the_application(server: Running, echo: Echo) -> None:
    with server.connect() as line:
        for length, answer in ((3, b"3"), (4, b"direct 4"), (70_001, b"70001")):
            line.sendall(of(b"x" * length))
            assert told(one_answer(line)) == answer
    assert echo.seen == [AT_ONCE, AT_ONCE]


def test_pipelined_requests_are_answered_in_order_whoever_answers(server: Running) -> None:
    with server.connect() as line:
        line.sendall(b"".join(of(b"x" * n) for n in range(12)))
        answers = [told(one_answer(line)).removeprefix(b"direct ") for _ in range(12)]
    assert answers == [b"%d" % n for n in range(12)]


def test_a_body_comes_in_any_pieces(server: Running, direct: Answerer) -> None:
    whole = of(b"abcdef")
    with server.connect() as line:
        for byte in whole:
            line.sendall(bytes([byte]))
        assert told(one_answer(line)) == b"direct 6"
        line.sendall(f"POST {AT_ONCE} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n".encode())
        line.sendall(b"3\r\nabc\r\n3\r\ndef\r\n0\r\nauthorization: forged\r\n\r\n")
        assert told(one_answer(line)) == b"direct 6"
    assert direct.bodies == [b"abcdef", b"abcdef"]


@pytest.mark.parametrize("asks", [{"method": "GET"}, {"path": "/open?x=1"}, {"expect": "100-continue"}])
def test_another_method_another_url_and_who_waits_to_go_on_come_to_the_application(
    server: Running, echo: Echo, asks: dict[str, Any]
) -> None:
    with server.connect() as line:
        line.sendall(request(**{"path": AT_ONCE, **asks}))
        assert statuses(line.recv(100))[0] in (200, 100)
    assert eventually(lambda: echo.seen == [AT_ONCE])


def test_who_asks_to_close_is_answered_and_the_connection_ends(server: Running) -> None:
    heard = server.exchange(of(b"xx", connection="close") + of(b"xx"))
    assert statuses(heard) == [200]
    assert b"connection: close" in heard
    old = f"POST {AT_ONCE} HTTP/1.0\r\nhost: x\r\ncontent-length: 2\r\n\r\nab".encode()
    assert statuses(server.exchange(old)) == [200]


def test_a_refused_request_is_never_answered_so(server: Running, direct: Answerer) -> None:
    server.guard.admit = lambda *_: problem(401, "key_missing", "Send a key.")
    with server.connect() as line:
        line.sendall(of(b"xx"))
        assert statuses(one_answer(line)) == [401]
    assert direct.bodies == []


def test_a_body_that_does_not_come_in_time_and_one_that_grows_too_large_are_refused(
    server: Running, direct: Answerer
) -> None:
    assert statuses(server.exchange(of(b"x", content_length="4"))) == [408]
    server.guard.most_body = 10
    chunked = f"POST {AT_ONCE} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n".encode()
    assert statuses(server.exchange(chunked + b"20\r\n" + b"x" * 32)) == [413]
    assert direct.bodies == []


def test_an_answer_that_fails_costs_its_own_connection_alone(server: Running, direct: Answerer) -> None:
    direct.takes_s = -1.0
    assert statuses(server.exchange(of(b"xx"))) == [500]
    direct.takes_s = 0.0
    with server.connect() as line:
        line.sendall(of(b"xx"))
        assert statuses(one_answer(line)) == [200]


def test_who_sends_on_behind_a_turn_that_has_taken_long_is_answered_by_the_application_in_line(
    server: Running, direct: Answerer, echo: Echo
) -> None:
    direct.takes_s = 0.02
    with server.connect() as line:
        line.sendall(of(b"xx") * 5)
        assert [told(one_answer(line)) for _ in range(5)] == [b"direct 2", b"2", b"2", b"2", b"2"]
        line.sendall(of(b"xx"))
        assert told(one_answer(line)) == b"direct 2"
    assert len(echo.seen) == 4


def test_many_at_a_time_are_answered_in_line_and_others_come_between(
    server: Running, direct: Answerer, echo: Echo
) -> None:
    server.guard.most_waiting, direct.takes_s = 100, 0.002
    with several(server, 3 * MOST_TOGETHER + 2) as (other, *lines):
        gate = ask_behind_the_first(lines, direct)
        assert eventually(lambda: len(server.guard.line) == 2 * MOST_TOGETHER)
        other.sendall(of(b"x"))
        gate.release(10)
        assert told(one_answer(other)) == b"1"
        assert [told(one_answer(line)) for line in lines] == [b"direct 2"] * len(lines)
    _, first, *_, last = direct.seen_by_then
    assert (len(direct.seen_by_then), last) == (4, first + 1)


def test_who_waits_in_line_and_goes_away_is_not_answered_and_who_sends_nonsense_then_is_answered_before(
    server: Running, direct: Answerer
) -> None:
    with several(server, MOST_TOGETHER + 3) as (*served, leaves, errs):
        gate = ask_behind_the_first([*served, leaves, errs], direct)
        assert eventually(lambda: len(server.guard.line) == 2)
        leaves.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        leaves.close()
        errs.sendall(b"\0\0\0")
        gate.release(10)
        for line in (*served, errs):
            assert told(one_answer(line)) == b"direct 2"
        assert statuses(errs.recv(1000)) == [400]


def test_what_one_turn_has_time_for_is_not_shed_however_many_come_at_once(server: Running, direct: Answerer) -> None:
    with several(server, 41) as lines:
        server.guard.most_waiting = 32
        for _ in range(5):
            for line in lines[:40]:
                line.sendall(of(b"xx"))
            assert {statuses(one_answer(line))[0] for line in lines[:40]} == {200}


def test_who_waits_in_line_is_counted_as_waiting(server: Running, direct: Answerer) -> None:
    with several(server, 6) as lines:
        server.guard.most_waiting, direct.takes_s = 1, 0.01
        for _ in range(WIDEST.bit_length()):
            lines[0].sendall(of(b"xx"))
            assert told(one_answer(lines[0])) == b"direct 2"
        direct.seen_by_then.clear()
        ask_behind_the_first(lines, direct).release(10)
        assert sorted(statuses(one_answer(line))[0] for line in lines) == [200, 200, 200, 503, 503, 503]


def test_a_server_that_ends_answers_what_is_under_way_and_says_that_the_connection_ends(server: Running) -> None:
    with server.connect() as line:
        line.sendall(of(b"xxxx")[:-2])
        assert eventually(lambda: len(server.guard) == 1)
        server.server.should_exit = True
        assert eventually(lambda: not server.server.servers or not server.server.servers[0].is_serving())
        line.sendall(b"xx")
        heard = one_answer(line)
    assert statuses(heard) == [200]
    assert b"connection: close" in heard
