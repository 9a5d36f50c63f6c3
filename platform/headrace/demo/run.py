"""The main job: land half a year, let the daemon's sensors do the rest, land two more months, and look what happened."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from headrace.core.errors import Refused
from headrace.definitions import Watch, load_platform, watching
from headrace.demo.land import FIRST, land
from headrace.monitoring.facts import product_facts
from headrace.monitoring.summary import summary_text
from headrace.monitoring.watch import newest_scored_day
from headrace.project import Project
from headrace.sources.pending import SETTLE_S
from headrace.store.site import Site

PRODUCT = "flight_delays"
FIRST_HALF, SUMMER = date(2013, 6, 30), date(2013, 8, 31)
PATIENCE_S, LOOK_EVERY_S = 1200.0, 1.0
Say = Callable[[str], None]


@contextmanager
def daemon(root: Path, log: Path, workspace: str = "workspace.yaml") -> Iterator[subprocess.Popen[bytes]]:
    """Run Dagster's own daemon on the project for a while; its words go to a file."""
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "dagster._daemon", "run", "-w", workspace]
    with log.open("ab") as words:
        process = subprocess.Popen(command, cwd=root, stdout=words, stderr=words, env=dict(os.environ))
        try:
            yield process
        finally:
            process.terminate()
            process.wait(timeout=60)


def follow(watch: Watch, process: subprocess.Popen[bytes], say: Say, log: Path) -> None:
    """Tell what happens until nothing is left to do; raises Refused if a run fails or the daemon dies."""
    deadline, landed = time.monotonic() + PATIENCE_S, time.time() + SETTLE_S
    while not watch.settled(landed):
        for line in watch.news():
            say(line)
        if process.poll() is not None:
            raise Refused(f"The Dagster daemon stopped with code {process.returncode}. Its last words are in {log}")
        if failure := watch.failed():
            raise Refused(f"A run failed: {failure}")
        if time.monotonic() > deadline:
            raise Refused(
                f"Nothing has settled for {PATIENCE_S / 60:.0f} minutes. Look at {log}, or into the UI: make ui"
            )
        time.sleep(LOOK_EVERY_S)
    for line in watch.news():
        say(line)


def run_demo(project: Project, say: Say) -> None:
    """Go round the loop on real flights and say what came of it; what is done already is not done again."""
    started = time.monotonic()
    project.instance_home()
    declared, site = project.load(PRODUCT)
    with watching(PRODUCT) as watch:
        if not _is_done(site):
            _go_round(project, site, watch, say)
        elif changed := watch.changed_code(load_platform(project.root / "platform" / "products")):
            _make_again(project, changed, say)
    assert declared.label
    facts = product_facts(site, declared.sources, declared.label, declared.monitors)
    say(f"\n{summary_text(facts)}\n\n  time taken  {time.monotonic() - started:.0f} s")
    say(f"  report      {site.place.reports / f'{PRODUCT}.html'}\n  UI          make ui")


def _make_again(project: Project, changed: list[str], say: Say) -> None:
    """Make the assets whose declaration or code changed anew, with all that stands on them."""
    say(f"The code of {', '.join(changed)} has changed: making them again, and what stands on them.")
    selection = " or ".join(f'key:"{key}"+' for key in changed)
    command = [
        sys.executable,
        "-m",
        "dagster",
        "asset",
        "materialize",
        "-m",
        "definitions",
        "-d",
        "platform",
        "--select",
        selection,
    ]
    days = ["--partition-range", f"{FIRST}...{SUMMER}"]
    done = subprocess.run([*command, *days], cwd=project.root, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Refused(f"Making them again failed:\n{done.stderr[-3000:]}")


def _go_round(project: Project, site: Site, watch: Watch, say: Say) -> None:
    log = site.place.home / "daemon.log"
    with daemon(project.root, log) as process:
        for through in (FIRST_HALF, SUMMER):
            say(f"\n{land(site.place.landing, through)}")
            follow(watch, process, say, log)


def _is_done(site: Site) -> bool:
    """Return whether the summer is scored, and every training that was launched was decided."""
    scored = newest_scored_day(site)
    decided = len(site.releases.all(PRODUCT)) >= len(site.trainings.entries())
    return scored is not None and scored >= SUMMER and decided
