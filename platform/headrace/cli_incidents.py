"""The command about incidents: which there are, what had happened before one, and the word that ends it."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from getpass import getuser
from pathlib import Path
from typing import TYPE_CHECKING

import click

from headrace.saying import in_words

if TYPE_CHECKING:
    from headrace.store.site import Site

_PRODUCT = click.option("--product", help="Of which product; may be left out of `list`, and where there is only one.")
_JSON = click.option("--json", "as_json", is_flag=True, help="For programs.")


@click.group(invoke_without_command=True)
@_PRODUCT
@_JSON
@click.pass_context
def incidents(context: click.Context, product: str | None, *, as_json: bool) -> None:
    """Show what went wrong: list by default; `show N`, `close N --cause ...`."""
    if context.invoked_subcommand is None:
        context.invoke(list_, product=product, as_json=as_json)


@incidents.command("list")
@_PRODUCT
@_JSON
@in_words
def list_(product: str | None, *, as_json: bool) -> None:
    """List incidents, newest first, with the mean times to detect and to restore."""
    from headrace.incidents.listing import facts, listed
    from headrace.incidents.note import incidents as incidents_of

    known = {site.product.product: incidents_of(site) for site in _sites(product)}
    if as_json:
        click.echo(json.dumps([facts(name, one) for name, found in known.items() for one in found], indent=1))
        return
    for name, found in known.items():
        for line in listed(name, found):
            click.echo(line)


@incidents.command()
@click.argument("number", type=int)
@_PRODUCT
@_JSON
@in_words
def show(number: int, product: str | None, *, as_json: bool) -> None:
    """Show incident NUMBER and what had happened before it."""
    from headrace.incidents.incident import named
    from headrace.incidents.listing import facts, shown
    from headrace.incidents.note import incidents as incidents_of
    from headrace.incidents.note import picture_of

    site = _site(product)
    found = named(incidents_of(site), number)
    if as_json:
        click.echo(json.dumps(facts(site.product.product, found), indent=1))
        return
    for line in shown(found):
        click.echo(line)
    picture = picture_of(site, found)
    if picture:
        click.echo(f"picture: {picture}")


@incidents.command()
@click.argument("number", type=int)
@click.option("--cause", required=True, help="What it was: written into the log.")
@click.option("--by", default=getuser, show_default="who is logged in", help="Who says so.")
@_PRODUCT
@_JSON
@in_words
def close(number: int, cause: str, by: str, product: str | None, *, as_json: bool) -> None:
    """Close incident NUMBER with its cause; the next alarm of the same cause opens another."""
    from headrace.incidents.listing import facts, shown
    from headrace.incidents.note import close as close_incident

    site = _site(product)
    closed = close_incident(site, number, cause, by, datetime.now(UTC))
    click.echo(json.dumps(facts(site.product.product, closed), indent=1) if as_json else next(shown(closed)))


def _sites(product: str | None) -> "Sequence[Site]":
    from headrace.project import Project

    project = Project.around(Path.cwd())
    return [project.load(name)[1] for name in ([product] if product else project.products())]


def _site(product: str | None) -> "Site":
    sites = _sites(product)
    if len(sites) != 1:
        raise click.UsageError(f"Say of which product: --product {' | '.join(s.product.product for s in sites)}")
    return sites[0]
