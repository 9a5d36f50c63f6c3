"""The command that proves that both engines make the same."""

import sys
from pathlib import Path

import click

from headrace.saying import in_words


@click.command()
@click.argument("product")
@click.option(
    "--rows",
    default=1000,
    show_default=True,
    type=click.IntRange(1),
    help="Of the rows to predict, how many: the newest.",
)
@in_words
def parity(product: str, rows: int) -> None:
    """Make features and rows to predict of PRODUCT with DuckDB and with Spark, and compare them cell by cell; exit code 1 where any differs."""
    from headrace.features.parity import compare_engines, parity_text
    from headrace.project import Project
    from headrace.recipes import graph_of

    declared, site = Project.around(Path.cwd()).load(product)
    compared = list(compare_engines(site, graph_of(declared), rows))
    click.echo(parity_text(compared))
    differing = sum(c.differing for c in compared)
    click.echo(f"{differing:,} of {sum(c.cells for c in compared):,} cells differ.")
    if differing:
        sys.exit(1)
