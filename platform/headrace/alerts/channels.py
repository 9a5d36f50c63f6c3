"""Channels: how a notice reaches somebody. Each delivers once, or raises NotDelivered; the same notice may come again.

Small posts of our own, by the standard library: an idempotency key, PagerDuty's deduplication and the order of tries are ours
to say. Addresses are secrets (a Slack webhook is one): no error and no log quotes one.
"""

import base64
import json
import logging
import smtplib
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.message import EmailMessage, Message
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from headrace.alerts.declaration import Alert, Mail
from headrace.alerts.notice import Notice, facts
from headrace.core.errors import DeclarationError, StoreError
from headrace.core.secrets import looked_up, without
from headrace.store.publish import publish

TIMEOUT_S = 10.0
MOST_SLACK = 2900
"""Characters that one section of a Slack message holds, and some to spare."""
LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
log = logging.getLogger("headrace.alerts")


class NotDelivered(StoreError):
    """A channel that did not take a notice; `wait_s` is what it asked for until the next try."""

    def __init__(self, text: str, wait_s: float = 0.0) -> None:
        super().__init__(text)
        self.wait_s = wait_s


@dataclass(frozen=True)
class Post:
    """A notice on its way, as it was when it was put into the outbox."""

    facts: Mapping[str, Any]
    """What `notice.facts` said of it."""
    picture: Path | None = None


def post_of(notice: Notice, picture: Path | None) -> Post:
    """Return a notice ready for any channel."""
    return Post(facts(notice), picture)


def deliver(
    alert: Alert, post: Post, environment: Mapping[str, str], folder: Path, timeout_s: float = TIMEOUT_S
) -> None:
    """Hand a notice to an alert's channel; raises NotDelivered where it was not taken, DeclarationError for a secret that is not set.

    `folder` is where notices of the channel `folder` go; `timeout_s` how long a server may say nothing.
    """
    if alert.slack:
        _post(looked_up(alert.slack, environment), _slack(post), post, timeout_s)
    elif alert.webhook:
        _post(looked_up(alert.webhook, environment), _webhook(post), post, timeout_s)
    elif alert.pagerduty:
        _post(alert.pagerduty.address, _pagerduty(post, looked_up(alert.pagerduty.key, environment)), post, timeout_s)
    elif alert.email:
        _mail(alert.email, post, looked_up(alert.email.server, environment), timeout_s)
    else:
        _write(post, folder / str(alert.folder))


def _slack(post: Post) -> dict[str, Any]:
    told = post.facts
    text = f"*{_escaped(told['title'])}*\n{_escaped(told['text'])}"
    return {
        "text": told["title"],
        "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": text[:MOST_SLACK]}}],
    }


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _webhook(post: Post) -> dict[str, Any]:
    picture = {"picture_png": base64.b64encode(post.picture.read_bytes()).decode()} if post.picture else {}
    return {**post.facts, **picture}


def _pagerduty(post: Post, key: str) -> dict[str, Any]:
    """Return an event of PagerDuty's Events API v2: all events of an incident have one deduplication key."""
    told = post.facts
    known = {name: told[name] for name in ("text", "cause", "alarms", "incident", "opened")}
    return {
        "routing_key": key,
        "event_action": "resolve" if told["event"] == "recovered" else "trigger",
        "dedup_key": told["thread"],
        "client": "Headrace",
        "payload": {
            "summary": told["title"][:1024],
            "source": told["product"],
            "severity": "info" if told["event"] in ("over", "test") else "error",
            "class": told["kind"],
            "timestamp": told["opened"],
            "custom_details": known,
        },
        "links": [{"href": told["runbook"], "text": "What to do"}] if "://" in told["runbook"] else [],
    }


class _NoRedirect(HTTPRedirectHandler):
    """Follows nobody elsewhere: what is posted, and to where, is a secret."""

    def redirect_request(self, *_: object) -> None:
        """Return nothing: a redirect is an answer that is no success."""


