"""The protocol on a real uvicorn: deadlines, caps, refusals before the body, and connections that stay good."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from headrace.access.declaration import Limits
from headrace.access.problem import problem
from headrace.access.protocol import guarded
from platform_tests.access.server import (
    Echo,
    Running,
    answer,
    one_answer,
    request,
    serving,
    statuses,
    until_closed,
)
from platform_tests.waiting import eventually

MIB = 1024 * 1024
DENIED = problem(401, "key_missing", "Send a key.")
PART = b"POST / HTTP/1.1\r\nhost: x\r\n"


def make_limits(**said: Any) -> Limits:
    within = {"header": "1s", "body": "1s", "answer": "1s", "idle": "1s", **said.pop("within", {})}
    return Limits.model_validate({"within": within, **said})


def deny_all_but_open(path: str, headers: Any, address: str) -> bytes | None:
    return None if path == "/open" else DENIED


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
def open_server(echo: Echo) -> Iterator[Running]:
    with serving(echo, make_limits()) as running:
        yield running


@pytest.fixture
def closed_server(echo: Echo) -> Iterator[Running]:
    with serving(echo, make_limits(), deny_all_but_open) as running:
        yield running


def body_of(answer_: bytes) -> Any:
    return json.loads(answer_.partition(b"\r\n\r\n")[2])


# What is let in.


def test_requests_of_one_connection_are_answered_in_turn(open_server: Running) -> None:
    with open_server.connect() as line:
        for length in (0, 7, 70_000):
            line.sendall(request(body=b"x" * length))
            assert one_answer(line).endswith(b"\r\n\r\n" + str(length).encode())


def test_pipelined_requests_are_answered_in_order(open_server: Running) -> None:
    with open_server.connect() as line:
        line.sendall(b"".join(request(body=b"x" * n) for n in range(5)))
        assert [one_answer(line)[-1:] for _ in range(5)] == [b"0", b"1", b"2", b"3", b"4"]


def test_more_pipelined_requests_than_16_end_the_connection_behind_the_first_answer(open_server: Running) -> None:
    heard = open_server.exchange(request() * 500)
    assert set(statuses(heard)) == {200}
    assert 1 <= len(statuses(heard)) <= 17


def test_a_body_in_chunks_is_let_in_and_its_trailers_are_dropped(open_server: Running, echo: Echo) -> None:
    head = PART + b"transfer-encoding: chunked\r\ntrailer: authorization\r\n\r\n"
    with open_server.connect() as line:
        line.sendall(head + b"3\r\nabc\r\n0\r\nauthorization: Bearer forged\r\n\r\n")
        assert one_answer(line).endswith(b"\r\n\r\n3")
        assert not [value for name, value in echo.headers if name == b"authorization"]


def test_an_upgrade_is_answered_as_http_and_the_connection_ends(open_server: Running) -> None:
    asks = request(connection="Upgrade", upgrade="websocket", sec_websocket_version="13", sec_websocket_key="eA==")
    heard = open_server.exchange(asks)
    assert statuses(heard) == [200]
    assert b"connection: close" in heard


def test_a_request_that_waits_for_100_continue_and_is_let_in_is_told_to_go_on(open_server: Running) -> None:
    with open_server.connect() as line:
        line.sendall(request(expect="100-continue", content_length="3"))
        assert line.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        line.sendall(b"abc")
        assert one_answer(line).endswith(b"\r\n\r\n3")


def test_a_client_that_goes_away_in_mid_request_is_forgotten(open_server: Running, echo: Echo) -> None:
    with open_server.connect() as line:
        line.sendall(request(content_length="3"))
        assert eventually(lambda: echo.seen == ["/"])
    assert eventually(lambda: echo.gone == ["/"])
    assert eventually(lambda: len(open_server.guard) == 0)
    assert open_server.guard.bodies_under_way == 0


# What is refused from its headers.


def test_a_request_without_a_hook_is_denied() -> None:
    with serving(Echo(), make_limits(), guarded(make_limits()).guard.admit) as running:
        assert statuses(running.exchange(request(connection="close"))) == [403]


def test_a_refused_request_never_reaches_the_application_and_its_connection_stays_good(
    closed_server: Running, echo: Echo
) -> None:
    with closed_server.connect() as line:
        for _ in range(3):
            line.sendall(request("/shut", body=b"x" * 50_000))
            refused = one_answer(line)
            assert statuses(refused) == [401]
            assert b"connection: close" not in refused
            assert body_of(refused)["code"] == "key_missing"
        line.sendall(request("/open", body=b"abc"))
        assert one_answer(line).endswith(b"\r\n\r\n3")
    assert echo.seen == ["/open"]
    assert closed_server.guard.refusals == {401: 3}


def test_a_refused_body_in_chunks_is_read_past(closed_server: Running) -> None:
    with closed_server.connect() as line:
        line.sendall(PART.replace(b"/", b"/shut", 1) + b"transfer-encoding: chunked\r\n\r\n")
        assert statuses(one_answer(line)) == [401]
        line.sendall(b"3\r\nabc\r\n0\r\n\r\n" + request("/open"))
        assert statuses(one_answer(line)) == [200]


def test_a_path_is_judged_as_the_application_sees_it(closed_server: Running, echo: Echo) -> None:
    with closed_server.connect() as line:
        for path in ("/%6Fpen", "/open?x=1", "http://else/open"):
            line.sendall(request(path))
            assert statuses(one_answer(line)) == [200]
        for path in ("/open/", "/open/../open", "//open", "/OPEN", "/open%00", "/open;x"):
            line.sendall(request(path))
            assert statuses(one_answer(line)) == [401], path
    assert echo.seen == ["/open"] * 3


def test_a_refused_head_request_is_answered_without_a_body(closed_server: Running) -> None:
    with closed_server.connect() as line:
        line.sendall(request("/shut", method="HEAD") + request("/open"))
        heard = b""
        while statuses(heard) != [401, 200]:
            heard += line.recv(65536)
        assert b"key_missing" not in heard


def test_a_request_that_waits_for_100_continue_is_refused_at_once_and_its_connection_ends(
    closed_server: Running,
) -> None:
    heard = closed_server.exchange(request("/shut", expect="100-continue", content_length="5"))
    assert statuses(heard) == [401]
    assert b"connection: close" in heard


def test_a_request_of_http_1_0_that_is_refused_ends_the_connection(closed_server: Running) -> None:
    heard = closed_server.exchange(b"GET /shut HTTP/1.0\r\n\r\n")
    assert statuses(heard) == [401]
    assert b"connection: close" in heard


def test_a_refusal_behind_a_request_that_is_being_answered_waits_its_turn(closed_server: Running) -> None:
    heard = closed_server.exchange(request("/open", body=b"ab") + request("/shut"))
    assert statuses(heard) == [200]


def test_a_body_whose_length_is_above_the_cap_is_refused_before_it_is_sent(open_server: Running, echo: Echo) -> None:
    heard = open_server.exchange(request(content_length=str(MIB + 1)))
    assert statuses(heard) == [413]
    assert body_of(heard)["detail"] == "The body is above 1,048,576 bytes."
    assert echo.seen == []
    assert statuses(open_server.exchange(request(body=b"x" * MIB, connection="close"))) == [200]


def test_a_client_that_sends_all_of_a_large_body_hears_why_it_was_refused(closed_server: Running) -> None:
    with closed_server.connect() as line:
        line.sendall(request("/shut", content_length=str(20 * MIB)))
        for _ in range(20):
            line.sendall(b"x" * MIB)
        assert statuses(until_closed(line)) == [401]


def test_a_body_in_chunks_is_refused_where_it_grows_above_the_cap_and_the_application_hears_it(
    open_server: Running, echo: Echo
) -> None:
    with open_server.connect() as line:
        line.sendall(PART + b"transfer-encoding: chunked\r\n\r\n")
        for _ in range(3):
            line.sendall(b"80000\r\n" + b"x" * 0x80000 + b"\r\n")
        assert statuses(until_closed(line)) == [413]
    assert eventually(lambda: echo.gone == ["/"])


def test_chunks_that_are_mostly_frame_are_refused(open_server: Running) -> None:
    with open_server.connect() as line:
        line.sendall(PART + b"transfer-encoding: chunked\r\n\r\n")
        assert statuses(sent_until_answered(line, b"1;" + b"e" * 60_000 + b"\r\nx\r\n")) == [413]


def sent_until_answered(line: socket.socket, piece: bytes) -> bytes:
    until = time.monotonic() + 10
    line.settimeout(0.001)
    while time.monotonic() < until:
        try:
            return line.recv(1) + until_closed(line)
        except TimeoutError:
            line.sendall(piece)
    raise AssertionError("not answered")


def test_headers_above_64_kib_are_refused_however_they_come(open_server: Running) -> None:
    whole = request(x="y" * 70_000)
    assert statuses(open_server.exchange(whole)) == [431]
    assert statuses(open_server.exchange(request("/" + "p" * 70_000))) == [431]
    with open_server.connect() as line:
        line.sendall(PART)
        assert statuses(sent_until_answered(line, b"x-more: " + b"y" * 500 + b"\r\n")) == [431]
    with open_server.connect() as line:
        line.sendall(PART + b"x: ")
        assert statuses(sent_until_answered(line, b"y" * 500)) == [431]


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET  HTTP/1.1\r\n\r\n",
        b"CONNECT a:1 HTTP/1.1\r\nhost: a\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 99999999999999999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        "GET /ü HTTP/1.1\r\n\r\n".encode(),
    ],
)
def test_what_is_no_request_is_a_problem_and_ends_the_connection(open_server: Running, data: bytes) -> None:
    heard = open_server.exchange(data)
    assert statuses(heard) == [400]
    assert body_of(heard)["code"] == "malformed_request"


def test_a_broken_body_is_refused_once_though_the_application_is_about_to_ask_for_it(
    open_server: Running, echo: Echo, caplog: pytest.LogCaptureFixture
) -> None:
    heard = open_server.exchange(PART + b"expect: 100-continue\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n")
    assert statuses(heard) == [400]
    assert eventually(lambda: echo.gone == ["/"])
    assert not caplog.records


def test_a_hook_that_fails_lets_nobody_in_and_is_loud(caplog: pytest.LogCaptureFixture) -> None:
    def broken(path: str, headers: Any, address: str) -> bytes | None:
        if path == "/broken":
            raise LookupError("no such table")
        return None

    echo = Echo()
    with serving(echo, make_limits(), broken) as running:
        assert statuses(running.exchange(request("/broken"))) == [500]
        with running.connect() as line:
            line.sendall(request())
            one_answer(line)
            line.sendall(request("/broken"))
            assert statuses(until_closed(line)) == [500]
    assert echo.seen == ["/"]
    assert "no such table" in caplog.text


def test_a_body_that_grows_too_large_behind_its_answer_is_answered_once() -> None:
    async def hasty(scope: Any, receive: Any, send: Any) -> None:
        await answer(send, b"no need to read on")

    with serving(hasty, make_limits()) as running, running.connect() as line:
        line.sendall(PART + b"transfer-encoding: chunked\r\n\r\n")
        heard = one_answer(line)
        for _ in range(3):
            line.sendall(b"80000\r\n" + b"x" * 0x80000 + b"\r\n")
        assert statuses(heard + until_closed(line)) == [200]


# Deadlines.


def test_headers_that_trickle_are_answered_408_and_the_connection_is_closed(open_server: Running, echo: Echo) -> None:
    with open_server.connect() as line:
        assert statuses(trickled(line, [PART, *[b"x-slow: 1\r\n"] * 1000])) == [408]
    assert echo.seen == []


def test_empty_lines_do_not_keep_a_connection_open(open_server: Running) -> None:
    with open_server.connect() as line:
        line.sendall(request())
        one_answer(line)
        assert statuses(trickled(line, [b"\r\n"] * 1000)) == [408]


def trickled(line: socket.socket, pieces: list[bytes]) -> bytes:
    """Send a piece each 50 ms until something is heard, and return all of it."""
    line.settimeout(0.05)
    for piece in pieces:
        line.sendall(piece)
        try:
            return line.recv(1) + until_closed(line)
        except TimeoutError:
            continue
    raise AssertionError("not answered")


def test_a_body_that_trickles_is_answered_408_and_the_application_hears_that_its_client_is_gone(
    open_server: Running, echo: Echo
) -> None:
    with open_server.connect() as line:
        assert statuses(trickled(line, [request(content_length="1000"), *[b"x"] * 1000])) == [408]
    assert eventually(lambda: echo.gone == ["/"])


def test_a_refused_body_that_trickles_ends_the_connection(closed_server: Running) -> None:
    with closed_server.connect() as line:
        line.sendall(request("/shut", content_length="1000"))
        assert statuses(one_answer(line)) == [401]
        line.settimeout(10)
        assert until_closed(line) == b""


def test_a_connection_that_says_nothing_is_closed(open_server: Running) -> None:
    with open_server.connect() as line:
        assert until_closed(line) == b""


@pytest.mark.parametrize("path", ["/open", "/shut"])
def test_a_connection_is_closed_when_it_idles_behind_an_answer(closed_server: Running, path: str) -> None:
    with closed_server.connect() as line:
        line.sendall(request(path))
        one_answer(line)
        assert until_closed(line) == b""


def test_an_answer_that_is_not_made_in_time_is_504_and_what_comes_later_goes_nowhere() -> None:
    let_go, sent = threading.Event(), []

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        while not let_go.is_set():
            await asyncio.sleep(0.01)
        await answer(send, b"late")
        sent.append("late")

    with serving(slow, make_limits()) as running, running.connect() as line:
        line.sendall(request())
        assert statuses(until_closed(line)) == [504]
        let_go.set()
        assert eventually(lambda: bool(sent))
        assert statuses(running.exchange(request(connection="close"))) == [200]


def test_a_client_that_does_not_read_its_answer_is_let_go() -> None:
    async def large(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(200):
            await send({"type": "http.response.body", "body": b"x" * MIB, "more_body": True})

    with serving(large, make_limits()) as running, running.connect() as line:
        line.sendall(request())
        assert eventually(lambda: len(running.guard) == 1)
        assert eventually(lambda: len(running.guard) == 0)


def test_whoever_was_kept_waiting_by_the_server_itself_is_not_late() -> None:
    is_blocking, let_go = threading.Event(), threading.Event()

    async def blocks(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/block":
            is_blocking.set()
            let_go.wait(10)
        await answer(send, b"ok")

    with serving(blocks, make_limits()) as running, running.connect() as half, running.connect() as blocking:
        half.sendall(PART)
        assert eventually(lambda: any(line._fed for line in running.server.server_state.connections))
        blocking.sendall(request("/block"))
        assert is_blocking.wait(10)
        half.sendall(b"content-length: 0\r\n\r\n")
        threading.Timer(2.5, let_go.set).start()
        assert statuses(one_answer(half)) == [200]
        assert statuses(one_answer(blocking)) == [200]


def test_clients_that_are_slow_to_send_a_body_take_nobodys_place(echo: Echo) -> None:
    limits = make_limits(most_waiting=2, within={"body": "9s"})
    with serving(echo, limits) as running:
        slow = [running.connect() for _ in range(10)]
        for line in slow:
            line.sendall(request("/slow", content_length="1"))
        assert eventually(lambda: len(echo.seen) == 10)
        assert statuses(running.exchange(request(connection="close"))) == [200]
        for line in slow[:5]:
            line.close()
        for line in slow[5:]:
            line.sendall(b"x")
            assert statuses(one_answer(line)) == [200]
            line.close()
        assert eventually(lambda: running.guard.bodies_under_way == 0)


# Too many.


def test_connections_above_the_cap_are_answered_503_and_the_next_one_after_a_free_place() -> None:
    with serving(Echo(), make_limits(most_connections=2, within={"header": "9s"})) as running:
        with running.connect(), running.connect() as second:
            assert eventually(lambda: len(running.guard) == 2)
            with running.connect() as third:
                heard = until_closed(third)
            assert statuses(heard) == [503]
            assert b"retry-after: 1" in heard
            second.sendall(request())
            assert statuses(one_answer(second)) == [200]
        assert eventually(lambda: len(running.guard) == 0)
        assert statuses(running.exchange(request(connection="close"))) == [200]


def test_requests_above_most_waiting_are_shed_but_for_open_paths_and_their_connections_stay_good() -> None:
    let_go, seen = threading.Event(), []

    async def waits(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["path"])
        while scope["path"] != "/live" and not let_go.is_set():
            await asyncio.sleep(0.01)
        await answer(send, b"ok")

    limits = make_limits(most_waiting=3, within={"answer": "9s"})
    with serving(waits, limits, unshed=frozenset({"/live"})) as running, ExitStack() as opened:
        lines = [opened.enter_context(running.connect()) for _ in range(5)]
        for line in lines[:3]:
            line.sendall(request("/predict"))
        assert eventually(lambda: len(seen) == 3)
        for line in lines[3:]:
            line.sendall(request("/predict", body=b"x" * 1000))
            shed = one_answer(line)
            assert statuses(shed) == [503]
            assert b"retry-after: 1" in shed
            assert b"application/problem+json" in shed
            line.sendall(request("/live"))
            assert statuses(one_answer(line)) == [200]
        assert len(seen) == 5
        let_go.set()
        assert [statuses(one_answer(line)) for line in lines[:3]] == [[200]] * 3
        lines[4].sendall(request("/predict"))
        assert statuses(one_answer(lines[4])) == [200]


def test_who_has_an_answer_may_ask_again_though_the_application_has_not_ended() -> None:
    async def lingers(_: Any, __: Any, send: Any) -> None:
        await answer(send, b"ok")
        await asyncio.sleep(0.2)

    with serving(lingers, make_limits(most_waiting=1)) as running, running.connect() as line:
        for _ in range(5):
            line.sendall(request("/predict"))
            assert statuses(one_answer(line)) == [200]
        assert eventually(lambda: running.guard.answered == 0)


def test_a_server_that_ends_answers_what_is_under_way_and_what_comes_on_idle_connections() -> None:
    limits = make_limits(within={"header": "9s", "idle": "9s"})
    with serving(Echo(), limits) as running, running.connect() as idle, running.connect() as half:
        idle.sendall(request())
        one_answer(idle)
        half.sendall(PART)
        assert eventually(lambda: len(running.guard) == 2)
        running.server.should_exit = True
        assert eventually(lambda: all(line._is_ending for line in running.server.server_state.connections))
        half.sendall(b"content-length: 0\r\n\r\n")
        idle.sendall(request(body=b"ab"))
        for line in (half, idle):
            heard = until_closed(line)
            assert statuses(heard) == [200]
            assert b"connection: close" in heard


async def _in_two(_: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
    await send({"type": "http.response.body", "body": b"half"})


def test_head_and_body_of_an_answer_come_together() -> None:
    with serving(_in_two, Limits()) as running, running.connect() as line:
        for _ in range(50):
            line.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            heard = line.recv(65536)
            assert heard.startswith(b"HTTP/1.1 200")
            assert heard.endswith(b"\r\n\r\nhalf")


def test_an_answer_without_a_body_comes_as_well() -> None:
    with serving(_in_two, Limits()) as running:
        heard = running.exchange(b"HEAD / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    assert heard.startswith(b"HTTP/1.1 200")
    assert heard.endswith(b"\r\n\r\n")
