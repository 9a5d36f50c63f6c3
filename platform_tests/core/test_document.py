"""YAML is read strictly, and whatever is wrong with it is one error with file and line."""

import random
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.core.document import DEEPEST, LARGEST, is_declaration, parse_document, read_document
from headrace.core.errors import DeclarationError
from headrace.definitions import load_platform
from headrace.neighbours import declared_product

FLIGHTS = Path(__file__).parents[2] / "platform" / "products" / "flight_delays" / "defs.yaml"
BOMB = b"a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (BOMB, r"f:1: aliases and anchors"),
        (b"a: 1\nb: *a\n", r"f:2: aliases and anchors"),
        (b"a: 1\nb: !!python/object/apply:os.system [ls]\n", r"f:2: tags \(such as tag:yaml.org,2002:python"),
        (b"a: !mine 1\n", r"f:1: tags \(such as !mine\)"),
        (b"a: 1\nb: {c: 1,\n c: 2}\n", r"f:3: the key 'c' comes twice"),
        (b"a: 1\n1: x\n0x1: y\n", r"f:3: the key '1' comes twice"),
        (b"a: 1\n? [x]\n: 2\n", r"f:2: a key is a word"),
        (b"a:\n " + b"[" * 40 + b"]" * 40, rf"f:2: nested deeper than {DEEPEST}"),
        (b"[" * 100_000, rf"f:1: nested deeper than {DEEPEST}"),
        (b"a: 1\n" + b"# \n" * LARGEST, r"f:1: larger than 1 MiB"),
        (b"a: 1\nb: \xff\n", r"f:2: this is not UTF-8"),
        (b"a: 1\nb: \x00\n", r"f:\d: this is not YAML"),
        (b"a: 1\nb: [\n", r"f:\d: this is not YAML"),
        (b"a: 1\n---\nb: 2\n", r"f:2: this is not YAML"),
        (b"a: 1\nb: 2013-13-45\n", r"f:2: '2013-13-45' is no timestamp"),
        (b"a: " + b"9" * 5000, r"f:1: '9999.* is no int"),
    ],
)
def test_what_could_swell_run_or_mislead_is_refused_with_its_line(text: bytes, says: str) -> None:
    with pytest.raises(DeclarationError, match=says):
        parse_document(text, "f")


def test_a_merge_key_is_a_key_like_others() -> None:
    assert parse_document(b"a: {<<: {b: 1}}", "f") == {"a": {"<<": {"b": 1}}}


def test_an_empty_file_holds_nothing() -> None:
    assert parse_document(b"# nothing\n", "f") is None


Plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text() | st.dates(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None)
@given(Plain)
def test_whatever_is_written_plainly_is_read_as_it_was(said: object) -> None:
    class Plainly(yaml.SafeDumper):
        def ignore_aliases(self, _: object) -> bool:
            return True

    assert parse_document(yaml.dump(said, Dumper=Plainly).encode(), "f") == said


def test_the_flights_are_read_as_other_readers_read_them() -> None:
    assert read_document(FLIGHTS) == yaml.safe_load(FLIGHTS.read_text())


@pytest.mark.parametrize(
    ("text", "ours"),
    [("type: headrace.Product", True), ("x: 1\n'type' : \"headrace.Product\"", True), ("type: dg.Other", False)],
)
def test_a_file_says_itself_whether_it_is_a_declaration(tmp_path: Path, text: str, ours: bool) -> None:
    (tmp_path / "defs.yaml").write_text(text)
    assert is_declaration(tmp_path / "defs.yaml") is ours


def test_dagster_is_given_no_declaration_that_could_swell(tmp_path: Path) -> None:
    (tmp_path / "products" / "one").mkdir(parents=True)
    (tmp_path / "products" / "one" / "defs.yaml").write_bytes(b"type: headrace.Product\n" + BOMB)
    with pytest.raises(DeclarationError, match=r"defs.yaml:2: aliases and anchors"):
        load_platform(tmp_path / "products")


def mutated(text: bytes, chance: random.Random) -> bytes:
    """Return the text with one to four of its bytes or lines changed, doubled, moved or gone."""
    for _ in range(chance.randint(1, 4)):
        at, to = chance.randrange(len(text)), chance.randrange(len(text))
        lines = text.splitlines(keepends=True)
        line = chance.randrange(len(lines))
        noise = bytes(chance.choice(b"{}[]:,&*!|>%@`'\"\\#- \t\n\x00\xff0aN") for _ in range(chance.randint(1, 3)))
        text = chance.choice(
            [
                text[:at] + noise + text[at:],
                text[:at] + noise + text[at + len(noise) :],
                text[:at] + text[at + chance.randint(1, 9) :],
                b"".join(lines[:line] + lines[line : line + 1] + lines[line:]),
                b"".join(lines[:line] + lines[line + 1 :]),
                text[:at] + text[to : to + 20] + text[at:],
            ]
        )
    return text


@pytest.mark.slow
def test_twenty_thousand_mutations_give_a_product_or_one_kind_of_error_with_a_line(tmp_path: Path) -> None:
    chance, original, file = random.Random(11), FLIGHTS.read_bytes(), tmp_path / "defs.yaml"
    loaded, refused = 0, []
    for _ in range(20_000):
        file.write_bytes(mutated(original, chance))
        try:
            declared_product(read_document(file), file)
            loaded += 1
        except DeclarationError as error:
            refused.append(str(error))
    assert [text for text in refused if not text.removeprefix(f"{file}:").partition(":")[0].isdigit()] == []
    assert loaded > 1000
    assert len(refused) > 1000
