"""A text that matches a regular expression, for examples: plain expressions alone, others have none."""

import re
import string

from headrace.serving.contract import Pattern

LONGEST = 200
_CANDIDATES = "a1A" + string.ascii_lowercase + string.digits + string.ascii_uppercase + string.punctuation + " "
_ESCAPED = {"d": "1", "w": "a", "s": " ", "D": "a", "W": " ", "S": "a", "n": "\n", "t": "\t", "r": "\r"}
_SETS = ("[", "&&", "~~", "||", "--")
"""What only one of RE2 and Python takes for an operation on sets, or may one day."""
_EDGES = "bBAz"
_NAMED = re.compile(r"\(\?P?<\w+>")
_COUNTED = re.compile(r"\{(\d+)(?:,(\d*))?\}")


def text_matching(pattern: str) -> str | None:
    """Return a short text that the expression matches as a whole, or None where none is found."""
    try:
        text = _Written(pattern).text()
    except _Unknown:
        return None
    return text if Pattern(pattern)(text) else None


class _Unknown(Exception):
    """A part of an expression that no text is made of."""


class _Written:
    """Reads an expression from left to right, and writes a text that it matches: the first of alternatives, the fewest of repeats."""

    def __init__(self, pattern: str) -> None:
        self._pattern, self._at = pattern, 0

    def text(self) -> str:
        text = self._alternatives()
        if self._at < len(self._pattern):
            raise _Unknown
        return text

    def _alternatives(self) -> str:
        first = self._sequence()
        while self._takes("|"):
            self._sequence()
        return first

    def _sequence(self) -> str:
        text = ""
        while self._at < len(self._pattern) and self._pattern[self._at] not in "|)":
            atom, times = self._atom(), self._times()
            if len(text) + len(atom) * times > LONGEST:
                raise _Unknown
            text += atom * times
        return text

    def _atom(self) -> str:
        char = self._pattern[self._at]
        self._at += 1
        if char == "\\":
            return self._escaped()
        if char == "[":
            return self._one_of_class()
        if char == "(":
            return self._group()
        if char in "*+?{":
            raise _Unknown
        return {"^": "", "$": "", ".": "a"}.get(char, char)

    def _escaped(self) -> str:
        char = self._pattern[self._at : self._at + 1]
        self._at += 1
        if char in _ESCAPED or char in _EDGES:
            return _ESCAPED.get(char, "")
        if not char or char.isalnum():
            raise _Unknown
        return char

    def _one_of_class(self) -> str:
        start = self._at - 1
        self._takes("^")
        self._takes("]")
        while not self._takes("]"):
            if self._at >= len(self._pattern) or self._pattern[self._at :].startswith(_SETS):
                raise _Unknown
            self._at += 2 if self._pattern[self._at] == "\\" else 1
        named = self._pattern[start : self._at]
        try:
            found = next((char for char in _CANDIDATES if re.fullmatch(named, char)), None)
        except re.error:
            raise _Unknown from None
        if found is None:
            raise _Unknown
        return found

    def _group(self) -> str:
        named = _NAMED.match(self._pattern, self._at - 1)
        if named:
            self._at = named.end()
        elif self._pattern.startswith("?", self._at) and not self._takes("?:"):
            raise _Unknown
        text = self._alternatives()
        if not self._takes(")"):
            raise _Unknown
        return text

    def _times(self) -> int:
        counted = _COUNTED.match(self._pattern, self._at)
        if counted:
            self._at = counted.end()
            self._takes("?")
            least, most = int(counted[1]), counted[2]
            return least or (0 if most in (None, "0") else 1)
        if any(self._takes(sign) for sign in "*+?"):
            self._takes("?")
        return 1

    def _takes(self, text: str) -> bool:
        holds = self._pattern.startswith(text, self._at)
        self._at += len(text) * holds
        return holds
