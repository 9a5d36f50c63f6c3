"""API keys: shown once, hashed at rest, looked at on each request, and never let in when in doubt."""

import json
import logging
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.access.keyring import Key, Keyring
from headrace.access.keys import (
    EXPIRED,
    MALFORMED,
    MISSING,
    REVOKED,
    UNKNOWN,
    UNREADABLE,
    Denied,
    Issued,
    Keys,
    keys_of,
)
from headrace.core.errors import Refused, StoreError
from headrace.core.place import Place
from headrace.store.leftovers import staged_leftovers
from platform_tests.waiting import eventually

NOW = datetime(2024, 7, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys" / "shop.json"


def make_key(path: Path, name: str = "mobile", scopes: tuple[str, ...] = ("predict",), **more: timedelta) -> Issued:
    return Keys(path).create(name, scopes, NOW, NOW + more.get("lasts", 90 * timedelta(days=1)))


def bearer(issued: Issued) -> bytes:
    return f"Bearer {issued.text}".encode()


def checked(path: Path, header: bytes | None, scope: str = "predict", now: datetime = NOW) -> Key | Denied:
    return Keys(path).check(header, scope, now)


def test_a_key_lets_its_holder_in_to_its_scopes_and_no_others(path: Path) -> None:
    issued = make_key(path, scopes=("predict", "explain"))
    assert checked(path, bearer(issued)) == issued.key
    assert checked(path, bearer(issued), "explain") == issued.key
    refused = checked(path, bearer(issued), "metrics")
    assert isinstance(refused, Denied)
    assert (refused.status, refused.code) == (403, "scope_missing")
    assert "may not metrics: it may explain, predict" in refused.detail


def test_a_key_has_an_id_of_12_digits_and_a_secret_of_256_bits(path: Path) -> None:
    mark, id_, secret = make_key(path).text.split("_", 2)
    assert (mark, len(id_)) == ("hr", 12)
    assert len(secret) == 43
    assert int(id_, 16) >= 0


def test_no_header_another_scheme_and_an_unknown_key_are_denied(path: Path) -> None:
    text = make_key(path).text
    assert checked(path, None) == MISSING
    assert checked(path, b"Basic " + text.encode()) == MALFORMED
    assert checked(path, text.encode()) == MALFORMED
    assert checked(path, f"Bearer {text} ".encode()) == MALFORMED
    assert checked(path, f"Bearer {text}\n".encode()) == MALFORMED
    assert checked(path, f"Bearer hr_{'0' * 12}_{text[-43:]}".encode()) == UNKNOWN
    assert checked(path, f"Bearer {text[:-1]}{'A' if text[-1] != 'A' else 'B'}".encode()) == UNKNOWN


def test_where_no_key_was_ever_made_everybody_is_denied(path: Path) -> None:
    assert checked(path, b"Bearer hr_" + b"0" * 12 + b"_" + b"A" * 43) == UNKNOWN
    assert checked(path, None) == MISSING


def test_a_key_is_let_in_until_the_moment_at_which_it_expires(path: Path) -> None:
    issued = make_key(path, lasts=HOUR)
    keys = Keys(path)
    assert keys.check(bearer(issued), "predict", NOW + HOUR - timedelta(microseconds=1)) == issued.key
    assert keys.check(bearer(issued), "predict", NOW + HOUR) == EXPIRED


def test_a_wrong_secret_is_not_told_that_the_key_was_revoked_or_has_expired(path: Path) -> None:
    issued = make_key(path, lasts=HOUR)
    forged = bearer(issued)[:-43] + b"A" * 43
    assert checked(path, forged, now=NOW + 2 * HOUR) == UNKNOWN
    Keys(path).revoke(issued.key.id, NOW)
    assert checked(path, forged) == UNKNOWN
    assert checked(path, bearer(issued)) == REVOKED


def test_a_key_that_was_remembered_is_denied_within_2_s_of_its_revocation_by_another_process(path: Path) -> None:
    issued, keys = make_key(path), Keys(path)
    assert keys.check(bearer(issued), "predict", NOW) == issued.key
    code = (
        "import sys; from datetime import UTC, datetime; from pathlib import Path; from headrace.access.keys import Keys; "
        "Keys(Path(sys.argv[1])).revoke(sys.argv[2], datetime.now(UTC))"
    )
    subprocess.run([sys.executable, "-c", code, str(path), issued.key.id], check=True)
    assert eventually(lambda: keys.check(bearer(issued), "predict", NOW) == REVOKED)


def test_a_new_key_is_let_in_without_a_restart(path: Path) -> None:
    keys = Keys(path)
    assert keys.check(None, "predict", NOW) == MISSING
    issued = make_key(path)
    assert eventually(lambda: keys.check(bearer(issued), "predict", NOW) == issued.key)


def test_rotating_gives_a_second_live_key_and_lets_the_old_one_end(path: Path) -> None:
    old = make_key(path, scopes=("predict", "metrics"))
    new = Keys(path).rotate("mobile", NOW, HOUR, None)
    assert new.key.scopes == {"predict", "metrics"}
    assert new.key.expires is None
    for issued in (old, new):
        assert isinstance(checked(path, bearer(issued)), Key)
    assert checked(path, bearer(old), now=NOW + HOUR) == EXPIRED
    assert checked(path, bearer(new), now=NOW + HOUR) == new.key


def test_rotating_never_lengthens_the_life_of_the_old_key(path: Path) -> None:
    old = make_key(path, lasts=HOUR)
    Keys(path).rotate("mobile", NOW, 5 * HOUR, None)
    assert checked(path, bearer(old), now=NOW + HOUR) == EXPIRED


def test_a_name_has_two_live_keys_at_most(path: Path) -> None:
    old = make_key(path)
    with pytest.raises(Refused, match="'mobile' has a live key: rotate it"):
        make_key(path)
    Keys(path).rotate("mobile", NOW, HOUR, None)
    with pytest.raises(Refused, match=f"two live keys, {old.key.id} and"):
        Keys(path).rotate("mobile", NOW, HOUR, None)
    assert Keys(path).rotate("mobile", NOW + 2 * HOUR, HOUR, None).key.name == "mobile"


def test_rotating_a_name_without_a_live_key_suggests_a_near_one(path: Path) -> None:
    make_key(path)
    with pytest.raises(Refused, match=r"'mobil' has no live key\. Did you mean 'mobile'"):
        Keys(path).rotate("mobil", NOW, HOUR, None)


def test_revoking_what_nobody_knows_is_refused_and_twice_is_once(path: Path) -> None:
    issued = make_key(path)
    with pytest.raises(Refused, match="No key has the id '0'"):
        Keys(path).revoke("0", NOW)
    first = Keys(path).revoke(issued.key.id, NOW)
    assert Keys(path).revoke(issued.key.id, NOW + HOUR) == first


@pytest.mark.parametrize("name", ["", "Mobile", "../x", "a\0", "a" * 64, "mobile\n"])
def test_a_name_is_a_plain_word(path: Path, name: str) -> None:
    with pytest.raises(Refused, match="is no name"):
        make_key(path, name)


def test_a_scope_that_is_none_and_an_end_that_is_over_are_refused(path: Path) -> None:
    with pytest.raises(Refused, match=r"'predct' is no scope: .* metrics\. Did you mean 'predict'"):
        make_key(path, scopes=("predct",))
    with pytest.raises(Refused, match="A key without a scope may do nothing"):
        make_key(path, scopes=())
    with pytest.raises(Refused, match="is never let in"):
        make_key(path, lasts=-HOUR)


def test_no_secret_stands_in_the_file_nor_in_what_a_key_shows_and_others_cannot_read_it(path: Path) -> None:
    issued = make_key(path)
    secret = issued.text.rpartition("_")[2]
    for file in path.parent.iterdir():
        assert secret.encode() not in file.read_bytes()
    for file in (path, path.with_suffix(".secret")):
        assert file.stat().st_mode & 0o777 == 0o600
    assert secret not in repr(issued)
    assert issued.key.digest.hex() not in repr(issued)


def test_a_byte_changed_in_the_file_or_its_secret_lets_nobody_in_and_says_so_in_the_log(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    issued, random = make_key(path), Random(7)
    for file in (path, path.with_suffix(".secret")):
        whole = file.read_bytes()
        for place in random.sample(range(len(whole)), min(len(whole), 60)):
            file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
            assert checked(path, bearer(issued)) == UNREADABLE
        for cut in (0, 1, len(whole) // 2, len(whole) - 1):
            file.write_bytes(whole[:cut])
            assert checked(path, bearer(issued)) == UNREADABLE
        file.write_bytes(whole)
    assert checked(path, bearer(issued)) == issued.key
    assert {record.levelno for record in caplog.records} == {logging.CRITICAL}
    assert "every request is denied" in caplog.text
    assert issued.text not in caplog.text


def test_a_server_that_runs_denies_all_while_the_file_is_damaged_and_recovers(path: Path) -> None:
    issued, keys = make_key(path), Keys(path)
    whole = path.read_bytes()
    assert keys.check(bearer(issued), "predict", NOW) == issued.key
    path.write_bytes(whole[:-1])
    assert eventually(lambda: keys.check(bearer(issued), "predict", NOW) == UNREADABLE)
    path.write_bytes(whole)
    assert eventually(lambda: keys.check(bearer(issued), "predict", NOW) == issued.key)


def test_a_secret_that_is_gone_is_not_made_anew_over_keys_that_are_there(path: Path) -> None:
    issued = make_key(path)
    path.with_suffix(".secret").unlink()
    assert checked(path, bearer(issued)) == UNREADABLE
    with pytest.raises(StoreError, match="Restore the file from a backup"):
        make_key(path, "other")


def test_the_secret_of_the_environment_takes_the_place_of_the_file(tmp_path: Path) -> None:
    place = Place.of_environment(tmp_path, {"HEADRACE_KEYS_SECRET": "s" * 32})
    issued = keys_of(place, "shop").create("mobile", ["predict"], NOW, None)
    assert not list(place.keys.glob("*.secret"))
    assert "s" * 32 not in repr(place)
    assert keys_of(place, "shop").check(bearer(issued), "predict", NOW) == issued.key
    other = Place.of_environment(tmp_path, {"HEADRACE_KEYS_SECRET": "t" * 32})
    assert keys_of(other, "shop").check(bearer(issued), "predict", NOW) == UNREADABLE
    with pytest.raises(Refused, match="HEADRACE_KEYS_SECRET has 5 characters"):
        keys_of(Place.of_environment(tmp_path, {"HEADRACE_KEYS_SECRET": "short"}), "shop")


def test_a_key_of_one_product_is_none_of_another(tmp_path: Path) -> None:
    place = Place.at(tmp_path)
    issued = keys_of(place, "shop").create("mobile", ["predict"], NOW, None)
    keys_of(place, "bank").create("mobile", ["predict"], NOW, None)
    assert keys_of(place, "bank").check(bearer(issued), "predict", NOW) == UNKNOWN


def test_keys_that_processes_make_at_the_same_time_are_all_there(path: Path) -> None:
    code = (
        "import sys; from datetime import UTC, datetime; from pathlib import Path; from headrace.access.keys import Keys\n"
        "for n in range(5): Keys(Path(sys.argv[1])).create(f'{sys.argv[2]}{n}', ['predict'], datetime.now(UTC), None)"
    )
    makers = [subprocess.Popen([sys.executable, "-c", code, str(path), name]) for name in ("a", "b", "c")]
    assert [maker.wait() for maker in makers] == [0, 0, 0]
    assert sorted(key.name for key in Keys(path).all()) == sorted(f"{maker}{n}" for maker in "abc" for n in range(5))


def test_what_is_remembered_of_headers_is_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headrace.access.keys.MOST_REMEMBERED", 3)
    issued = [make_key(path, f"k{n}") for n in range(6)]
    keys = Keys(path)
    for _ in range(2):
        assert [keys.check(bearer(one), "predict", NOW) for one in issued] == [one.key for one in issued]
    assert len(keys._remembered) == 3


def test_keys_are_read_as_they_were_written(path: Path) -> None:
    issued = [make_key(path, f"k{n}").key for n in range(3)]
    assert Keyring(path).read() == issued
    assert [fact["id"] for fact in json.loads(path.read_bytes().rpartition(b"\n")[0])] == [key.id for key in issued]


def test_what_a_killed_command_has_staged_is_found(tmp_path: Path) -> None:
    keys_of(Place.at(tmp_path), "shop").create("mobile", ["predict"], NOW, None)
    done = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], check=True, capture_output=True)
    staged = Place.at(tmp_path).keys / f".shop.json.1.{int(done.stdout)}"
    staged.write_bytes(b"half")
    found = list(staged_leftovers(Place.at(tmp_path).home, datetime.now(UTC), timedelta(days=1)))
    assert [leftover.path for leftover in found] == [staged]


@settings(max_examples=300)
@given(header=st.one_of(st.binary(max_size=200), st.binary(max_size=80).map(b"Bearer hr_".__add__)))
def test_no_header_whatever_raises_or_is_let_in(tmp_path_factory: pytest.TempPathFactory, header: bytes) -> None:
    keys = _one_key(tmp_path_factory)
    denied = keys.check(header, "predict", NOW)
    assert denied in (MALFORMED, UNKNOWN)


_made: list[Keys] = []


def _one_key(folders: pytest.TempPathFactory) -> Keys:
    if not _made:
        path = folders.mktemp("keys") / "shop.json"
        make_key(path)
        _made.append(Keys(path))
    return _made[0]
