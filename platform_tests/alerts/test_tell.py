"""Alerts over real connections: what arrives, what waits, and what is never said."""

import json
import logging
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from headrace.alerts import channels
from headrace.alerts.channels import Post, deliver
from headrace.alerts.declaration import Alert
from headrace.alerts.notice import due
from headrace.alerts.outbox import Outbox, Waiting
from headrace.alerts.tell import tell, tell_trial, waiting
from headrace.core.declaration import Identity
from headrace.core.errors import DeclarationError
from headrace.core.place import Place
from headrace.incidents.incident import Moment
from headrace.incidents.note import Alarm, close, incidents, note_alarm
from headrace.store.site import Site
from platform_tests.alerts.listeners import http_server, mail_server

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
PNG = bytes.fromhex("89504e470d0a1a0a") + b"a picture"
CANARY = "c4n4ry-5ecret"


def site_at(folder: Path, **environment: str) -> Site:
    return Site(Identity(product="shop"), folder, Place.at(folder), environment)


def alert(**said: Any) -> Alert:
    return Alert.model_validate(said)


def wrong(site: Site, of: str = "a", what: str = "PSI of price is 3") -> None:
    note_alarm(site, Alarm("drift", of, what, Moment(NOW, NOW), f"check {of}", picture=PNG), lambda _: ())


def at(seconds: float) -> datetime:
    return NOW + seconds * SECOND


def test_a_webhook_is_told_once_with_an_idempotency_key_and_the_picture(tmp_path: Path) -> None:
    with http_server() as server:
        site, hook = site_at(tmp_path, HOOK=f"{server.address}/x"), alert(webhook="env:HOOK")
        wrong(site)
        tell(site, [hook], NOW)
        tell(site, [hook], at(60))
        [body] = server.bodies
        assert (body["event"], body["kind"], body["title"]) == ("opened", "drift", "[shop] drift: PSI of price is 3")
        assert server.headers[0]["Idempotency-Key"] == body["id"]
        assert body["picture_png"]


def test_slack_is_told_in_its_own_words(tmp_path: Path) -> None:
    with http_server() as server:
        site, slack = site_at(tmp_path, SLACK=f"{server.address}/services/T/B/x"), alert(slack="env:SLACK")
        wrong(site, what="a <b> & c")
        tell(site, [slack], NOW)
        [body] = server.bodies
        assert body["text"] == "[shop] drift: a <b> & c"
        assert "*[shop] drift: a &lt;b&gt; &amp; c*" in body["blocks"][0]["text"]["text"]


def test_pagerduty_gets_one_key_an_incident_and_is_told_when_it_is_over(tmp_path: Path) -> None:
    with http_server() as server:
        site = site_at(tmp_path, KEY=CANARY)
        duty = alert(pagerduty={"key": "env:KEY", "address": server.address})
        wrong(site)
        tell(site, [duty], NOW)
        close(site, 1, "cents", "ada", NOW)
        tell(site, [duty], at(60))
        first, last = server.bodies
        assert (first["event_action"], last["event_action"]) == ("trigger", "resolve")
        assert first["dedup_key"] == last["dedup_key"]
        assert first["routing_key"] == CANARY


def test_people_get_a_mail_with_the_picture_in_one_thread(tmp_path: Path) -> None:
    with mail_server() as server:
        site = site_at(tmp_path, SMTP_URL=server.address)
        mail = alert(email={"to": ["ada@example.com", "bob@example.com"]})
        wrong(site)
        tell(site, [mail], NOW)
        close(site, 1, "cents", "ada", NOW)
        tell(site, [mail], at(60))
        first, last = server.mails
        assert first["Subject"] == "[shop] drift: PSI of price is 3"
        assert first["To"] == "ada@example.com, bob@example.com"
        assert [part.get_content() for part in first.iter_attachments()] == [PNG]
        assert first["References"] == last["References"]
        assert first["Message-ID"] != last["Message-ID"]


def test_the_folder_holds_a_file_a_notice_and_the_log_a_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    site = site_at(tmp_path)
    wrong(site)
    with caplog.at_level(logging.WARNING, "headrace.alerts"):
        tell(site, [alert(folder="local")], NOW)
    [file] = (site.place.home / "alerts" / "shop" / "local").glob("*.json")
    assert json.loads(file.read_text())["text"].startswith("Since 2026-03-01 12:00 UTC, 1 alarm.")
    assert file.with_suffix(".png").read_bytes() == PNG
    assert "[shop] drift: PSI of price is 3" in caplog.text


