"""The command that prints the card of a release."""

from pathlib import Path

import click

from headrace.saying import in_words


@click.command()
@click.argument("release", metavar="PRODUCT[@RELEASE]")
@in_words
def card(release: str) -> None:
    """Print the model card of a release as Markdown: of the live one, or of the one with that number."""
    from headrace.explain.card import release_named, told_of
    from headrace.explain.page import card_markdown
    from headrace.project import Project

    product, _, number = release.partition("@")
    declared, site = Project.around(Path.cwd()).load(product)
    click.echo(card_markdown(told_of(site, declared.card, declared.graph, declared.model, release_named(site, number))))
