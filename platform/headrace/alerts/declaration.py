"""What a user may say about alerts."""

import re
from datetime import time, timedelta
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, PlainSerializer, model_validator

from headrace.core.declaration import Declaration
from headrace.core.names import Duration, Name
from headrace.core.secrets import EnvReference
from headrace.incidents.kinds import KINDS, Kind

PAGERDUTY = "https://events.pagerduty.com/v2/enqueue"
CHANNELS = ("slack", "email", "pagerduty", "webhook", "folder")


class Quiet(Declaration):
    """Hours in which nobody is told."""

    begins: time
    """From when on, in the product's time zone."""
    ends: time
    """Until when, the next day if that is earlier."""

    def __str__(self) -> str:
        return f"{self.begins:%H:%M}-{self.ends:%H:%M}"


def parse_quiet(text: Any) -> Any:
    """Return the hours that a text such as "22:00-07:00" says."""
    if not isinstance(text, str):
        return text
    found = re.fullmatch(r"(([01]\d|2[0-3]):[0-5]\d)\s*-\s*(([01]\d|2[0-3]):[0-5]\d)", text.strip())
    if not found or found[1] == found[3]:
        raise ValueError(f"'{text}' are no hours: write from when until when, such as 22:00-07:00")
    return {"begins": found[1], "ends": found[3]}


QuietText = Annotated[
    Quiet, BeforeValidator(parse_quiet, json_schema_input_type=str), PlainSerializer(str, return_type=str)
]


class Mail(Declaration):
    """E-mail."""

    to: list[Annotated[str, Field(pattern=r"^[^\s@<>]+@[^\s@<>]+$")]] = Field(min_length=1)
    """To whom."""
    sender: str = Field(default="headrace@localhost", pattern=r"^[^\s@<>]+@[^\s@<>]+$")
    """From whom."""
    server: EnvReference = "env:SMTP_URL"
    """Which server: the environment variable holds `smtp://user:password@host:587`, or `smtps://...`. A password goes over TLS
    alone."""


class PagerDuty(Declaration):
    """PagerDuty's Events API, version 2."""

    key: EnvReference
    """The integration's routing key."""
    address: str = Field(default=PAGERDUTY, pattern=r"^https?://[^\s@]+$")
    """Where events go: https://events.eu.pagerduty.com/v2/enqueue for accounts in Europe."""


def parse_pagerduty(text: Any) -> Any:
    """Return the integration whose key a reference such as "env:PAGERDUTY_KEY" names."""
    return {"key": text} if isinstance(text, str) else text


PagerDutyText = Annotated[PagerDuty, BeforeValidator(parse_pagerduty, json_schema_input_type=str | dict[str, str])]


class Alert(Declaration):
    """Who is told of which incidents: one channel, and what goes there."""

    slack: EnvReference | None = None
    """A Slack incoming webhook: `env:SLACK_WEBHOOK`."""
    email: Mail | None = None
    """People, by e-mail."""
    pagerduty: PagerDutyText | None = None
    """PagerDuty: `env:PAGERDUTY_KEY`, or `{key: ..., address: ...}`."""
    webhook: EnvReference | None = None
    """Any server that takes JSON: `env:ALERTS_URL`."""
    folder: Name | None = None
    """A folder below `.headrace/alerts`, one file a notice, for trying out and for programs: needs no account."""
    on: list[Kind] = Field(default=list(KINDS), min_length=1)
    """Which kinds of incidents; all by default."""
    quiet: QuietText | None = None
    """Hours in which nothing is sent, such as 22:00-07:00 in the product's time zone: it waits until they end."""
    urgent: list[Kind] = Field(default=[])
    """Kinds that are sent in quiet hours all the same."""
    repeat: Duration | None = Field(default=timedelta(days=1), ge=timedelta(minutes=1))
    """After what time an incident that is still open is told again; null for never."""
    recovery: bool = True
    """Whether it is told when an incident is over."""
    runbook: str | None = Field(default=None, pattern=r"^https?://\S+$")
    """Where it says what to do, with `{kind}` for the kind of the incident; docs/runbook.md by default."""

    @model_validator(mode="after")
    def _has_one_channel(self) -> Self:
        said = [name for name in CHANNELS if getattr(self, name) is not None]
        if len(said) != 1:
            raise ValueError(
                f"an alert has one channel, one of {', '.join(CHANNELS)}; it says {', '.join(said) or 'none'}"
            )
        return self

    @model_validator(mode="after")
    def _urgent_is_on(self) -> Self:
        idle = [kind for kind in self.urgent if kind not in self.on]
        if idle or (self.urgent and self.quiet is None):
            why = f"'{idle[0]}' is not among `on`" if idle else "there are no `quiet` hours"
            raise ValueError(f"`urgent` says nothing: {why}")
        return self

    @property
    def channel(self) -> str:
        """The channel's name, as logs and lists show it: it holds no secret."""
        name = next(name for name in CHANNELS if getattr(self, name) is not None)
        if self.email:
            return f"email {', '.join(self.email.to)}"
        return f"{name} {self.pagerduty.key if self.pagerduty else getattr(self, name)}"
