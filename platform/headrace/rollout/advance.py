"""Advance: look, judge, and do what the judgement says. Any number of processes may, at any moment; one of them does it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from headrace.core.errors import Refused
from headrace.core.failpoints import failpoint
from headrace.releases.incidents import Trouble, write_once
from headrace.rollout.evidence import Plan, evidence_of
from headrace.rollout.judge import Judgement, judge
from headrace.rollout.state import Rollout, What, ended, primary_of, rollout_of, rollouts_log
from headrace.store.releases import Release, live_of
from headrace.store.rollback import Return, roll_back
from headrace.store.site import Site

ITSELF = "headrace canary"
"""Who decides where no person does."""
LOST = "another process has done so first"


@dataclass(frozen=True)
class Standing:
    """A rollout as it stands, and the judgement on it."""

    rollout: Rollout
    judgement: Judgement


@dataclass(frozen=True)
class Said:
    """What a person says about a rollout, and why."""

    what: What
    who: str
    why: str
    at: datetime


def advance(site: Site, plan: Plan, now: datetime) -> Standing | None:
    """Judge the rollout that is under way, do what the judgement says, and return both; None where none is under way.

    A step is taken, the release takes over, or the one before it is live again and an incident holds why. `now` is the
    moment by the wall clock. What a killed process left half done is done first. Raises StoreError where a log, a table or
    the champion's files are not as they were written: nothing is decided then, and an earlier decision still holds.
    """
    finish(site)
    standing = look(site, plan, now)
    if standing is None:
        return None
    rollout, judgement = standing.rollout, standing.judgement
    if not rollout.starts:
        why = f"release {rollout.candidate.number} went live against release {rollout.champion.number}"
        _note(site, rollout, _entry(rollout, "begun", rollout.step, now, why), 0)
        return Standing(replace(rollout, since=now, starts=(now,)), Judgement("wait", ("it has begun",)))
    if judgement.verdict != "wait":
        what: What = _ENTRIES[judgement.verdict]
        step = rollout.step + (judgement.verdict == "go_on")
        entry = _entry(rollout, what, step, now, "; ".join(judgement.reasons)) | {"evidence": judgement.facts}
        if not _note(site, rollout, entry, len(rollout.starts)):
            return replace(standing, judgement=replace(judgement, verdict="wait", reasons=(LOST,)))
        failpoint("rollout_decided")
        finish(site)
    return standing


def look(site: Site, plan: Plan, now: datetime) -> Standing | None:
    """Return the rollout that is under way and the judgement on it, and do nothing; None where none is."""
    rollout = _current(site)
    return Standing(rollout, judge(evidence_of(site, plan, rollout, now), plan.canary)) if rollout else None


def say(site: Site, said: Said) -> Rollout:
    """Let a person end the rollout that is under way, and return it as it was; raises Refused where none is, or nobody is named."""
    rollout = _current(site)
    if rollout is None:
        raise Refused(f"No rollout of {site.product.product} is under way.")
    for word, given in (("by", said.who), ("why", said.why)):
        if not given.strip():
            raise Refused(f"What is decided about a rollout is written down: say --{word} <text>.")
    entry = _entry(rollout, said.what, rollout.step, said.at, said.why) | {"who": said.who}
    if not _note(site, rollout, entry, len(rollout.starts)):
        raise Refused(f"The rollout of release {rollout.candidate.number} has moved on meanwhile: look again.")
    failpoint("rollout_decided")
    finish(site)
    return rollout


def finish(site: Site) -> None:
    """Let the release log say what a rollout has decided, where a killed process has not come to it; once."""
    product = site.product.product
    decisions, entries = site.releases.all(product), rollouts_log(site).entries()
    last = entries[-1] if entries else None
    if last is None or last["what"] != "rolled back":
        return
    live = live_of(decisions)
    if live and live.number == last["release"]:
        champion = primary_of(decisions, entries)
        if champion is None:
            return
        _return(site, last, champion)
        failpoint("rollout_returned")
    if last["who"] == ITSELF:
        what = f"Release {last['release']} did harm in step {last['step'] + 1} of its rollout: {last['why']}"
        done = f"Release {last['against']} is live again. To undo: headrace rollback {product} --to {last['release']} --why ..."
        harmful = next((d for d in decisions if d.number == last["release"]), None)
        since = harmful.at if harmful else None
        write_once(site, Trouble(what, done, True, "rolled_back", f"release {last['release']}", since))


_ENTRIES: Mapping[str, What] = {"go_on": "step", "promote": "promoted", "roll_back": "rolled back"}


def _current(site: Site) -> Rollout | None:
    return rollout_of(site.releases.all(site.product.product), rollouts_log(site).entries())


def _return(site: Site, entry: Mapping[str, Any], champion: Release) -> None:
    """Let the champion be live again, unless another decision has come since."""
    found = {"rollout": {"entry": entry["number"], **entry["evidence"]}} if entry["evidence"] else {}
    why = f"rollout: {entry['why']}"
    wanted = Return(entry["who"], why, site.clock.now(), str(champion.number), entry["release"], found)
    try:
        roll_back(site.releases, site.models, site.product.product, wanted)
    except Refused:
        live = site.releases.live(site.product.product)
        if live and live.number == entry["release"]:
            raise
        # Somebody else has done it, or has decided something newer.


def _entry(rollout: Rollout, what: What, step: int, now: datetime, why: str) -> dict[str, Any]:
    return {
        "what": what,
        "release": rollout.candidate.number,
        "against": rollout.champion.number,
        "step": step,
        "at": now.isoformat(),
        "who": ITSELF,
        "why": why,
        "evidence": {},
    }


def _note(site: Site, rollout: Rollout, entry: dict[str, Any], known: int) -> bool:
    """Append an entry behind those that the rollout was judged by, and return whether nobody else was first."""
    log = rollouts_log(site)
    entries = log.entries()
    own = [each for each in entries if each["release"] == rollout.candidate.number]
    if len(own) != known or ended(rollout.candidate, own):
        return False
    try:
        log.append(entry, after=len(entries))
    except Refused:
        # Somebody else was first: what they wrote holds.
        return False
    return True
