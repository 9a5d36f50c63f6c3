"""Models that a product would have trained on a day of its history: each is trained once, whichever policies ask for it."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headrace.backtest.history import History
from headrace.backtest.once import Once
from headrace.core.errors import DataError, NoRows
from headrace.evaluation.declaration import Gate
from headrace.evaluation.duel import Duel, compare
from headrace.evaluation.evaluate import Measuring, Sampling, evaluation_of, sample
from headrace.evaluation.gate import Verdict, judge
from headrace.evaluation.metrics import HALF
from headrace.models.blocks import local_days
from headrace.models.declaration import Model
from headrace.models.fit import fit_model
from headrace.models.meta import Input
from headrace.models.predict import SCORE, Predictor
from headrace.models.profile import Profile, profile_of
from headrace.models.split import Split, split_rows, unseen_by
from headrace.models.trainer import Beside
from headrace.models.words import COUNTS, UNITS
from headrace.monitoring.calibrate import calibrate
from headrace.monitoring.declaration import Drift
from headrace.monitoring.drift import DayProfile, Limits

QUICKER = 4
"""By how many times fewer trees, with a learning rate as much greater, boosted trees are replayed where it may be quick."""
FASTEST, USUAL = 0.3, 0.1
"""The greatest learning rate of a quick replay, and that of a learner whose declaration says none."""
SCORE_INPUT = Input(name=SCORE, kind="numeric")
Scores = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Challenger:
    """A model, when it was trained, and what that took."""

    at: datetime
    predictor: Predictor
    newest: datetime
    """The prediction time of the newest row that it was judged on."""
    rows: int
    """How many labelled rows were known."""
    cpu_seconds: float
    """Of the thread that trained it: no other helps."""
    scores: Once[Scores] = field(default_factory=Once)
    profiles: Once[Profile] = field(default_factory=Once)


@dataclass(frozen=True)
class Judging:
    """How a product's models are trained and judged."""

    model: Model
    measuring: Measuring
    gates: Sequence[Gate]
    beside: Beside

    @property
    def replayed(self) -> list[Gate]:
        """The gates that rows and labels decide; a server, a store or the code of then is not there."""
        return [gate for gate in self.gates if gate.metric not in (*UNITS, *COUNTS)]

    @property
    def left_out(self) -> list[str]:
        """The others, in words."""
        kept = self.replayed
        return [str(gate) for gate in self.gates if gate not in kept]


