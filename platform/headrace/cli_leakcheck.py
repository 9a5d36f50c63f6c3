"""The command that looks for features that know the future."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from headrace.saying import in_words

if TYPE_CHECKING:
    from headrace.declaration import ProductDeclaration
    from headrace.store.site import Site


@click.command()
@click.argument("product")
@click.option(
    "--rows", default=24, show_default=True, type=click.IntRange(1), help="How many rows to look at, evenly spread."
)
@click.option("--most", default=10, show_default=True, type=click.IntRange(1), help="How many cells to show.")
@in_words
def leakcheck(product: str, rows: int, most: int) -> None:
    """Compute features of PRODUCT's stored training set anew from what was known then; exit code 1 where any differs."""
    from headrace.features.explain import explain_leaks
    from headrace.features.leakage import find_leaks, summarize
    from headrace.features.look import Declared
    from headrace.features.suspect import find_suspects
    from headrace.project import Project
    from headrace.recipes import graph_of

    project = Project.around(Path.cwd())
    declared, site = project.load(product)
    if declared.label is None:
        raise click.ClickException(f"{product} has no label: there is no training set to check.")
    training_set = site.tables.read(site.product.table("training", "set"))
    looked = min(rows, training_set.num_rows)
    _say_what_is_stale(declared, site)
    for suspicion in find_suspects(site, graph_of(declared), training_set):
        click.echo(f"warning: {suspicion}")
    known = Declared(declared.sources, declared.features, declared.label)
    with click.progressbar(
        length=looked, label=f"{looked:,} of {training_set.num_rows:,} rows", file=sys.stderr
    ) as bar:
        leaks = find_leaks(site, known, training_set, rows, bar.update)
    if not leaks:
        click.echo(f"No feature knew the future in {looked:,} of {training_set.num_rows:,} rows.")
        return
    for found in summarize(leaks):
        click.echo(f"{found['feature']} differs in {found['cells']} of {looked:,} rows")
    for leak, later in explain_leaks(site, known, leaks[:most], project.key_of):
        click.echo(f"\n{leak}")
        for row in later:
            click.echo(f"  made of {row}")
        if declared.features[leak.table].on_request:
            click.echo("  computed of this request alone it is another: its SQL looks at other requests")
        elif not later:
            click.echo("  no single row that became known later explains it: was a source or the table changed since?")
    if len(leaks) > most:
        click.echo(f"\n{len(leaks) - most} more cells are not shown (--most).")
    sys.exit(1)


def _say_what_is_stale(declared: "ProductDeclaration", site: "Site") -> None:
    """Say which tables are no longer what their inputs would make them: what differs may differ for that."""
    from headrace.automation.plan import stale
    from headrace.recipes import recipes_of

    for table, work in stale(site, declared.sources, recipes_of(declared, site)).items():
        if table.split("/")[1] in ("features", "training"):
            whys = dict.fromkeys(why for reasons in work.reasons.values() for why in reasons)
            click.echo(f"note: {table} is to be made again ({'; '.join(whys)}): cells may differ for that")
