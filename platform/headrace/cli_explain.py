"""The command that says why a row has its score."""

from pathlib import Path

import click

from headrace.saying import in_words


@click.command()
@click.argument("product")
@click.argument("row")
@click.option("--most", default=10, show_default=True, type=click.IntRange(1), help="How many inputs to show.")
@click.option("--json", "as_json", is_flag=True, help="For programs: one object, with all inputs.")
@in_words
def explain(product: str, row: str, most: int, as_json: bool) -> None:
    """Say what each input added to the score of ROW (the label's entity) of PRODUCT, by the model that gave it."""
    import json
    from dataclasses import asdict

    from headrace.core.errors import DeclarationError
    from headrace.explain.reasons import reasons_of, reasons_text
    from headrace.project import Project

    declared, site = Project.around(Path.cwd()).load(product)
    if declared.label is None:
        raise DeclarationError(f"{product} has no `label:`: it has no rows to score.")
    told = reasons_of(site, declared.label, row)
    if as_json:
        click.echo(json.dumps(asdict(told), indent=1, default=str))
    else:
        click.echo(reasons_text(told, product, declared.label.entity, most))
