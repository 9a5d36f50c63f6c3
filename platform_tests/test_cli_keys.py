"""The commands about API keys, as a person types them."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from headrace.access.keyring import Key
from headrace.access.keys import EXPIRED, REVOKED, Denied, keys_of
from headrace.cli import main
from headrace.core.place import Place
from platform_tests.end_to_end.shop import make_project

SECRET = "0123456789abcdef" * 4


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("HEADRACE_HOME", raising=False)
    monkeypatch.delenv("HEADRACE_KEYS_SECRET", raising=False)
    root = make_project(tmp_path / "shop")
    monkeypatch.chdir(root)
    return root


def headrace(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


def created(*words: str) -> str:
    done = headrace("keys", "create", "shop", "--name", "mobile", "--scope", "predict", *words)
    assert done.exit_code == 0, done.output
    return done.stdout.strip()


def checked(root: Path, text: str, after: timedelta = timedelta(), secret: str | None = None) -> Key | Denied:
    place = Place.of_environment(root, {"HEADRACE_KEYS_SECRET": secret} if secret else {})
    return keys_of(place, "shop").check(f"Bearer {text}".encode(), "predict", datetime.now(UTC) + after)


def test_a_key_is_made_shown_alone_and_let_in_until_it_expires(root: Path) -> None:
    text = created("--expires", "2h")
    assert text.startswith("hr_")
    assert "\n" not in text
    assert isinstance(checked(root, text), Key)
    assert checked(root, text, timedelta(hours=2)) == EXPIRED


def test_what_is_to_be_known_of_a_new_key_stands_beside_it(root: Path) -> None:
    done = headrace("keys", "create", "shop", "--name", "mobile", "--scope", "predict", "--expires", "never")
    assert "for predict, expires never. It is shown this once" in done.stderr
    assert done.stdout.strip() not in done.stderr


def test_rotating_shows_a_second_key_and_both_are_let_in_meanwhile(root: Path) -> None:
    old = created()
    new = headrace("keys", "rotate", "shop", "--name", "mobile", "--grace", "1h").stdout.strip()
    assert new != old
    assert isinstance(checked(root, old), Key)
    assert isinstance(checked(root, new), Key)
    assert checked(root, old, timedelta(hours=1)) == EXPIRED


def test_a_revoked_key_is_let_in_no_more(root: Path) -> None:
    text = created()
    done = headrace("keys", "revoke", "shop", text.split("_")[1])
    assert done.exit_code == 0, done.output
    assert "of mobile is revoked since" in done.output
    assert checked(root, text) == REVOKED


def test_the_list_shows_every_key_and_no_secret(root: Path) -> None:
    texts = [created(), headrace("keys", "rotate", "shop", "--name", "mobile").stdout.strip()]
    headrace("keys", "revoke", "shop", texts[0].split("_")[1])
    shown, told = headrace("keys", "list", "shop").output, headrace("keys", "list", "shop", "--json").output
    assert [line.split()[:3] for line in shown.splitlines()[1:]] == [
        [texts[0].split("_")[1], "mobile", "revoked"],
        [texts[1].split("_")[1], "mobile", "live"],
    ]
    assert [fact["state"] for fact in json.loads(told)] == ["revoked", "live"]
    stored = json.loads((root / ".headrace" / "keys" / "shop.json").read_bytes().rpartition(b"\n")[0])
    for secret in [*(text.split("_", 2)[2] for text in texts), *(fact["digest"] for fact in stored)]:
        assert secret not in shown + told


def test_the_list_of_a_product_without_keys_says_that_all_are_denied(root: Path) -> None:
    assert "shop has no keys: every request is denied." in headrace("keys", "list", "shop").output


def test_the_secret_of_the_environment_is_what_keys_are_made_under(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_KEYS_SECRET", SECRET)
    text = created()
    assert isinstance(checked(root, text, secret=SECRET), Key)
    assert not list((root / ".headrace" / "keys").glob("*.secret"))
    monkeypatch.setenv("HEADRACE_KEYS_SECRET", "short")
    assert "HEADRACE_KEYS_SECRET has 5 characters: it needs 32" in headrace("keys", "list", "shop").output


def test_a_damaged_file_is_said_in_words_and_not_written_over(root: Path) -> None:
    created()
    file = root / ".headrace" / "keys" / "shop.json"
    file.write_bytes(damaged := file.read_bytes()[:-1])
    for words in (("list", "shop"), ("create", "shop", "--name", "other", "--scope", "predict")):
        done = headrace("keys", *words)
        assert done.exit_code == 1
        assert "shop.json is damaged, or was written under another secret: no key is let in." in done.output
    assert file.read_bytes() == damaged


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("create", "shop", "--name", "M", "--scope", "predict"), "'M' is no name"),
        (("create", "shop", "--name", "m", "--scope", "predct"), "Did you mean 'predict'?"),
        (("create", "shop", "--name", "m", "--scope", "predict", "--expires", "soon"), "'soon' is not a duration"),
        (("create", "shop", "--name", "m", "--scope", "predict", "--expires", "0d"), "is never let in"),
        (("create", "shop", "--name", "m", "--scope", "predict", "--expires", "99999999999d"), "Error: Invalid value"),
        (("create", "shop", "--name", "m", "--scope", "predict", "--expires", "99999d"), "longer than a hundred years"),
        (("create", "shpo", "--name", "m", "--scope", "predict"), "Did you mean 'shop'?"),
        (("create", "../shop", "--name", "m", "--scope", "predict"), "no product '../shop'"),
        (("rotate", "shop", "--name", "m", "--grace", "never"), "'never' is not a duration"),
        (("rotate", "shop", "--name", "m"), "'m' has no live key"),
        (("revoke", "shop", "nobody"), "No key has the id 'nobody'"),
    ],
)
def test_what_cannot_be_done_is_said_in_words(root: Path, words: tuple[str, ...], said: str) -> None:
    done = headrace("keys", *words)
    assert done.exit_code != 0
    assert said in done.output
    assert "Traceback" not in done.output
