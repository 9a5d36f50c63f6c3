"""The newest drift and its causes in words: for checks, for the page of an asset, and for a terminal under forty lines."""

from collections.abc import Iterator
from textwrap import wrap

from headrace.monitoring.cause import Cause, Causes, percent

IN_A_SENTENCE, IN_TEXT, ALARMS = 2, 4, 6
WIDTH = 150


def because(causes: Causes) -> str:
    """Return the causes that weigh most in one sentence."""
    more = len(causes.causes) - IN_A_SENTENCE
    told = [f"({number}) {cause}" for number, cause in enumerate(causes.causes[:IN_A_SENTENCE], 1)]
    return ", ".join(told) + (f", and {more} more causes" if more > 0 else "")


def causes_markdown(causes: Causes) -> str:
    """Return the causes as a list for the UI, each with its columns and the bins that moved."""
    if not causes.causes:
        return causes.note or "Nothing has moved that chance could not have moved."
    lines = []
    for number, cause in enumerate(causes.causes, 1):
        lines.append(f"{number}. {_escaped(str(cause))}")
        lines += [f"   - {_escaped(line)}" for line in _details(cause)]
    return "\n".join(lines)


def drift_text(product: str, causes: Causes) -> str:
    """Return the newest drift of a product and its causes, under forty lines."""
    return "\n".join(_lines(product, causes))


def _lines(product: str, causes: Causes) -> Iterator[str]:
    yield f"{product}: model {causes.model[:12]}, {causes.first} to {causes.day}, against the rows that it was trained on"
    yield ""
    for alarm in causes.alarms[:ALARMS]:
        yield f"  {alarm}"
    if len(causes.alarms) > ALARMS:
        yield f"  and {len(causes.alarms) - ALARMS} more beyond their limits"
    if not causes.alarms:
        yield "  no column lies beyond its limit"
    yield ""
    if not causes.causes:
        yield f"  {causes.note or 'nothing has moved that chance could not have moved'}"
    for number, cause in enumerate(causes.causes[:IN_TEXT], 1):
        yield from _wrapped(f"{number}. {cause}")
        for line in _details(cause):
            yield f"     {line}"[:WIDTH]
    if len(causes.causes) > IN_TEXT:
        yield f"  and {len(causes.causes) - IN_TEXT} more causes (--json)"


def _wrapped(text: str) -> list[str]:
    lines = wrap(text, WIDTH, initial_indent="  ", subsequent_indent="     ")
    return lines if len(lines) <= 3 else [*lines[:2], f"{lines[2][: WIDTH - 4]} ..."]


def _details(cause: Cause) -> Iterator[str]:
    """Yield the columns where there are several, and the bins that moved most."""
    if len(cause.columns) > 1 and cause.kind != "share":
        yield f"columns: {', '.join(cause.columns)}"
    if cause.bins:
        bins = (f"{one.bin} {percent(one.before)} → {percent(one.after)} (adds {one.psi:.2f})" for one in cause.bins)
        yield f"PSI {cause.psi:.2f} within: {'; '.join(bins)}"


def _escaped(text: str) -> str:
    return "".join(f"\\{letter}" if letter in "\\`*_{}[]<>#|" else letter for letter in text)