@pytest.mark.parametrize("answers", [(500,), (503, 404), (302,)])
def test_what_a_server_does_not_take_is_tried_again_later_and_later(tmp_path: Path, answers: tuple[int, ...]) -> None:
    with http_server(*answers) as server:
        site, hook = site_at(tmp_path, HOOK=server.address), alert(webhook="env:HOOK")
        wrong(site)
        tell(site, [hook], NOW)
        [late] = waiting(site)
        assert late.error == f"127.0.0.1 answered {answers[0]}."
        assert tell(site, [hook], at(29)) == []
        seconds = 30.0
        for n in range(1, len(answers) + 1):
            tell(site, [hook], at(seconds))
            seconds += 30.0 * 2**n
        assert len(server.bodies) == 1
        assert waiting(site) == []


def test_a_server_that_asks_for_patience_gets_it(tmp_path: Path) -> None:
    with http_server(429) as server:
        site, hook = site_at(tmp_path, HOOK=server.address), alert(webhook="env:HOOK")
        wrong(site)
        tell(site, [hook], NOW)
        assert tell(site, [hook], at(599)) == []
        [sent] = tell(site, [hook], at(600))
        assert sent.sent


def test_a_server_that_never_answers_is_left_after_a_time(tmp_path: Path) -> None:
    with http_server(0) as server:
        site, hook = site_at(tmp_path), alert(webhook="env:HOOK")
        outbox = Outbox(site)
        wrong(site)
        [notice] = due(site.product, hook, incidents(site), {}, NOW)
        outbox.put(hook, notice, NOW)

        def patient(alert: Alert, post: Post) -> None:
            deliver(alert, post, {"HOOK": server.address}, tmp_path, timeout_s=0.2)

        [late] = outbox.send([hook], patient, NOW)
        assert "timed out" in late.error
        [sent] = outbox.send([hook], patient, at(30))
        assert sent.sent
        assert len(server.bodies) == 1


def test_a_mail_server_that_is_busy_or_away_is_asked_again(tmp_path: Path) -> None:
    with mail_server("451 try later") as server:
        site, mail = site_at(tmp_path, SMTP_URL=server.address), alert(email={"to": ["ada@example.com"]})
        wrong(site)
        [late] = tell(site, [mail], NOW)
        assert "try later" in late.error
        tell(site, [mail], at(30))
        assert len(server.mails) == 1
    wrong(site, "b")
    [late] = tell(site, [mail], at(60))
    assert "127.0.0.1 did not take the mail: " in late.error


def test_notices_of_a_channel_come_in_order_and_who_is_away_is_asked_once_a_look(tmp_path: Path) -> None:
    with http_server(500) as server, http_server() as other:
        site = site_at(tmp_path, HOOK=server.address, OTHER=other.address)
        hooks = [alert(webhook="env:HOOK"), alert(webhook="env:OTHER")]
        for number, of in enumerate("abc"):
            wrong(site, of, f"number {number}")
        tell(site, hooks, NOW)
        assert (len(server.answers), len(server.bodies), len(other.bodies)) == (0, 0, 3)
        tell(site, hooks, at(30))
        assert [body["incident"] for body in server.bodies] == [1, 2, 3]


def test_a_secret_that_is_not_set_or_is_no_address_waits_with_words(tmp_path: Path) -> None:
    site = site_at(tmp_path, HOOK="not an address")
    wrong(site)
    tried = tell(site, [alert(webhook="env:NOBODY"), alert(webhook="env:HOOK")], NOW)
    assert "NOBODY is not set" in tried[0].error
    assert "must hold an address" in tried[1].error
    with pytest.raises(DeclarationError):
        tell_trial(site, alert(webhook="env:NOBODY"), NOW)


def test_a_password_is_not_sent_without_tls_to_another_machine() -> None:
    place = channels.urlsplit(f"smtp://ada:{CANARY}@127.0.0.1:1")
    assert CANARY not in channels._hidden(f"535 {CANARY} is wrong", place)


def files_with(folder: Path, text: str) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


