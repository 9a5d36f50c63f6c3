"""The commands about features: which there are, and what each of them is."""

from pathlib import Path

import click

from headrace.saying import in_words


@click.group()
def features() -> None:
    """List features, and show what each of them is, where it comes from and who uses it."""


@features.command("list")
@click.argument("product", required=False)
@click.option("--json", "as_json", is_flag=True, help="For programs: a list of objects, one a feature.")
@in_words
def list_features(product: str | None, as_json: bool) -> None:
    """List the features of all products, or of PRODUCT: type, missing rate, freshness, importance, users."""
    import json

    from headrace.monitoring.listing import listing_facts, listing_text
    from headrace.monitoring.registry import registry_of
    from headrace.neighbours import users_of
    from headrace.project import Project
    from headrace.recipes import graph_of

    project = Project.around(Path.cwd())
    loaded = [project.load(name) for name in ([product] if product else project.products())]
    found = [
        registry_of(site, graph_of(declared), users_of(project.root, site.product.product)) for declared, site in loaded
    ]
    if as_json:
        click.echo(json.dumps([facts for registry in found for facts in listing_facts(registry)], indent=1))
    else:
        click.echo("\n\n".join(map(listing_text, found)) or "No product is declared in this project.")


@features.command()
@click.argument("product")
@click.argument("what", metavar="FEATURE_OR_TABLE")
@click.option("--json", "as_json", is_flag=True, help="For programs: one object.")
@in_words
def show(product: str, what: str, as_json: bool) -> None:
    """Show what a feature or feature table of PRODUCT is, its statistics, drift and importance, and who uses it."""
    import json

    from headrace.monitoring.card import card_of, card_text
    from headrace.monitoring.registry import registry_of
    from headrace.neighbours import users_of
    from headrace.project import Project
    from headrace.recipes import graph_of

    project = Project.around(Path.cwd())
    declared, site = project.load(product)
    graph = graph_of(declared)
    card = card_of(site, graph, registry_of(site, graph, users_of(project.root, product)), what)
    click.echo(json.dumps(card, indent=1) if as_json else card_text(card))