def _post(address: str, body: Mapping[str, Any], post: Post, timeout_s: float) -> None:
    place = urlsplit(address)
    if place.scheme not in ("http", "https") or not place.hostname:
        raise DeclarationError("The environment variable of a webhook must hold an address: https://host/path")
    headers = {"Content-Type": "application/json", "User-Agent": "headrace", "Idempotency-Key": post.facts["id"]}
    if place.username:
        pair = f"{unquote(place.username)}:{unquote(place.password or '')}"
        headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    target = place._replace(netloc=place.netloc.rpartition("@")[2]).geturl()
    request = Request(target, json.dumps(body).encode(), headers, method="POST")  # noqa: S310  its scheme is held above
    host = place.hostname
    try:
        with build_opener(_NoRedirect).open(request, timeout=timeout_s) as answer:
            answer.read(1)
    except HTTPError as error:
        error.close()
        raise NotDelivered(f"{host} answered {error.code}.", _asked_for(error.headers)) from None
    except (URLError, HTTPException, OSError) as error:
        reason = error.reason if isinstance(error, URLError) else error
        raise NotDelivered(f"{host} does not answer: {_hidden(str(reason) or type(error).__name__, place)}") from None


def _asked_for(headers: Message) -> float:
    asked = headers.get("Retry-After", "")
    return min(float(asked), 3600.0) if asked.isdigit() else 0.0


def _hidden(text: str, place: SplitResult) -> str:
    parts = [place.geturl(), place.path, place.query, place.password or "", place.username or ""]
    return without(text, [part for part in parts if len(part) > 1])


def _mail(mail: Mail, post: Post, server: str, timeout_s: float) -> None:
    place = urlsplit(server)
    if place.scheme not in ("smtp", "smtps") or not place.hostname:
        raise DeclarationError(f"{mail.server} must hold a mail server: smtp://user:password@host:587")
    message = _message(mail, post)
    try:
        with _connected(place, timeout_s) as smtp:
            if place.username:
                smtp.login(unquote(place.username), unquote(place.password or ""))
            refused = smtp.send_message(message)
    except (smtplib.SMTPException, OSError) as error:
        words = _hidden(str(error) or type(error).__name__, place)
        raise NotDelivered(f"{place.hostname} did not take the mail: {words}") from None
    if refused:
        log.warning("%s did not take the mail for %s", place.hostname, ", ".join(refused))


def _connected(place: SplitResult, timeout_s: float) -> smtplib.SMTP:
    host, context = place.hostname or "", ssl.create_default_context()
    if place.scheme == "smtps":
        return smtplib.SMTP_SSL(host, place.port or 465, timeout=timeout_s, context=context)
    smtp = smtplib.SMTP(host, place.port or 587, timeout=timeout_s)
    smtp.ehlo()
    if smtp.has_extn("starttls"):
        smtp.starttls(context=context)
        smtp.ehlo()
    elif place.username and host not in LOCAL:
        smtp.close()
        raise NotDelivered(f"{host} offers no TLS, and a password is not sent without.")
    return smtp


def _message(mail: Mail, post: Post) -> EmailMessage:
    told, domain = post.facts, mail.sender.rpartition("@")[2]
    message = EmailMessage()
    message["Subject"] = told["title"][:200]
    message["From"], message["To"] = mail.sender, ", ".join(mail.to)
    message["Message-ID"] = f"<{told['id']}@{domain}>"
    message["References"] = f"<{told['thread']}@{domain}>"
    message.set_content(f"{told['title']}\n\n{told['text']}\n")
    if post.picture:
        message.add_attachment(post.picture.read_bytes(), "image", "png", filename="alarm.png")
    return message


def _write(post: Post, folder: Path) -> None:
    name = f"{post.facts['id']}"
    lost = "the notice was not written"
    if post.picture:
        publish(folder / f"{name}.png", post.picture.read_bytes(), lost)
    publish(folder / f"{name}.json", json.dumps(dict(post.facts), indent=1).encode(), lost)
    log.warning("%s (%s)", post.facts["title"], folder / f"{name}.json")


Deliver = Callable[[Alert, Post], None]
"""`deliver` at a site."""
