"""Keys, limits and rules together, asked over HTTP of a real server."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from headrace.access.admission import Admission, Open, Rule
from headrace.access.declaration import Limits
from headrace.access.keys import Keys
from headrace.access.limits import Limiter
from platform_tests.access.server import Echo, Running, one_answer, request, serving, statuses
from platform_tests.waiting import eventually

GENEROUS = Limits(per_key=10_000.0, per_address=None, burst=1000)
ROUTES = ("/predict", "/explain", "/metrics", "/live", "/new")
METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD")


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path / "keys" / "shop.json")


@pytest.fixture
def echo() -> Echo:
    return Echo()


def admission(keys: Keys, limits: Limits) -> Admission:
    rules = {"/predict": Rule(keys, "predict"), "/explain": Rule(keys, "explain"), "/metrics": Rule(keys, "metrics")}
    return Admission({**rules, "/live": Open()}, Limiter(limits))


@pytest.fixture
def running(keys: Keys, echo: Echo) -> Iterator[Running]:
    admit = admission(keys, GENEROUS)
    with serving(echo, GENEROUS, admit, unshed=admit.open_paths) as running:
        yield running


def make_key(keys: Keys, *scopes: str, lasts: timedelta = timedelta(hours=1)) -> str:
    now = datetime.now(UTC)
    return f"Bearer {keys.create('mobile', scopes, now, now + lasts).text}"


def asked(running: Running, path: str, authorization: str = "", method: str = "GET") -> bytes:
    headers = {"authorization": authorization} if authorization else {}
    return running.exchange(request(path, method=method, connection="close", **headers))


def code_of(answer: bytes) -> str:
    return str(json.loads(answer.partition(b"\r\n\r\n")[2])["code"])


def test_without_a_key_every_method_of_every_path_is_denied_but_for_the_open_one(running: Running, echo: Echo) -> None:
    answers = {(path, method): statuses(asked(running, path, method=method)) for path in ROUTES for method in METHODS}
    expected = {"/live": [200], "/new": [403]}
    assert answers == {(path, method): expected.get(path, [401]) for path in ROUTES for method in METHODS}
    assert set(echo.seen) == {"/live"}


def test_a_new_path_without_a_rule_is_denied_to_every_key(running: Running, keys: Keys, echo: Echo) -> None:
    key = make_key(keys, "predict", "explain", "metrics")
    assert eventually(lambda: statuses(asked(running, "/predict", key)) == [200])
    assert code_of(asked(running, "/new", key)) == "no_rule"
    assert set(echo.seen) == {"/predict"}


def test_a_key_is_let_in_to_the_paths_of_its_scopes(running: Running, keys: Keys) -> None:
    key = make_key(keys, "predict")
    assert eventually(lambda: statuses(asked(running, "/predict", key)) == [200])
    denied = asked(running, "/explain", key)
    assert statuses(denied) == [403]
    assert code_of(denied) == "scope_missing"


def test_a_missing_and_a_wrong_key_are_told_which_scheme_to_use(running: Running) -> None:
    for authorization in ("", "Bearer hr_nonsense", "Basic eDp5"):
        denied = asked(running, "/predict", authorization)
        assert statuses(denied) == [401]
        assert b"\r\nwww-authenticate: Bearer\r\n" in denied


def test_two_authorization_headers_are_denied(running: Running, keys: Keys) -> None:
    key = make_key(keys, "predict")
    assert eventually(lambda: statuses(asked(running, "/predict", key)) == [200])
    twice = f"GET /predict HTTP/1.1\r\nauthorization: {key}\r\nauthorization: {key}\r\nconnection: close\r\n\r\n"
    assert statuses(running.exchange(twice.encode())) == [401]


def test_a_key_that_is_revoked_while_its_connection_is_open_is_denied_on_it(running: Running, keys: Keys) -> None:
    key = make_key(keys, "predict")
    assert eventually(lambda: statuses(asked(running, "/predict", key)) == [200])
    with running.connect() as line:
        keys.revoke(key.split("_")[1], datetime.now(UTC))

        def is_denied() -> bool:
            line.sendall(request("/predict", authorization=key))
            heard = one_answer(line)
            return statuses(heard) == [401] and code_of(heard) == "key_revoked"

        assert eventually(is_denied, within_s=2.0)


def test_a_key_that_asks_too_often_is_told_when_to_come_again(keys: Keys, echo: Echo) -> None:
    key, other = make_key(keys, "predict"), keys.create("other", ["predict"], datetime.now(UTC), None).text
    limits = Limits(per_key=1 / 60, per_address=None, burst=3)
    with serving(echo, limits, admission(keys, limits)) as running:
        answers = [asked(running, "/predict", key) for _ in range(5)]
        assert [statuses(answer) for answer in answers] == [[200]] * 3 + [[429]] * 2
        assert b"\r\nretry-after: 60\r\n" in answers[-1]
        assert code_of(answers[-1]) == "too_many_of_key"
        assert statuses(asked(running, "/predict", f"Bearer {other}")) == [200]
    assert len(echo.seen) == 4


def test_keys_cannot_be_tried_out_faster_than_an_address_may_ask(keys: Keys, echo: Echo) -> None:
    limits = Limits(per_address=1 / 60, burst=3)
    with serving(echo, limits, admission(keys, limits)) as running:
        tried = [statuses(asked(running, "/predict", f"Bearer hr_{n:012d}_{'A' * 43}")) for n in range(6)]
        assert tried == [[401]] * 3 + [[429]] * 3
        assert statuses(asked(running, "/live")) == [200]


def test_no_key_is_shown_in_an_answer_or_the_log(
    running: Running, keys: Keys, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    key = make_key(keys, "metrics")
    for authorization in (key, f"{key[:-1]}~", key.replace("Bearer", "Basic")):
        heard = asked(running, "/predict", authorization)
        assert key[-43:-1].encode() not in heard
    assert key[-43:-1] not in caplog.text
