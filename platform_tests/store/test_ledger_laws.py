"""Whatever runs, dies, tears, is removed and erased, in whatever order: the ledger says what the table really holds."""

import shutil
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import mkdtemp

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from headrace.core.days import Days
from headrace.core.recipe import Reach, Recipe, Work
from headrace.store.addition import Addition, Commit
from headrace.store.digest import contents_of
from headrace.store.ledger import Ledger
from headrace.store.person import Person
from headrace.store.rewrite import rewrite_without
from headrace.store.tables import Tables

FIRST, LENGTH = date(2024, 1, 30), 4
"""Two days of one month and two of the next."""
SPAN = Days(FIRST, FIRST + timedelta(days=LENGTH - 1))
SOURCE = Recipe("p/raw/s", {"read": "1"}, by_day=True)
FEATURE = Recipe("p/features/f", {"sum": "1"}, {SOURCE.table: Reach(back=1)}, by_day=True)
TABLES = [SOURCE.table, FEATURE.table]
ANNA = "anna-10482"
Row = tuple[str, int]
Held = dict[date, tuple[Row, ...]]
"""Day → its rows, sorted."""

BERT = "bert-20592"
LISTS: list[list[Row]] = [[(BERT, 1)], [(ANNA, 1)], [(ANNA, 1), (BERT, 2)], [(BERT, 2), (BERT, 2)], []]
"""Few, so that runs often write what is there already."""
row_lists = st.sampled_from(LISTS)
spans = st.builds(
    lambda first, more: Days(FIRST + timedelta(days=first), FIRST + timedelta(days=min(first + more, LENGTH - 1))),
    st.integers(0, LENGTH - 1),
    st.integers(0, 2),
)


def table_of(held: Held) -> pa.Table:
    rows = [(who, value, day) for day, listed in held.items() for who, value in listed]
    who, value, day = zip(*rows, strict=True) if rows else ((), (), ())
    return pa.table(
        {"who": pa.array(who, pa.string()), "v": pa.array(value, pa.int64()), "_day": pa.array(day, pa.date32())}
    )


@dataclass
class Run:
    """A run of the feature: what it is to do, what of the source it has seen, and what it has written."""

    work: Work
    saw: Held
    commits: list[tuple[Commit, Held]] = field(default_factory=list)


