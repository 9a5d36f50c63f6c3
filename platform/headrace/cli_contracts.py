"""The commands about contracts, and about rows that broke one."""

from pathlib import Path

import click

from headrace.saying import in_words


@click.group()
def contract() -> None:
    """Suggest a first contract, or learn limits once."""


@contract.command()
@click.argument("source", metavar="PRODUCT.SOURCE")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="A file to write instead of printing.")
@in_words
def suggest(source: str, output: Path | None) -> None:
    """Write a first contract from the rows that have landed: types, keys, sets and ranges. All of them keep it."""
    from headrace.contracts.suggest import contract_text, suggest_contract
    from headrace.project import Project

    _, site, name = Project.around(Path.cwd()).source(source)
    text = contract_text(name, suggest_contract(site, name))
    if output is None:
        click.echo(text, nl=False)
    else:
        output.write_text(text)
        click.echo(f"Wrote {output}. Look it over, and put it into {site.folder / 'defs.yaml'}.")


@contract.command()
@click.argument("source", metavar="PRODUCT.SOURCE")
@in_words
def learn(source: str) -> None:
    """Learn limits anew from the first days, as `learned:` says, into a file beside the declaration."""
    from headrace.contracts.learn import learn_limits
    from headrace.project import Project

    declared, site, name = Project.around(Path.cwd()).source(source)
    if name not in declared.contracts:
        raise click.ClickException(f"{source} has no contract: there is nothing to learn.")
    lesson = learn_limits(site, name, declared.sources[name], declared.contracts[name])
    click.echo(f"Learned {len(lesson.limits.columns)} columns from {lesson.limits.learned_from}: {lesson.file}")


@click.group()
def quarantine() -> None:
    """Look at rows that were set aside, mend them, and bring them in."""


@quarantine.command("list")
@click.argument("source", metavar="PRODUCT.SOURCE")
@click.option("--most", default=20, show_default=True, help="How many rows to show.")
@in_words
def list_rows(source: str, most: int) -> None:
    """List the rows that were set aside, each with its file, row and reason."""
    from headrace.contracts.mend import rows_aside
    from headrace.project import Project

    _, site, name = Project.around(Path.cwd()).source(source)
    rows = rows_aside(site, name)
    for row in rows.slice(0, most).to_pylist():
        click.echo(f"{row['_file']}:{row['_row']}: {row['_reason']}")
    more = max(0, rows.num_rows - most)
    click.echo(f"{rows.num_rows} rows of {source} are set aside{f'; {more} of them are not shown' if more else ''}.")


@quarantine.command()
@click.argument("source", metavar="PRODUCT.SOURCE")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="A file to write instead of printing.")
@in_words
def export(source: str, output: Path | None) -> None:
    """Write the rows that were set aside as CSV, to be mended: reason, file and row beside what landed."""
    from headrace.contracts.mend import export_aside
    from headrace.project import Project

    declared, site, name = Project.around(Path.cwd()).source(source)
    rows = export_aside(site, name, declared.sources[name])
    if output is None:
        click.echo(rows, nl=False)
    else:
        output.write_bytes(rows)
        click.echo(f"Wrote {output}. Mend it, then: headrace quarantine replay {source} {output}")


@quarantine.command()
@click.argument("source", metavar="PRODUCT.SOURCE")
@click.argument("mended", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@in_words
def replay(source: str, mended: Path) -> None:
    """Bring the rows of a mended CSV in, each once; what still breaks the contract stays aside with its new reason."""
    from headrace.contracts.mend import mend_rows, still_aside
    from headrace.definitions import validate_days
    from headrace.project import Project

    project = Project.around(Path.cwd())
    declared, site, name = project.source(source)
    project.instance_home()
    found = mend_rows(site, name, declared.sources[name], mended)
    if found.keys.height:
        validate_days(declared, site, name, found.days)
    aside = still_aside(site, name, found)
    for row in aside.iter_rows(named=True):
        click.echo(f"{row['_file']}:{row['_row']}: {row['_reason']}")
    came_in = found.keys.height - aside.height
    click.echo(f"{found.new} rows were mended anew; {came_in} mended rows are in, {aside.height} are still set aside.")
    if found.new:
        click.echo(f"What is made of validated/{name} is now out of date: materialize it in Dagster.")