def quicker(model: Model) -> Model:
    """Return a model of a quarter of the trees that learns four times as fast; one that is not LightGBM's as it is."""
    if model.learner != "lightgbm" or model.trees < 2 * QUICKER:
        return model
    rate = min(QUICKER * float(model.params.get("learning_rate", USUAL)), FASTEST)
    return model.model_copy(update={"trees": model.trees // QUICKER, "params": {**model.params, "learning_rate": rate}})


class Challengers:
    """The models of all days that were asked for."""

    def __init__(self, history: History, judging: Judging, say: Callable[[str], None]) -> None:
        self._history, self._judging, self._say = history, judging, say
        self._made: Once[Challenger | str] = Once()
        self._verdicts: Once[list[Verdict]] = Once()
        self._references: Once[tuple[Profile, Limits]] = Once()

    def __len__(self) -> int:
        return len(self._made)

    def at(self, now: datetime) -> Challenger | str:
        """Return the model of what is known at a moment; in words why there is none, where it cannot be trained."""
        return self._made.of(now, lambda: self._train(now))

    def verdicts(self, challenger: Challenger, champion: Challenger | None) -> list[Verdict]:
        """Return what the gates say, relative ones on the rows that neither could have seen."""
        key = (challenger.at, champion.at if champion else None)
        return self._verdicts.of(key, lambda: self._judged(challenger, champion))

    def scores(self, challenger: Challenger, day: date) -> Scores:
        """Return what a model says of the rows of a day."""
        return challenger.scores.of(day, lambda: challenger.predictor.predict(self._rows(day)))

    def day_profile(self, challenger: Challenger, day: date, policy: Drift, *, own: bool) -> DayProfile:
        """Return what the rows of a day look like over the bins of a model's training set, with its scores if it gave them."""
        profile = challenger.profiles.of(day, lambda: self._profiled(challenger, day, policy))
        return DayProfile(day, profile if own else {name: one for name, one in profile.items() if name != SCORE})

    def reference(self, challenger: Challenger, policy: Drift) -> tuple[Profile, Limits]:
        """Return the profile of the rows that a model was trained on, with its scores of test rows, and calibrated limits."""
        return self._references.of(challenger.at, lambda: self._referred(challenger, policy))

    def _judged(self, challenger: Challenger, champion: Challenger | None) -> list[Verdict]:
        test, measuring = self._split(challenger.at).test, self._judging.measuring
        evaluation = evaluation_of(test, self._sampled(challenger, test), measuring)
        duel = self._duel(challenger, champion, test) if champion else None
        return judge(self._judging.replayed, evaluation, duel)

    def _profiled(self, challenger: Challenger, day: date, policy: Drift) -> Profile:
        rows = self._rows(day).append_column(SCORE, pa.array(self.scores(challenger, day)))
        reference, _ = self.reference(challenger, policy)
        return profile_of(rows, [*challenger.predictor.inputs, SCORE_INPUT], reference)

    def _referred(self, challenger: Challenger, policy: Drift) -> tuple[Profile, Limits]:
        split, inputs = self._split(challenger.at), challenger.predictor.inputs
        scored = split.test.append_column(SCORE, pa.array(challenger.predictor.predict(split.test)))
        reference = profile_of(split.train, inputs) | profile_of(scored, [SCORE_INPUT])
        if policy.threshold != "calibrated":
            return reference, {}
        return reference, calibrate(self._by_day(split.train, inputs, reference), reference, policy).limits

    def _by_day(self, rows: pa.Table, inputs: Sequence[Input], reference: Profile) -> list[DayProfile]:
        days = local_days(rows[self._history.label.time], self._history.zone.key).to_numpy()
        starts = np.flatnonzero(np.concatenate(([True], days[1:] != days[:-1])))
        spans = zip(starts, [*starts[1:], len(days)], strict=True)
        return [
            DayProfile(days[start].item(), profile_of(rows.slice(start, end - start), inputs, reference))
            for start, end in spans
        ]

    def _rows(self, day: date) -> pa.Table:
        place = self._history.between(day, day)
        return self._history.rows.slice(place.start, place.stop - place.start)

    def _split(self, now: datetime) -> Split:
        return split_rows(self._history.known_at(now), self._history.label, self._judging.model.split)

    def _train(self, now: datetime) -> Challenger | str:
        judging, known = self._judging, self._history.known_at(now)
        self._say(f"training {len(self) + 1}: what was known at {now:%Y-%m-%d %H:%M} UTC")
        began = time.thread_time()
        try:
            split = self._split(now)
            fit = fit_model(split.train, self._history.label, judging.model, _silent, judging.beside)
        except (NoRows, DataError) as error:
            return str(error)
        newest = pc.max(split.test[self._history.label.time]).as_py()
        return Challenger(now, fit.predictor, newest, known.num_rows, time.thread_time() - began)

    def _duel(self, challenger: Challenger, champion: Challenger, test: pa.Table) -> Duel | None:
        metas = [challenger.predictor.meta, champion.predictor.meta]
        common = unseen_by(metas, test, self._history.label)
        ours, theirs = (self._sampled(one, common) for one in (challenger, champion))
        return compare(common, ours, theirs, self._judging.measuring)

    def _sampled(self, challenger: Challenger, rows: pa.Table) -> Sampling:
        aim, threshold = self._judging.measuring.aim, challenger.predictor.tuned.threshold
        decision = replace(aim.decision, threshold=HALF if threshold is None else threshold)
        measuring = replace(self._judging.measuring, aim=replace(aim, decision=decision))
        return sample(rows, challenger.predictor.predict(rows), measuring)


def _silent(_: str) -> None:
    """Take the words of a training without one."""
