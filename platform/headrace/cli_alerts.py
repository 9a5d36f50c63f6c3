"""The commands about alerts: whether they arrive, and what waits."""

import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import click

from headrace.saying import in_words

_PRODUCT = click.option("--product", help="Of which product; of all by default.")


@click.group()
def alerts() -> None:
    """See whether alerts arrive, and what waits to be sent."""


@alerts.command()
@_PRODUCT
@in_words
def test(product: str | None) -> None:
    """Send a notice that says that it is a test to each declared channel, now; where none is declared, into a local folder."""
    from headrace.alerts.tell import HERE, folder_of, tell_trial
    from headrace.core.errors import HeadraceError
    from headrace.project import Project

    project, failed = Project.around(Path.cwd()), False
    for name in [product] if product else project.products():
        declared, site = project.load(name)
        if not declared.alerts:
            click.echo(f"{name} declares no alerts; this goes to {folder_of(site) / name / str(HERE.folder)}")
        for alert in declared.alerts or [HERE]:
            try:
                tell_trial(site, alert, datetime.now(UTC))
            except HeadraceError as error:
                failed = True
                click.echo(f"{name}: {alert.channel}: not delivered. {error}")
            else:
                click.echo(f"{name}: {alert.channel}: delivered")
    sys.exit(failed)


@alerts.command("list")
@_PRODUCT
@click.option("--json", "as_json", is_flag=True, help="For programs: a list of objects, with what was sent, too.")
@in_words
def list_(product: str | None, *, as_json: bool) -> None:
    """List the notices that wait to be sent, with what went wrong."""
    from headrace.alerts.outbox import Outbox
    from headrace.project import Project

    project = Project.around(Path.cwd())
    names = [product] if product else list(project.products())
    found = [one for name in names for one in Outbox(project.load(name)[1]).all()]
    if as_json:
        click.echo(json.dumps([asdict(one) for one in found], indent=1))
        return
    late = [one for one in found if not one.sent]
    for one in late:
        click.echo(f"{one.channel}: {one.title}\n  {one.tries} tries, the next at {one.next_try[:16]} UTC. {one.error}")
    click.echo(f"{len(late)} notices wait, {len(found) - len(late)} were sent.")
