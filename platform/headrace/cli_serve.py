"""The command that serves a product."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from headrace.saying import in_words

if TYPE_CHECKING:
    from headrace.declaration import ProductDeclaration
    from headrace.serving.server import Chore
    from headrace.store.site import Site


@click.command()
@click.argument("product")
@click.option("--host", default="127.0.0.1", show_default=True, help="Which address to listen at.")
@click.option("--port", default=8080, show_default=True, type=click.IntRange(1, 65535))
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1), help="How many processes answer.")
@click.option(
    "--certificate", type=click.Path(path_type=Path), help="A PEM file: the certificate with its chain, for TLS."
)
@click.option(
    "--key", type=click.Path(path_type=Path), help="A PEM file: the certificate's key, if it stands by itself."
)
@click.option(
    "--behind-tls-proxy", is_flag=True, help="Listen without TLS beyond this machine: a proxy in front ends it."
)
@click.option("--without-keys", is_flag=True, help="Ask for no API keys; listens to this machine alone.")
@click.option(
    "--access-log", is_flag=True, help="Write a line for each request; those that fail or take long always have one."
)
@in_words
def serve(product: str, **options: Any) -> None:
    """Answer requests for PRODUCT by the model that is live, over HTTP, until it is stopped.

    Every request needs a key of the product (headrace keys create), unless --without-keys is said.
    """
    from headrace.access.keys import keys_of
    from headrace.access.tls import Certificate
    from headrace.project import Project
    from headrace.serving.entry import refuse_without_keys
    from headrace.serving.prepare import served_of
    from headrace.serving.server import Listening
    from headrace.serving.server import serve as serve_until_stopped

    declared, site = Project.around(Path.cwd()).load(product)
    served = served_of(site, declared.graph, declared.model, declared.serve)
    certificate = Certificate(options["certificate"], options["key"]) if options["certificate"] else None
    keys = not options["without_keys"]
    if not keys:
        refuse_without_keys(options["host"])
    elif not keys_of(site.place, product).all():
        click.echo(
            f"No key of {product} exists yet, so nobody is let in: headrace keys create {product} --help", err=True
        )
    click.echo(f"{product}: {'https' if certificate else 'http'}://{options['host']}:{options['port']}/")
    listening = Listening(
        options["host"],
        options["port"],
        options["workers"],
        certificate,
        options["behind_tls_proxy"],
        keys,
        options["access_log"],
    )
    serve_until_stopped(served, site.place, listening, chores_of(site, declared))


def chores_of(site: "Site", declared: "ProductDeclaration") -> "list[Chore]":
    """Return what is done every few seconds beside answering: predictions are kept, and a release goes on, or back."""
    from headrace.rollout.advance import advance
    from headrace.rollout.evidence import Plan
    from headrace.serving.gatherer import Gatherer

    chores: list[Chore] = [Gatherer(site)]
    canary, label, model = declared.serve.canary, declared.label, declared.model
    if canary and label and model:
        plan = Plan(canary, label, model)
        chores.append(lambda _: advance(site, plan, datetime.now(UTC)))
    return chores
