"""The commands about API keys. Those that a person waits for in trouble import little."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from headrace.core.names import parse_duration
from headrace.saying import in_words

if TYPE_CHECKING:
    from headrace.access.keyring import Key
    from headrace.access.keys import Issued, Keys

NEVER = "never"
_LONGEST = timedelta(days=36_500)
_WITHIN = "Every server of the product knows within two seconds."


def _span(_: click.Context, __: click.Parameter, text: str) -> timedelta:
    """Return the time span that an option says."""
    try:
        span = parse_duration(text)
    except (ValueError, OverflowError) as error:
        raise click.BadParameter(str(error)) from None
    if span > _LONGEST:
        raise click.BadParameter(f"'{text}' is longer than a hundred years: write {NEVER} where that may be said.")
    return span


def _span_or_never(context: click.Context, option: click.Parameter, text: str) -> timedelta | None:
    """Return the time span that an option says, or None for `never`."""
    return None if text == NEVER else _span(context, option, text)


_EXPIRES = click.option(
    "--expires", default="90d", show_default=True, callback=_span_or_never, help="After how long: 90d, 12h or never."
)


@click.group()
def keys() -> None:
    """Make, rotate, revoke and list the API keys of a product's server."""


@keys.command()
@click.argument("product")
@click.option("--name", required=True, help="Who holds it: a small letter, then small letters, digits and _.")
@click.option("--scope", "scopes", multiple=True, required=True, help="predict, explain or metrics; several times.")
@_EXPIRES
@in_words
def create(product: str, name: str, scopes: tuple[str, ...], expires: timedelta | None) -> None:
    """Make an API key of PRODUCT and show it, this once, on a line of its own."""
    now = datetime.now(UTC)
    _show(_keys(product).create(name, scopes, now, now + expires if expires is not None else None))


@keys.command()
@click.argument("product")
@click.option("--name", required=True, help="Whose key.")
@click.option("--grace", default="1d", show_default=True, callback=_span, help="How long the old one lives.")
@_EXPIRES
@in_words
def rotate(product: str, name: str, grace: timedelta, expires: timedelta | None) -> None:
    """Make a second key of the same name and scopes, and let the old one end after a grace time."""
    now = datetime.now(UTC)
    _show(_keys(product).rotate(name, now, grace, now + expires if expires is not None else None))


@keys.command()
@click.argument("product")
@click.argument("id_", metavar="ID")
@in_words
def revoke(product: str, id_: str) -> None:
    """Let the key with ID in no more."""
    key = _keys(product).revoke(id_, datetime.now(UTC))
    click.echo(f"key {key.id} of {key.name} is revoked since {_moment(key.revoked)}. {_WITHIN}")


@keys.command("list")
@click.argument("product")
@click.option("--json", "as_json", is_flag=True, help="For programs: a list of objects.")
@in_words
def list_keys(product: str, *, as_json: bool) -> None:
    """List the keys of PRODUCT, the newest last; a secret is shown by nothing."""
    import json

    from headrace.core.columns import in_columns

    now = datetime.now(UTC)
    told = [_facts(key, now) for key in _keys(product).all()]
    if as_json:
        click.echo(json.dumps(told, indent=1, default=datetime.isoformat))
        return
    rows = [
        (fact["id"], fact["name"], fact["state"], ",".join(fact["scopes"]), *map(_moment, _moments(fact)))
        for fact in told
    ]
    head = ("id", "name", "state", "scopes", "created (UTC)", "expires", "revoked")
    click.echo(in_columns(head, rows) if rows else f"{product} has no keys: every request is denied.")


def _keys(product: str) -> "Keys":
    """Return the keys of a product of the project around; raises DeclarationError for one that nobody declares."""
    from headrace.access.keys import keys_of
    from headrace.project import Project

    project = Project.around(Path.cwd())
    project.file_of(product)
    return keys_of(project.place, product)


def _show(issued: "Issued") -> None:
    """Show a key on the standard output, and all else beside it, so that a script takes the key alone."""
    key = issued.key
    click.echo(issued.text)
    click.echo(
        f"key {key.id} of {key.name}, for {', '.join(sorted(key.scopes))}, expires {_moment(key.expires, NEVER)}. "
        f"It is shown this once: keep it where secrets are kept. {_WITHIN}",
        err=True,
    )


def _facts(key: "Key", now: datetime) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "state": key.state(now),
        "scopes": sorted(key.scopes),
        "created": key.created,
        "expires": key.expires,
        "revoked": key.revoked,
    }


def _moments(fact: dict[str, Any]) -> list[datetime | None]:
    return [fact[word] for word in ("created", "expires", "revoked")]


def _moment(moment: datetime | None, none: str = "-") -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if moment else none
