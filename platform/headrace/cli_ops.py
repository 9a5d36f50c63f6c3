"""The command that writes what Prometheus and Grafana need."""

from pathlib import Path

import click

from headrace.saying import in_words


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@in_words
def ops(folder: Path) -> None:
    """Write into FOLDER what watches a server: Prometheus' configuration and alert rules, a Grafana dashboard."""
    from headrace.serving.ops import write_ops

    for path in write_ops(folder):
        click.echo(f"wrote {path}")
