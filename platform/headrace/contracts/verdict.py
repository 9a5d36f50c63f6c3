"""The verdict on rows: which rules are broken, by how many rows, and what follows from it."""

from collections.abc import Iterable
from dataclasses import dataclass

from headrace.contracts.declaration import Contract, OnFail, Severity

EXAMPLES = 3


@dataclass(frozen=True)
class Failure:
    """One rule that some rows break, or that the rows of a day break together."""

    column: str
    rule: str
    rows: int
    """How many rows break it; of a rule about a whole day, how many rows those days have."""
    examples: tuple[str, ...]
    on_fail: OnFail = "quarantine"
    severity: Severity = "share"

    def and_more(self, other: "Failure") -> "Failure":
        """Return the same failure with the rows of another piece of the table."""
        examples = (*self.examples, *other.examples)[:EXAMPLES]
        return Failure(self.column, self.rule, self.rows + other.rows, examples, self.on_fail, self.severity)


@dataclass(frozen=True)
class Verdict:
    """What is wrong with how many rows. Verdicts of pieces add up to that of the whole."""

    rows: int = 0
    bad: int = 0
    """Rows that break any rule."""
    counted: int = 0
    """Rows that break a rule which is more than a warning."""
    failures: tuple[Failure, ...] = ()
    notes: tuple[str, ...] = ()
    """What a reader should know although no rule is broken."""

    @property
    def bad_share(self) -> float:
        """The share of rows that break a rule which is more than a warning; 0 where there are no rows."""
        return self.counted / self.rows if self.rows else 0.0

    @property
    def stops(self) -> bool:
        """Whether a rule is broken that lets nothing go on."""
        return any(failure.on_fail == "fail" for failure in self.failures)

    @property
    def is_grave(self) -> bool:
        """Whether a rule is broken that breaks the contract by itself."""
        return self.stops or any(failure.severity == "error" for failure in self.failures)


def joined(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the verdict on all pieces of a table."""
    parts = list(verdicts)
    return Verdict(
        rows=sum(part.rows for part in parts),
        bad=sum(part.bad for part in parts),
        counted=sum(part.counted for part in parts),
        failures=_summed(failure for part in parts for failure in part.failures),
        notes=tuple(dict.fromkeys(note for part in parts for note in part.notes)),
    )


def is_broken(verdict: Verdict, contract: Contract) -> bool:
    """Return whether so much is wrong that nobody should train on it."""
    return verdict.is_grave or verdict.bad_share > contract.max_bad


def _summed(failures: Iterable[Failure]) -> tuple[Failure, ...]:
    by_rule: dict[tuple[str, str], Failure] = {}
    for failure in failures:
        key = (failure.column, failure.rule)
        by_rule[key] = by_rule[key].and_more(failure) if key in by_rule else failure
    return tuple(by_rule[key] for key in sorted(by_rule))