class Project(RuleBasedStateMachine):
    """A source and a feature whose days are made of the source's same day and the day before."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(mkdtemp())
        self.tables = Tables(self.root / "tables")
        self.ledger = Ledger(self.root / "ledger", self.tables)
        self.held: dict[str, Held | None] = dict.fromkeys(TABLES)
        self.runs: list[Run] = []
        self.made: set[tuple[date, tuple[object, ...], tuple[Row, ...]]] = set()
        """Day, what of the source went into it, its rows: whatever a run has ever written down."""

    def teardown(self) -> None:
        shutil.rmtree(self.root)

    def replaced(self, table: str, span: Days, rows: list[Row]) -> tuple[Commit, Held]:
        new: Held = {day: tuple(sorted(rows)) for day in span if rows}
        commit = self.tables.replace(table, table_of(new), days=span)
        others = {day: there for day, there in (self.held[table] or {}).items() if day not in set(span)}
        self.held[table] = others | new
        return commit, new

    @staticmethod
    def inputs(source: Held, day: date) -> tuple[object, ...]:
        return source.get(day - timedelta(days=1), ()), source.get(day, ())

    @rule(table=st.sampled_from(TABLES), span=spans, rows=row_lists)
    def somebody_writes_days_and_dies(self, table: str, span: Days, rows: list[Row]) -> None:
        self.replaced(table, span, rows)

    @rule(table=st.sampled_from(TABLES), rows=row_lists)
    def somebody_writes_the_whole_table(self, table: str, rows: list[Row]) -> None:
        self.held[table] = {day: tuple(sorted(rows)) for day in SPAN if rows}
        self.tables.replace(table, table_of(self.held[table] or {}))

    @precondition(lambda self: self.held[SOURCE.table] is not None)
    @rule(day=st.sampled_from(list(SPAN)), rows=st.sampled_from(LISTS[:-1]), number=st.integers())
    def a_file_lands(self, day: date, rows: list[Row], number: int) -> None:
        source = self.held[SOURCE.table]
        assert source is not None
        version = self.tables.version(SOURCE.table)
        self.tables.add_files(SOURCE.table, Addition(table_of({day: tuple(rows)}), {f"{number}": "x"}), after=version)
        source[day] = tuple(sorted([*source.get(day, ()), *rows]))

    @precondition(lambda self: self.held[SOURCE.table] is not None)
    @rule(span=spans, changed=st.booleans())
    def the_source_notes_what_it_has_seen(self, span: Days, changed: bool) -> None:
        seen, work = self.ledger.contents(SOURCE.table), self.ledger.work(SOURCE, span, forced=True)
        if changed:
            self.replaced(SOURCE.table, span, [("carl-30303", 7)])
        self.ledger.note(SOURCE, work, seen, span)

    @precondition(lambda self: len(self.runs) < 3)
    @rule(span=spans, rows=row_lists)
    def a_run_begins_and_commits_its_first_piece(self, span: Days, rows: list[Row]) -> None:
        work = self.ledger.work(FEATURE, span, forced=True)
        self.runs.append(Run(work, dict(self.held[SOURCE.table] or {})))
        self.a_run_commits_its_next_piece(len(self.runs) - 1, rows)

    @precondition(lambda self: self.runs)
    @rule(which=st.integers(0, 2), rows=row_lists)
    def a_run_commits_its_next_piece(self, which: int, rows: list[Row]) -> None:
        run = self.runs[which % len(self.runs)]
        done = {str(day) for commit, _ in run.commits for day in commit.days or ()}
        left = [day for day in run.work.wanted if day not in done]
        if left:
            day = date.fromisoformat(left[0])
            run.commits.append(self.replaced(FEATURE.table, Days(day, day), rows))

    @precondition(lambda self: self.runs)
    @rule(which=st.integers(0, 2))
    def a_run_writes_down_what_it_did(self, which: int) -> None:
        run = self.runs.pop(which % len(self.runs))
        self.ledger.record(FEATURE, run.work, [commit for commit, _ in run.commits])
        for commit, new in run.commits:
            for day in commit.days or ():
                self.made.add((day, self.inputs(run.saw, day), new.get(day, ())))

    @rule(span=spans, rows=row_lists)
    def a_run_alone_makes_what_it_should(self, span: Days, rows: list[Row]) -> None:
        run = Run(self.ledger.work(FEATURE, span, forced=True), dict(self.held[SOURCE.table] or {}))
        run.commits.append(self.replaced(FEATURE.table, span, rows))
        self.runs.append(run)
        self.a_run_writes_down_what_it_did(len(self.runs) - 1)
        assert not self.ledger.work(FEATURE, span)

    @precondition(lambda self: any(held is not None for held in self.held.values()))
    @rule(table=st.sampled_from(TABLES))
    def somebody_removes_a_table(self, table: str) -> None:
        shutil.rmtree(self.root / "tables" / table, ignore_errors=True)
        self.held[table] = None

    @rule(table=st.sampled_from(TABLES), torn=st.sampled_from([b"", b'{"made": {', bytes(40)]))
    def an_entry_is_torn(self, table: str, torn: bytes) -> None:
        path = self.root / "ledger" / f"{table}.json"
        if path.exists():
            path.write_bytes(torn)

    @rule(table=st.sampled_from(TABLES))
    def a_person_is_erased(self, table: str) -> None:
        held = self.held[table]
        if held is None:
            return
        with self.ledger.erasing(table):
            rewrite_without(self.root / "tables" / table, Person("who", ANNA), datetime.now(UTC))
        kept = {day: tuple(row for row in rows if row[0] != ANNA) for day, rows in held.items()}
        self.held[table] = {day: rows for day, rows in kept.items() if rows}
        if table == FEATURE.table:
            self.made |= {(day, saw, kept.get(day, ())) for day, saw, rows in self.made if rows == held.get(day, ())}

    @rule(table=st.sampled_from(TABLES))
    def what_was_remembered_is_of_the_newest_version(self, table: str) -> None:
        if self.held[table] is not None:
            count = self.ledger.remembered(table, "rows", lambda: self.tables.count(table))
            assert count == sum(map(len, (self.held[table] or {}).values()))

    @invariant()
    def the_ledger_says_what_each_table_holds(self) -> None:
        for table, held in self.held.items():
            expected = contents_of(table_of(held).to_reader()) if held is not None else {}
            assert self.ledger.contents(table) == expected

    @invariant()
    def what_is_called_made_was_made_of_what_the_source_holds(self) -> None:
        source, feature = self.held[SOURCE.table] or {}, self.held[FEATURE.table] or {}
        work = self.ledger.work(FEATURE, SPAN)
        for day in SPAN:
            if str(day) not in work.reasons:
                assert (day, self.inputs(source, day), feature.get(day, ())) in self.made


TestProject = pytest.mark.slow(Project.TestCase)
TestProject.settings = settings(
    max_examples=25,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
