"""Who is let in, said from the headers of a request alone: a path that no rule names is denied."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from time import monotonic

from headrace.access.keyring import Key, Scope
from headrace.access.keys import MALFORMED, Denied, Keys
from headrace.access.limits import Limiter, RetryAfter
from headrace.access.problem import problem
from headrace.core.clock import WallClock

Headers = Sequence[tuple[bytes, bytes]]
"""Names in lower case, and values."""


@dataclass(frozen=True)
class Rule:
    """Which keys are let in to a path, and which scope they need."""

    keys: Keys
    scope: Scope


@dataclass(frozen=True)
class Open:
    """A path for everybody, such as a probe of life: no key, and no limit by address. Let its answer cost nothing."""


NO_RULE = problem(403, "no_rule", "Nobody is let in to this path.")


class Admission:
    """The rules of all paths, as the hook of the protocol: an answer that refuses, or None to go on."""

    def __init__(
        self, rules: Mapping[str, Rule | Open], limiter: Limiter, below: Mapping[str, Rule | Open] | None = None
    ) -> None:
        """Let requests in by the rule of their path, or else by that of all paths `below` which it lies."""
        self._rules = dict(rules)
        self._below = dict(below or {})
        self._limiter = limiter
        self._clock = WallClock()

    @property
    def open_paths(self) -> frozenset[str]:
        """The paths for everybody, which are answered under overload, too."""
        return frozenset(path for path, rule in self._rules.items() if isinstance(rule, Open))

    def __call__(self, path: str, headers: Headers, address: str) -> bytes | None:
        """Return the answer that refuses a request, or None.

        The address is counted before the key is looked at, so that keys cannot be tried out at any speed.
        """
        rule = self._rules.get(path) or self._rule_below(path)
        if isinstance(rule, Open):
            return None
        early = self._limiter.admit(None, address, monotonic())
        if early:
            return _too_early(early)
        if rule is None:
            return NO_RULE
        found = self._key(rule, headers)
        if isinstance(found, Denied):
            return _denied(found)
        early = self._limiter.admit(found.id, None, monotonic())
        return _too_early(early) if early else None

    def _rule_below(self, path: str) -> Rule | Open | None:
        return next((rule for folder, rule in self._below.items() if path.startswith(folder)), None)

    def _key(self, rule: Rule, headers: Headers) -> Key | Denied:
        presented = [value for name, value in headers if name == b"authorization"]
        if len(presented) > 1:
            return MALFORMED
        return rule.keys.check(presented[0] if presented else None, rule.scope, self._clock.now())


@lru_cache(256)
def _denied(denied: Denied) -> bytes:
    return problem(denied.status, denied.code, denied.detail)


@lru_cache(256)
def _too_early(early: RetryAfter) -> bytes:
    whose = "this API key" if early.of == "key" else "this address"
    detail = f"Too many requests of {whose}: try again in {early.seconds} s."
    return problem(429, f"too_many_of_{early.of}", detail, early.seconds)