def test_no_secret_stands_in_any_file_log_or_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secrets = {name: f"{CANARY}-{name}" for name in ("HOOK", "SLACK", "SMTP", "KEY")}
    with http_server(500, 500, 500) as server, mail_server("554 no") as mails:
        place, secret = server.address.removeprefix("http://"), secrets["HOOK"]
        port = mails.address.rpartition(":")[2]
        environment = {
            "HOOK": f"http://ada:{secret}@{place}/{secret}?key={secret}",
            "SLACK": f"{server.address}/services/{secrets['SLACK']}",
            "SMTP": f"smtp://ada:{secrets['SMTP']}@127.0.0.1:{port}",
            "KEY": secrets["KEY"],
        }
        site = site_at(tmp_path, **environment)
        said = [
            alert(webhook="env:HOOK"),
            alert(slack="env:SLACK"),
            alert(pagerduty={"key": "env:KEY", "address": server.address}),
            alert(email={"to": ["ada@example.com"], "server": "env:SMTP"}),
        ]
        wrong(site)
        tried = tell(site, said, NOW)
        assert len(tried) == 4
        assert not any(one.sent for one in tried)
        tell(site, said, at(30))
        assert files_with(tmp_path, CANARY) == []
        assert CANARY not in caplog.text
        assert CANARY not in repr(said) + repr(site)


def test_a_secret_of_the_declaration_that_an_error_quotes_does_not_reach_the_incident(tmp_path: Path) -> None:
    class Declared(Identity):
        source: dict[str, list[str]]

    product = Declared(product="shop", source={"orders": ["env:DATABASE"]})
    site = Site(product, tmp_path, Place.at(tmp_path), {"DATABASE": f"postgres://{CANARY}@db/shop"})
    wrong(site, what=f"could not connect to postgres://{CANARY}@db/shop: refused")
    tell(site, [alert(folder="local")], NOW)
    assert files_with(tmp_path, CANARY) == []
    assert len(files_with(tmp_path, "could not connect to [secret]: refused")) >= 2


_TELL = """
import sys
from pathlib import Path
sys.path[:0] = {paths!r}
from platform_tests.alerts.test_tell import NOW, alert, site_at
from headrace.alerts.tell import tell
tell(site_at(Path(sys.argv[1]), HOOK=sys.argv[2]), [alert(webhook="env:HOOK")], NOW)
"""


def telling(folder: Path, address: str, **environment: str) -> "subprocess.Popen[bytes]":
    code = _TELL.format(paths=[str(ROOT), str(ROOT / "platform")])
    command = [sys.executable, "-c", code, str(folder), address]
    return subprocess.Popen(command, env={**os.environ, **environment})


@pytest.mark.slow
@pytest.mark.parametrize(("point", "times"), [("notice_put:1", 1), ("notice_put:2", 1), ("notice_delivered:1", 2)])
def test_whoever_is_killed_loses_nothing_and_what_comes_twice_has_one_key(
    tmp_path: Path, point: str, times: int
) -> None:
    site = site_at(tmp_path)
    wrong(site, "a")
    wrong(site, "b")
    with http_server() as server:
        assert telling(tmp_path, server.address, FAILPOINT=point).wait(120) == -signal.SIGKILL
        assert telling(tmp_path, server.address).wait(120) == 0
        keys = [headers["Idempotency-Key"] for headers in server.headers]
        assert len(set(keys)) == 2
        assert len(keys) == 1 + times
    assert waiting(site) == []


@pytest.mark.slow
def test_of_many_that_tell_at_once_each_notice_is_sent_once(tmp_path: Path) -> None:
    site = site_at(tmp_path)
    for of in "abcd":
        wrong(site, of)
    with http_server() as server:
        together = [telling(tmp_path, server.address) for _ in range(4)]
        assert [process.wait(120) for process in together] == [0] * 4
        assert len(server.bodies) == 4


def test_what_was_sent_long_ago_of_what_is_over_is_forgotten(tmp_path: Path) -> None:
    site, here = site_at(tmp_path), alert(folder="local", repeat=None)
    wrong(site)
    wrong(site, "b")
    tell(site, [here], NOW)
    close(site, 1, "cents", "ada", NOW)
    tell(site, [here], at(60))
    tell(site, [here], NOW + timedelta(days=31))
    kept: list[Waiting] = Outbox(site).all()
    assert [one.incident for one in kept] == [2]
