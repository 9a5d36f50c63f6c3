"""The command that says why a model is live."""

from pathlib import Path

import click

from headrace.saying import in_words


@click.command()
@click.argument("which", metavar="PRODUCT[@VERSION]")
@click.option("--json", "as_json", is_flag=True, help="For programs: one object with all that is kept.")
@in_words
def why(which: str, as_json: bool) -> None:
    """Say why a model of PRODUCT was trained and decided about: by default the live one, else by number or digest."""
    import json

    from headrace.project import Project
    from headrace.releases.why import why as why_of
    from headrace.releases.why import why_text

    product, _, word = which.partition("@")
    _, site = Project.around(Path.cwd()).load(product)
    facts = why_of(site, site.releases.named_or_live(product, word))
    click.echo(json.dumps(facts, indent=1) if as_json else why_text(facts))
