"""The command that prints the card of a release."""

from pathlib import Path

import click

from headrace.saying import in_words


@click.command()
@click.argument("release", metavar="PRODUCT[@RELEASE]")
@in_words
def card(release: str) -> None:
    """Print the model card of a release as Markdown: of the live one, or of the one with that number."""
    from headrace.core.errors import Refused
    from headrace.explain.card import told_of
    from headrace.explain.page import card_markdown
    from headrace.project import Project

    product, _, number = release.partition("@")
    declared, site = Project.around(Path.cwd()).load(product)
    decisions = {str(decision.number): decision for decision in site.releases.all(product)}
    found = decisions.get(number) if number else site.releases.live(product)
    if found is None:
        there = f"there are {', '.join(decisions)}" if decisions else "nothing was released yet"
        raise Refused(f"No release '{number}' of {product}; {there}." if number else f"No model of {product} is live.")
    click.echo(card_markdown(told_of(site, declared.card, declared.graph, found)))
