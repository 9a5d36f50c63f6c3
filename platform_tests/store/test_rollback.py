"""Rollback: an earlier model is live again at once, which is written down and can be undone."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from headrace.core.errors import DigestMismatch, Refused
from headrace.store.models import Models
from headrace.store.releases import Release, Releases, rolled_back_from
from headrace.store.rollback import Return, roll_back

NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)


class Shop:
    """Three models, each with an outcome of its own decision."""

    def __init__(self, folder: Path, *outcomes: str) -> None:
        self.releases, self.models = Releases(folder / "logs", folder / "witness"), Models(folder / "models")
        self.digests = [self.models.put({"model.txt": f"model {number}".encode()}) for number, _ in enumerate(outcomes)]
        for number, outcome in enumerate(outcomes):
            decision = {"outcome": outcome, "model": self.digests[number], "at": NOON + timedelta(days=number)}
            self.releases.decide("shop", decision | {"who": "a test", "why": "to see", "evidence": {}}, after=number)

    def back(self, to: str | None = None, why: str = "it scores badly", who: str = "ada") -> Release:
        return roll_back(self.releases, self.models, "shop", Return(who, why, NOON + timedelta(days=9), to))

    @property
    def live(self) -> int:
        live = self.releases.live("shop")
        assert live
        return self.digests.index(live.model)


def test_the_release_before_is_live_again_and_the_log_says_who_why_and_instead_of_what(tmp_path: Path) -> None:
    shop = Shop(tmp_path, "released", "refused", "released")
    decision = shop.back()
    assert (decision.outcome, decision.replaces, decision.back_to, decision.who) == ("rolled back", 3, 1, "ada")
    assert decision.why == "it scores badly; back from release 3 to release 1"
    assert shop.live == 0


def test_a_rollback_is_undone_by_another_one(tmp_path: Path) -> None:
    shop = Shop(tmp_path, "released", "released")
    shop.back()
    shop.back()
    assert shop.live == 1
    assert [d.outcome for d in shop.releases.all("shop")] == ["released", "released", "rolled back", "rolled back"]
    assert shop.releases.live("shop", NOON + timedelta(days=2)) == shop.releases.all("shop")[1]


@pytest.mark.parametrize("word", ["number", "digest"])
def test_it_goes_back_to_any_release_by_number_or_by_digest(tmp_path: Path, word: str) -> None:
    shop = Shop(tmp_path, "released", "released", "released")
    shop.back("1" if word == "number" else shop.digests[0][:6])
    assert shop.live == 0


@pytest.mark.parametrize(
    ("outcomes", "to", "words"),
    [
        (("refused",), None, "No model of shop is live"),
        (("released",), None, "Release 1 is the first of shop"),
        (("released", "refused", "released"), "2", "Decision 2 of shop is 'refused': model .* was never live"),
        (("released", "released"), "2", "is live already"),
        (("released", "released"), "7", "No release of shop is named '7'"),
        (("released", "released"), "abc", "6 or more characters"),
    ],
)
def test_a_rollback_to_what_was_never_live_is_refused_in_words(
    tmp_path: Path, outcomes: tuple[str, ...], to: str | None, words: str
) -> None:
    shop = Shop(tmp_path, *outcomes)
    with pytest.raises(Refused, match=words):
        shop.back(to)
    assert len(shop.releases.all("shop")) == len(outcomes)


@pytest.mark.parametrize(("why", "who", "words"), [(" ", "ada", "say why, --why"), ("bad", "", "say who, --by")])
def test_a_rollback_without_a_reason_or_a_name_is_refused(tmp_path: Path, why: str, who: str, words: str) -> None:
    with pytest.raises(Refused, match=words):
        Shop(tmp_path, "released", "released").back(why=why, who=who)


def test_a_model_whose_files_are_gone_or_edited_is_refused_and_the_live_one_stays(tmp_path: Path) -> None:
    shop = Shop(tmp_path, "released", "released", "released")
    shop.models.remove(shop.digests[0])
    with pytest.raises(Refused, match="are gone: it cannot be live again"):
        shop.back("1")
    (tmp_path / "models" / shop.digests[1] / "model.txt").write_text("another")
    with pytest.raises(DigestMismatch):
        shop.back("2")
    assert shop.live == 2


def test_what_was_rolled_back_is_known_until_it_is_live_again(tmp_path: Path) -> None:
    shop = Shop(tmp_path, "released", "released")
    decision = shop.back()
    assert rolled_back_from(shop.releases.all("shop"), shop.digests[1]) == decision
    assert rolled_back_from(shop.releases.all("shop"), shop.digests[0]) is None
    shop.back()
    assert rolled_back_from(shop.releases.all("shop"), shop.digests[1]) is None
