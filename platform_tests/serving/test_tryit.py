"""The page to try a server by, as a person uses it: in a real browser."""

import base64
import hashlib
import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest

from headrace.serving.contract import Rule, columns_of
from headrace.serving.tryit import Field, field_of
from platform_tests.end_to_end.browser import CHROMIUM, Browser, browsing
from platform_tests.end_to_end.test_browser import asked_of_others, boxes, colours, overlapping, texts
from platform_tests.serving.bar import Running
from platform_tests.serving.shopfront import open_shop

needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: nobody looks at the page")
EVIL = "Will it <script>alert(1)</script><img src=x onerror=alert(2)> come back? \"'>"
FITS = "document.documentElement.scrollWidth <= innerWidth"
CONTRASTS = """[...document.querySelectorAll('h1,h2,p,label,.hint,b,button,li,dt,dd,a,input,pre')].filter(e => e.offsetHeight && e.innerText?.trim()).map(e => {
  const rgb = (t) => t.match(/[\\d.]+/g).map(Number);
  const light = (c) => { const [r, g, b] = c.slice(0, 3).map(v => v / 255).map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  let back = e; while (rgb(getComputedStyle(back).backgroundColor)[3] === 0) back = back.parentElement;
  const a = light(rgb(getComputedStyle(e).color)), b = light(rgb(getComputedStyle(back).backgroundColor));
  return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), e.outerHTML.slice(0, 80)];
}).filter(([contrast]) => contrast < 4.5)"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with open_shop(tmp_path_factory.mktemp("shop"), description=EVIL, owner="a <b>team</b>") as (_, server):
        yield server


@pytest.fixture
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browsing(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


def address(server: Running) -> str:
    return f"http://127.0.0.1:{server.port}/"


def fill(browser: Browser, name: str, value: str) -> None:
    there = f"document.querySelector('[name={name}]')"
    browser.see(f"{there}.value = {json.dumps(value)}; {there}.dispatchEvent(new Event('input', {{bubbles: true}}))")


def send(browser: Browser) -> None:
    before = int(browser.see("document.body.dataset.asked ?? 0"))
    browser.see("document.querySelector('#send').click()")
    browser.until(lambda: int(browser.see("document.body.dataset.asked ?? 0")) > before, "an answer")


def shown(browser: Browser, selector: str) -> str:
    return str(browser.see(f"document.querySelector('{selector}').innerText"))


def test_the_page_may_run_its_own_script_alone(server: Running) -> None:
    reply = server.ask("/")
    page, policy = reply.body.decode(), reply.headers["content-security-policy"]
    assert (reply.status, reply.headers["content-type"]) == (200, "text/html; charset=utf-8")
    [script] = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r'\son\w+="|\sstyle="|https?://', page)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "a &lt;b&gt;team&lt;/b&gt;" in page


@pytest.mark.slow
@needs_browser
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390], ids=["on a desk", "on a phone"])
def test_a_person_asks_and_sees_the_prediction_and_its_reasons(
    server: Running, browser: Browser, width: int, theme: str
) -> None:
    browser.say("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])
    browser.open(address(server), width)
    assert texts(browser, "h1") == ["shop"]
    assert EVIL in texts(browser, "h1 + p")[0]
    assert texts(browser, ".field label") == ["customer", "price", "country", "land", "gift", "order_id", "at"]
    fill(browser, "country", '"PT"')
    fill(browser, "price", "1.5")
    send(browser)

    told = server.ask(
        "/v1/predict", {"customer": "c1", "price": 1.5, "country": "PT", "land": "example", "gift": False}
    ).told
    assert float(shown(browser, "#score")) == pytest.approx(told["prediction"], rel=1e-3)
    facts = dict(zip(texts(browser, "dt"), texts(browser, "dd"), strict=True))
    assert (facts["Release"], facts["Model"]) == (str(told["release"]), told["model"])
    assert re.fullmatch(r"\d+\.\d ms", facts["Round trip"])
    assert shown(browser, "#reasons li:first-child span").startswith(("price = 1.5", "country = PT"))
    bars = boxes(browser, ".track i")
    assert len(bars) == 5
    assert bars[0][2] - bars[0][0] > 40
    assert browser.see("document.querySelector('#problem').hidden && document.querySelector('#hint').hidden")

    assert browser.see(FITS)
    assert overlapping(boxes(browser, ".card, h1")) == []
    assert [box for box in boxes(browser, "input:not([type=checkbox]), select, button") if box[3] - box[1] < 36] == []
    assert browser.see(CONTRASTS) == []
    assert colours(browser.picture()) > 20
    assert (browser.troubles, asked_of_others(browser, address(server))) == ([], [])


@pytest.mark.slow
@needs_browser
def test_an_error_stands_at_the_field_that_it_is_about(server: Running, browser: Browser) -> None:
    browser.open(address(server))
    fill(browser, "customer", "bob")
    fill(browser, "price", "1000")
    send(browser)
    assert shown(browser, "#f0-wrong") == 'Expected a text, that matches c[0-9]{1,3}, got "bob".'
    assert shown(browser, "#f1-wrong") == "Expected a number, at least -100, at most 100, or null, got 1000."
    assert shown(browser, "#problem-title") == "The request breaks the contract"
    assert browser.see("[...document.querySelectorAll('[aria-invalid]')].map(e => e.name)") == ["customer", "price"]
    assert browser.see("document.activeElement.name") == "customer"
    assert browser.see("document.querySelector('#answer').hidden")
    assert browser.see(CONTRASTS) == []

    fill(browser, "customer", "c2")
    fill(browser, "price", "")
    send(browser)
    assert browser.see("document.querySelectorAll('[aria-invalid]').length") == 0
    assert float(shown(browser, "#score")) > 0


@pytest.mark.slow
@needs_browser
def test_the_command_that_is_shown_gives_the_answer_that_is_shown(server: Running, browser: Browser) -> None:
    browser.open(address(server))
    fill(browser, "land", "it's <b> $HOME")
    fill(browser, "at", "2026-05-31T12:00:30")
    fill(browser, "order_id", "o 1")
    send(browser)
    command = shown(browser, "#command")
    words = shlex.split(command)
    assert json.loads(words[-1]) == {
        "customer": "c1", "price": 0, "country": "DE", "land": "it's <b> $HOME", "gift": False, "order_id": "o 1",
        "at": "2026-05-31T12:00:30Z",
    }  # fmt: skip
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert f"{json.loads(done.stdout)['prediction']:.4g}" == f"{float(shown(browser, '#score')):.4g}"


@pytest.mark.slow
@needs_browser
def test_a_key_is_sent_and_neither_shown_nor_stored(server: Running, browser: Browser) -> None:
    browser.open(address(server))
    browser.see(
        "window.sent = []; const plain = fetch; window.fetch = (path, how) => { sent.push(how.headers); return plain(path, how) }"
    )
    browser.see(
        "document.querySelector('#key').value = 'hk-secret'; document.querySelector('#key').dispatchEvent(new Event('input', {bubbles: true}))"
    )
    send(browser)
    assert browser.see("sent.map(h => h.authorization)") == ["Bearer hk-secret"] * 2
    assert "hk-secret" not in browser.see("document.documentElement.outerHTML")
    assert "$HEADRACE_KEY" in shown(browser, "#command")
    assert browser.see("localStorage.length + sessionStorage.length + document.cookie.length") == 0
    browser.open(address(server))
    assert browser.see("document.querySelector('#key').value") == ""


@pytest.mark.slow
@needs_browser
def test_every_field_has_a_label_and_what_describes_it(server: Running, browser: Browser) -> None:
    browser.open(address(server))
    assert (
        browser.see("[...document.querySelectorAll('input, select')].filter(e => !e.labels.length).map(e => e.id)")
        == []
    )
    described = "[...document.querySelectorAll('[aria-describedby]')].flatMap(e => e.getAttribute('aria-describedby').split(' '))"
    assert browser.see(f"{described}.filter(id => !document.getElementById(id))") == []


def field(kind: pa.DataType, row: Any = None, **rule: Any) -> Field:
    requests = pa.schema([("x", kind)])
    [column] = columns_of(requests, {"x": Rule(**{"nullable": False} | rule)}, (None, None))
    return field_of("f0", column, {} if row is None else {"x": row}, {})


@pytest.mark.parametrize(
    ("kind", "rule", "expected"),
    [
        (pa.string(), {}, ("text", "text", "", True)),
        (pa.string(), {"nullable": True}, ("text", "text", "", False)),
        (pa.float64(), {"min": -1}, ("number", "number", "any", True)),
        (pa.int32(), {}, ("number", "number", "1", True)),
        (pa.timestamp("us", "UTC"), {}, ("datetime-local", "instant", "1", True)),
        (pa.timestamp("us"), {}, ("datetime-local", "text", "1", True)),
        (pa.date32(), {}, ("date", "text", "", True)),
        (pa.time64("us"), {}, ("time", "text", "1", True)),
        (pa.bool_(), {}, ("text", "tick", "", True)),
        (pa.decimal128(9, 2), {}, ("text", "text", "", True)),
    ],
)
def test_each_type_has_its_field(kind: pa.DataType, rule: Any, expected: Any) -> None:
    made = field(kind, **rule)
    assert (made.type, made.kind, made.step, made.required) == expected
    assert made.options is None


def test_listed_values_and_a_boolean_that_may_miss_are_chosen_from() -> None:
    assert field(pa.string(), one_of=["DE", '"<']).options == [('"DE"', "DE"), ('"\\"<"', '"<')]
    assert field(pa.float64(), one_of=[1, 2.5]).options == [("1", "1"), ("2.5", "2.5")]
    assert field(pa.bool_(), nullable=True).options == [("true", "yes"), ("false", "no")]


def test_what_stands_in_a_field_at_first_is_the_example() -> None:
    assert field(pa.string(), "DE", one_of=["DE"]).value == '"DE"'
    assert field(pa.timestamp("us", "UTC"), "2024-05-31T12:00:00+00:00").value == "2024-05-31T12:00:00"
    assert field(pa.float64(), 0.0).value == "0"
    assert field(pa.float64(), 1234567.5).value == "1234567.5"
    assert field(pa.bool_(), False).value == "false"
