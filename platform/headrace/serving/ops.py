"""What operations take from here: alert rules and scrape configuration for Prometheus, a dashboard for Grafana."""

from pathlib import Path

FOLDER = Path(__file__).parent / "templates"
ALERTS, DASHBOARD, SCRAPE = FOLDER / "alerts.yaml", FOLDER / "dashboard.json", FOLDER / "prometheus.yml"


def write_ops(folder: Path) -> list[Path]:
    """Write the files into a folder, over those that are there, and return them."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for file in (SCRAPE, ALERTS, DASHBOARD):
        there = folder / file.name
        there.write_bytes(file.read_bytes())
        written.append(there)
    return written
