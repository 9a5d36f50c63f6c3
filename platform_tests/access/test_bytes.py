"""Whatever bytes a request is made of: nobody is let in, nothing breaks."""

import asyncio
import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.access.admission import Admission, Open, Rule
from headrace.access.declaration import Limits
from headrace.access.keys import Keys
from headrace.access.limits import Limiter
from headrace.access.problem import status_of
from headrace.access.request import path_of
from platform_tests.access.busy import busy_server
from platform_tests.access.server import request

MUTATIONS = 100_000
AT_ONCE = 100
GENEROUS = Limits.model_validate(
    {
        "per_key": None,
        "per_address": None,
        "most_waiting": 1000,
        "most_connections": 5000,
        "within": {"header": "2s", "body": "2s", "answer": "60s", "idle": "2s"},
    }
)
WORDS = [
    *(
        b"\r\n",
        b"\n",
        b"\0",
        b"\r\n\r\n",
        b" ",
        b":",
        b"\xff\xfe",
        b"%00",
        b"%2e%2e/",
        b"99999999999999999999",
        b"-1",
        b"0",
    ),
    *(b"Transfer-Encoding: chunked\r\n", b"Content-Length: 3\r\n", b"Expect: 100-continue\r\n", b"Authorization: \r\n"),
    *(
        b"Upgrade: h2c\r\nConnection: Upgrade\r\n",
        b"HTTP/1.0",
        b"CONNECT ",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"ffffffffffff\r\n",
    ),
]


class Rules:
    """Rules with a key that nobody knows, made once."""

    made: Admission | None = None

    @classmethod
    def of(cls, folders: pytest.TempPathFactory) -> Admission:
        if cls.made is None:
            keys = Keys(folders.mktemp("keys") / "shop.json")
            keys.create("mobile", ["predict"], datetime.now(UTC), None)
            cls.made = Admission({"/predict": Rule(keys, "predict"), "/live": Open()}, Limiter(GENEROUS))
        return cls.made


@settings(max_examples=500)
@given(
    path=st.one_of(st.text(max_size=30), st.just("/predict")),
    headers=st.lists(st.tuples(st.sampled_from([b"authorization", b"host", b""]), st.binary(max_size=60)), max_size=4),
    address=st.text(max_size=40),
)
def test_no_path_header_or_address_whatever_raises_or_is_let_in(
    tmp_path_factory: pytest.TempPathFactory, path: str, headers: list[tuple[bytes, bytes]], address: str
) -> None:
    refusal = Rules.of(tmp_path_factory)(path, headers, address)
    assert path == "/live" or (refusal is not None and status_of(refusal) in (401, 403))


@settings(max_examples=500)
@given(url=st.binary(max_size=60))
def test_no_url_whatever_raises(url: bytes) -> None:
    assert path_of(url) is None or isinstance(path_of(url), str)


def requests_of(key: str) -> list[bytes]:
    """Return requests that are in order, of each framing and with and without a key."""
    chunked = (
        f"POST /predict HTTP/1.1\r\nhost: x\r\nauthorization: {key}\r\ntransfer-encoding: chunked\r\n\r\n".encode()
    )
    return [
        request("/predict", body=b'{"rows": [{"distance": 733.0, "origin": "EWR"}]}', authorization=key),
        request("/predict", body=b"x" * 300),
        request("/live?a=b", method="GET", accept="*/*", connection="keep-alive"),
        request("/predict", body=b"abc", authorization=key, expect="100-continue"),
        chunked + b"5\r\nhello\r\n6;ext=1\r\n world\r\n0\r\nx-trailer: 1\r\n\r\n",
        request("/live", method="GET") + request("/predict", body=b"{}", authorization=key),
    ]


def mutations(requests: list[bytes], count: int) -> Iterator[bytes]:
    random = Random(20240701)
    for _ in range(count):
        data = bytearray(random.choice(requests))
        for _ in range(random.choice([1, 1, 1, 2, 5])):
            mutate(data, random)
        yield bytes(data)


def mutate(data: bytearray, random: Random) -> None:
    place = random.randrange(len(data) + 1)
    kind = random.randrange(6)
    if kind == 0 and place < len(data):
        data[place] ^= 1 << random.randrange(8)
    elif kind == 1 and place < len(data):
        data[place] = random.randrange(256)
    elif kind == 2:
        del data[place : place + random.randrange(1, 30)]
        data += b"" if data else b"G"
    elif kind == 3:
        data[place:place] = random.randbytes(random.randrange(1, 20))
    elif kind == 4:
        data[place:place] = random.choice(WORDS)
    else:
        data[place:place] = data[place : place + random.randrange(1, 60)]


async def statuses_of(port: int, datas: Iterator[bytes]) -> Counter[str]:
    """Send each on a connection of its own, and count what is answered; what is no whole request is ended by us."""
    heard: Counter[str] = Counter()

    async def send() -> None:
        for data in datas:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(data)
            try:
                answer = await asyncio.wait_for(reader.read(4096), 0.05)
            except TimeoutError:
                answer = b""
            except ConnectionResetError:
                answer = b"reset"
            heard.update(re.findall(r"HTTP/1\.1 (\d{3})", answer.decode("latin-1")) or [f"nothing: {answer[:5]!r}"])
            writer.transport.abort()

    await asyncio.gather(*(send() for _ in range(AT_ONCE)))
    return heard


@pytest.mark.slow
def test_100_000_mutations_of_requests_meet_no_5xx_no_traceback_and_no_dead_worker(tmp_path: Path) -> None:
    keys = Keys(tmp_path / "keys" / "shop.json")
    key = "Bearer " + keys.create("mobile", ["predict"], datetime.now(UTC), None).text
    log = tmp_path / "log"
    with log.open("wb") as said, busy_server(0, GENEROUS, str(tmp_path / "keys" / "shop.json"), said) as (_, port):
        heard = uvloop.run(statuses_of(port, mutations(requests_of(key), MUTATIONS)))
        after = uvloop.run(statuses_of(port, iter(requests_of(key)[:3])))
    print(sorted(heard.items()))  # noqa: T201
    assert after == {"200": 2, "401": 1}
    assert heard.total() >= MUTATIONS
    assert {status for status in heard if status[0] in "123456789"} <= {
        "100",
        "200",
        "400",
        "401",
        "403",
        "408",
        "413",
        "431",
    }
    assert heard["200"] > 1000
    assert heard["400"] > 1000
    assert log.read_text() == ""
